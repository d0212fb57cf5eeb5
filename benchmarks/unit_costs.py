"""What a touchpoint and a person cost, for `selvedge size`: processor, state, outputs. No broker takes part.

Run: `python -m benchmarks.unit_costs [TOUCHPOINTS]`. A sample shop goes through the reader and the durable core of one
process, in epochs as a worker has them. Processor time is this process's own, so that other load matters little;
what brokers and Faust add is not in it, `selvedge size` has a factor for that.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
import zlib

from pipeline.core.group import Group
from pipeline.core.identifiers import PUBLIC_KEY, Registry
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Touchpoint
from pipeline.dialects import Reader
from pipeline.sample import generate

EPOCH = 2_000


def main(touchpoints: int) -> None:
    records = [record.value for record in generate(touchpoints=touchpoints, shoppers=touchpoints // 13, seed=1)]
    registry = Registry(Policy(), PUBLIC_KEY, 8)
    reader, group = Reader(registry), Group(registry, "wall")
    for shard in range(8):
        group.add(shard)
    gc.collect()
    gc.freeze()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = outputs = sent = now = 0
    written: list[bytes] = []
    begun = time.process_time()
    for at in range(0, len(records), EPOCH):
        for number, record in enumerate(records[at : at + EPOCH]):
            for one in reader.read(record, None):
                if isinstance(one, Touchpoint):
                    group.touch(number % 8, one)
                    now = max(now, one.received)
        effects = group.drain(now, now)
        rows += sum(len(key) + len(row or b"") for of in effects.rows.values() for key, row in of.items())
        outputs += len(effects.outputs)
        sent += sum(len(output.value or b"") for output in effects.outputs)
        written += [output.value or b"" for output in effects.outputs[:20]]
    seconds = time.process_time() - begun
    held = group.held()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    size = sum(map(len, records))
    print(f"touchpoints                      {len(records):>12,}")
    print(f"processor per touchpoint         {seconds / len(records) * 1e6:>12.1f} µs")
    print(f"bytes per touchpoint             {size / len(records):>12.0f}")
    print(f"compressed (deflate)             {len(zlib.compress(b''.join(records), 1)) / len(records):>12.0f}")
    print(f"state written per touchpoint     {rows / len(records):>12.0f} bytes")
    print(f"output records per touchpoint    {outputs / len(records):>12.2f}")
    print(f"output bytes per touchpoint      {sent / len(records):>12.0f}")
    share = len(zlib.compress(b"".join(written), 1)) / max(1, sum(map(len, written)))
    print(f"outputs compressed to            {share:>12.2f}")
    count, total = (sum(part) for part in zip(*held.values(), strict=True))
    print(f"rows held                        {count:>12,}, {total:,} bytes; {held}")
    print(f"memory grown                     {grown:>12,} bytes, {grown / count:.0f} a row")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
