"""A person: identifiers that are one, with what was folded at them."""

from __future__ import annotations

import msgspec

from pipeline.core.fragment import Fragment
from pipeline.core.touchpoint import Id


class Person(msgspec.Struct, gc=False):
    """ids: strongest first. fragments: of those ids that have one, by id. shared: it is one shared identifier."""

    ids: tuple[Id, ...]
    fragments: list[Fragment]
    profile_id: str
    shared: bool = False
    oversize: bool = False
    conflicts: int = 0
