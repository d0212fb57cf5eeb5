"""Random tests: no deadlines and no wish for speed, since a loaded machine is no error; a failure prints what
reproduces it. The examples are the same in every run, so that nothing but a change breaks a test; `make laws` looks for
others (SELVEDGE_TEST_RANDOM=1). Garbage is collected as seldom as in a worker."""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "selvedge",
    deadline=None,
    print_blob=True,
    derandomize=os.environ.get("SELVEDGE_TEST_RANDOM") != "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("selvedge")

gc.set_threshold(100_000, 50, 100)
