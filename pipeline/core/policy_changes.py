"""What differs between two policies, key by key."""

from __future__ import annotations

import msgspec

from pipeline.core.policy import FOLD_KEYS, Policy
from pipeline.core.policy_text import keys_of


class Change(msgspec.Struct, frozen=True):
    """key: dotted. old, new: as TOML. fold: it decides how touchpoints are folded, so that it needs a rebuild."""

    key: str
    old: str
    new: str
    fold: bool


def changes(old: Policy, new: Policy) -> list[Change]:
    """In the order of the policy."""
    found = []
    for section in old.__struct_fields__:
        after = dict(keys_of(getattr(new, section)))
        for key, value in keys_of(getattr(old, section)):
            if after[key] != value:
                found.append(Change(f"{section}.{key}", value, after[key], (section, key) in FOLD_KEYS))
    return found
