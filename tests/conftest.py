"""Random tests: no deadlines and no wish for speed, since a loaded machine is no error; a failure prints what
reproduces it. Garbage is collected as seldom as in a worker."""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

settings.register_profile("selvedge", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("selvedge")

gc.set_threshold(100_000, 50, 100)
