"""Random tests: no deadlines, since a loaded machine is no error; a failure prints what reproduces it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("selvedge", deadline=None, print_blob=True)
settings.load_profile("selvedge")
