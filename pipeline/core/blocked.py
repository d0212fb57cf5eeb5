"""Values that identify nobody: what programs send when they have no identifier.

Compared without regard to case and outer quotes. The policy adds values and patterns; it may also switch the default
list off. Nothing is no identifier in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from pipeline.core.policy import Policy

DEFAULTS: Final = frozenset(
    {
        "0",
        "-1",
        "null",
        "none",
        "nil",
        "nan",
        "undefined",
        "unknown",
        "anonymous",
        "guest",
        "not_authenticated",
        "true",
        "false",
        "id",
        "distinct_id",
        "email",
        "test",
        "[object object]",
    }
)
_REPEATED: Final = re.compile(r"(.)\1{3,}", re.DOTALL)
_BLANK_UUID: Final = re.compile(r"\{?(?:[0-]{36}|[f-]{36})\}?")
_QUOTES: Final = " \"'`´‘’‚“”„«»‹›"


def blocker(policy: Policy) -> Callable[[str, str], bool]:
    """(type, value) -> whether the value identifies nobody by this policy."""
    identity = policy.identity
    values = frozenset(_bare(value) for value in identity.blocked)
    if identity.blocked_defaults:
        values |= DEFAULTS
    hashes = frozenset(sha256(value.encode(errors="replace")).hexdigest() for value in values | {""})
    patterns = {type: [re.compile(one) for one in several] for type, several in identity.blocked_patterns.items()}
    for_all = patterns.get("*", [])

    def blocked(type: str, value: str) -> bool:
        bare = _bare(value.lstrip("+") if type == "phone" else value)
        if not bare or bare in values:
            return True
        if identity.blocked_defaults and (_is_blank(bare) or (len(bare) == 64 and bare in hashes)):
            return True
        return bool(patterns) and any(one.fullmatch(value) for one in (*patterns.get(type, ()), *for_all))

    return blocked


def _is_blank(bare: str) -> bool:
    """One character over and over, or a UUID of zeros or f."""
    if bare[0] != bare[-1] and bare[0] != "{":
        return False
    return bool(_REPEATED.fullmatch(bare) or _BLANK_UUID.fullmatch(bare))


def _bare(value: str) -> str:
    return value.strip(_QUOTES).casefold()
