"""Sends a record whose header name is not UTF-8, which no Python client means to: `BROKERS TOPIC` as arguments.

AIOKAFKA_NO_EXTENSIONS=1 makes aiokafka write records in Python, where a text may encode itself as it likes.
"""

from __future__ import annotations

import asyncio
import sys

import aiokafka


class NoText(str):
    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def send(brokers: str, topic: str) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=brokers)
    await producer.start()
    await producer.send_and_wait(topic, b"garbage with a header", partition=0, headers=[(NoText("x"), b"value")])
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(send(*sys.argv[1:]))
