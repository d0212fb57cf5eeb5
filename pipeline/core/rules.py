"""Rules over a document, in CEL (the Common Expression Language): what the policy's segments are made of.

A rule sees the members of the document by name, without its revision, its time of update and the segments themselves.
Money is a number for a rule, so that it compares as one: exactly up to 15 digits. A path that is not there makes the
rule false, unless the rest of it decides alone (`a || b`). Rules are compiled once; the library that does so is only
imported where there are rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

_MONEY: Final = frozenset({"ltv", "aov", "value", "monetary_365d", "price"})
_WITH_MONEY: Final = frozenset({"commerce", "carts", "wishlist", "store"})
"""Blocks in which members of these names are money."""
_TEXT: Final = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")
_NAME: Final = re.compile(r"(?<![.\w])[A-Za-z_]\w*")
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_COMPILED_MAX: Final = 1_000


class RuleError(ValueError):
    """The rule cannot be compiled, or gives something else than true or false. The message says why."""


class Rule(msgspec.Struct, frozen=True):
    """A compiled rule. names: the members of the document it may look at."""

    env: Any
    expression: Any
    names: frozenset[str]

    def holds(self, document: Mapping[str, Any]) -> bool:
        """document: as `ready` makes it."""
        seen = {name: document[name] for name in self.names if name in document}
        return self.expression.eval(self.env.Activation(seen)).value() is True


@lru_cache(maxsize=_COMPILED_MAX)
def compiled(text: str) -> Rule:
    """Raises RuleError."""
    from cel_expr_python import cel

    names = frozenset(_NAME.findall(_TEXT.sub('""', text))) - _WORDS
    env = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))
    try:
        expression = env.compile(text)
    except (RuntimeError, ValueError) as error:
        raise RuleError(" ".join(str(error).split())) from None
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise RuleError(f"it gives {expression.return_type().name()}, not true or false")
    return Rule(env, expression, names)


def ready(name: str, block: Any) -> Any:
    """A member of the document as rules see it."""
    return _with_numbers(block) if name in _WITH_MONEY else block


def _with_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: float(one) if name in _MONEY and isinstance(one, str) else _with_numbers(one)
            for name, one in value.items()
        }
    return [_with_numbers(one) for one in value] if isinstance(value, list) else value
