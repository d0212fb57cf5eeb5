"""`make lateness`: how late triggers fire while a worker is half loaded, as a reader of committed records sees it. On a
real Kafka, one worker, on the wall clock.

Every second as many shoppers come as go; each does one thing a second, fills a cart at last and leaves. The load is
half of what the same worker reads of such touchpoints from a backlog. Everybody leaves a cart, and for a minute only:
there are many more deadlines than a shop of that size would have. Lateness is the time of day at which the trigger can
be read, minus its deadline and the grace.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, TopicPartition

from benchmarks.runs import CONTESTANTS, SHARDS, Sender, backlog, running, topics
from pipeline.core.times import SECOND, parse
from pipeline.sample import SampleRecord
from pipeline.settings import Settings
from tests.kafka.brokers import start

WORKER = CONTESTANTS[-1]
VISIT = 13
"""Touchpoints of a shopper, one a second."""
DELAY_S, GRACE_S = 60, 2
POLICY = f'[triggers]\nrequire_consent = false\ncart_delay = "{DELAY_S}s"\ngrace = "{GRACE_S}s"\n'
CAPACITY_S = 20
"""How long a backlog is read, if it is read at `GUESS` touchpoints a second."""
GUESS = 4_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="lateness", description=__doc__)
    parser.add_argument("--seconds", type=int, default=100, help="of load; carts are due after a minute")
    parser.add_argument("--rate", type=int, help="touchpoints per second; default: half of what was measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, start() as broker:
        policy = Path(name) / "policy.toml"
        policy.write_text(POLICY)
        rate = given.rate or _half(broker.bootstrap, policy)
        late = sorted(_late(broker.bootstrap, policy, rate, given.seconds))
    if not late:
        raise SystemExit("no trigger fired")
    p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
    print(f"{len(late):,} triggers fired: p50 {p50:.2f} s, p99 {p99:.2f} s, at most {late[-1]:.2f} s after grace")


def _half(brokers: str, policy: Path) -> int:
    seconds = max(1, CAPACITY_S - VISIT)
    records = [one for second in _load(GUESS * CAPACITY_S // seconds, seconds) for one in second]
    run = backlog(WORKER, brokers, records, policy)
    print(f"{run.rate:,.0f} touchpoints/s from a backlog of {len(records):,}, {run.cpu * 1e6:.0f} µs of CPU each")
    return int(run.rate / 2)


def _late(brokers: str, policy: Path, rate: int, seconds: int) -> list[float]:
    """Seconds that each trigger was late."""
    with tempfile.TemporaryDirectory() as name, topics(brokers, Path(name) / "figures.json", policy) as settings:
        sender = Sender(settings)
        with reading(settings) as late, running(WORKER, settings, Path(name)) as watched:
            while not watched.is_done(0):
                watched.look()
            began = time.monotonic()
            for number, records in enumerate(_load(rate, seconds)):
                for place, record in enumerate(records):
                    sender.send(record)
                    if place % 100 == 0:
                        sender.producer.poll(0)
                        time.sleep(max(0.0, began + number + place / len(records) - time.monotonic()))
            sender.producer.flush()
            took = time.monotonic() - began
            print(f"{rate * seconds / took:,.0f} touchpoints/s for {took:.0f} s")
            return list(late)


def _load(rate: int, seconds: int) -> Iterator[list[SampleRecord]]:
    """What is sent in each second; in the first ones some are in the middle of their visits."""
    shoppers = max(1, rate // VISIT)
    for second in range(seconds):
        yield [
            _record(cohort, shopper, second - cohort)
            for shopper in range(shoppers)
            for cohort in range(second - VISIT + 1, second + 1)
        ]


def _record(cohort: int, shopper: int, step: int) -> SampleRecord:
    who = f"{cohort}-{shopper}"
    data: dict[str, object] = {
        "identifiers": [{"type": "cookie", "value": f"c-{who}"}, {"type": "email", "value": f"{who}@example.com"}],
        "items": [{"sku": f"SKU-{shopper % 500}", "price": "10.00", "currency": "EUR"}],
    }
    if step == VISIT - 1:
        data["cart"] = {"id": f"cart-{who}"}
    event = {
        "specversion": "1.0",
        "id": f"e-{who}-{step}",
        "source": "web/shop",
        "type": "cart.item_added" if step == VISIT - 1 else "product.viewed",
        "data": data,
    }
    return SampleRecord(int(time.time() * SECOND), f"email:{who}@example.com".encode(), msgspec.json.encode(event), ())


@contextmanager
def reading(settings: Settings) -> Iterator[list[float]]:
    """How late each trigger was that fired meanwhile: a thread reads them as they are committed."""
    late: list[float] = []
    ended = threading.Event()
    consumer = Consumer({**settings.librdkafka(), "group.id": "lateness", "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(settings.topic("triggers"), partition, 0) for partition in range(SHARDS)])

    def read() -> None:
        while not ended.is_set():
            for message in consumer.consume(1_000, 0.05):
                record = msgspec.json.decode(message.value() or b"{}") if message.error() is None else {}
                if record.get("status") == "fired":
                    late.append(time.time() - parse(record["deadline_at"]) / SECOND - GRACE_S)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield late
    finally:
        ended.set()
        thread.join()
        consumer.close()


if __name__ == "__main__":
    main()
