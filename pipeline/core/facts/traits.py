"""Traits: the newest value of each name wins. Values of one time are all kept, one per source, because which source
has priority is the policy's to say and may change. A null unsets. Only scalars and short lists of them are kept.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.facts.bounded import count_dropped, drop_oldest
from pipeline.core.fragment import Fragment, Trait
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_LIST_MAX: Final = 16
_NAME_CHARS_MAX: Final = 128
_SOURCES_MAX: Final = 16
_INTEGER_MAX: Final = 2**63


def fold_traits(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    bounds = registry.policy.bounds
    traits = fragment.traits
    for name, value in tp.data.traits.items():
        if len(name) > _NAME_CHARS_MAX or not _is_short(value, bounds.value_chars):
            count_dropped(fragment, "trait_values")
        else:
            traits[name] = _newest(traits.get(name), Trait(tp.time, tp.id, tp.source, value))
    if len(traits) > bounds.traits:
        drop_oldest(fragment, "traits", traits, bounds.traits, lambda kept: kept[0].time)


def _newest(known: list[Trait] | None, trait: Trait) -> list[Trait]:
    """Known values and one more. Sorted by source."""
    if known is None or trait.time > known[0].time:
        return [trait]
    if trait.time < known[0].time:
        return known
    by_source = {one.source: one for one in known}
    rival = by_source.get(trait.source)
    if rival is None or trait.event > rival.event:
        by_source[trait.source] = trait
    return [by_source[source] for source in sorted(by_source)][:_SOURCES_MAX]


def _is_short(value: Any, chars_max: int) -> bool:
    if isinstance(value, str):
        return len(value) <= chars_max
    if isinstance(value, list):
        return (
            len(value) <= _LIST_MAX
            and not any(isinstance(one, list) for one in value)
            and all(_is_short(one, chars_max) for one in value)
        )
    if isinstance(value, int):
        return -_INTEGER_MAX <= value < _INTEGER_MAX
    return value is None or isinstance(value, float)
