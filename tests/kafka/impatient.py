"""A worker that waits for coordinators for seconds, not for a minute: `python -m tests.kafka.impatient`."""

from __future__ import annotations

import os
import sys

from pipeline.kafka import epoch, transport
from pipeline.kafka.worker import run
from pipeline.settings import load

if __name__ == "__main__":
    epoch.PATIENCE_S = transport.COORDINATOR_S = 4.0
    sys.exit(run(load(os.environ)))
