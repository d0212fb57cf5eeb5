"""The families of triggers, the highest first. Where one of them is pending or was told, the lower ones are silent."""

from __future__ import annotations

from typing import Final

from pipeline.core.triggers.families.carts import CARTS
from pipeline.core.triggers.family import Family

ALL: Final[tuple[Family, ...]] = (CARTS,)
