"""The contestant: Faust as its documentation has one write it, an agent that keeps Tables and sends a profile.

Per touchpoint: decode, find the person of any of its identifiers in a Table, put the identifiers and the profile into
Tables, send the profile. It stitches naively (no conflicts, no undoing, no triggers) and is at least once.
Run: `python -m benchmarks.plain_faust BROKERS PREFIX FIGURES DATADIR`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faust

from benchmarks.figures import Figures

brokers, prefix, figures_path, datadir = sys.argv[1:]
figures = Figures(Path(figures_path))
app = faust.App(
    f"{prefix}.faust",
    broker=f"kafka://{brokers}",
    datadir=datadir,
    store="memory://",
    topic_partitions=8,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)
touchpoints = app.topic(f"{prefix}.touchpoints", value_serializer="json")
profiles = app.topic(f"{prefix}.faust-profiles", key_serializer="raw", value_serializer="json", partitions=8)
owners = app.Table("owners")
persons = app.Table("persons")


@app.agent(touchpoints)
async def stitch(stream: Any) -> None:
    async for event in stream:
        ids = [f"{one['type']}:{one['value']}" for one in event["data"]["identifiers"]]
        owner = next((owners[id] for id in ids if id in owners), ids[0])
        person = persons.get(owner) or {"ids": [], "touchpoints": 0}
        person = {
            "ids": sorted({*person["ids"], *ids}),
            "touchpoints": person["touchpoints"] + 1,
            "last": event["type"],
            "last_seen": event["time"],
        }
        for id in ids:
            owners[id] = owner
        persons[owner] = person
        await profiles.send(key=owner.encode(), value=person)
        figures.touchpoints += 1


app.worker_init()
faust.Worker(app, loglevel="error").execute_from_commandline()
