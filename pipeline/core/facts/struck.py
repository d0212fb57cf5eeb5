"""Forgetting: that an anchor was seen with an identifier, or all that was folded at it.

What hung on the identifier alone goes with it; what was seen together with others stays with those.
"""

from __future__ import annotations

import msgspec

from pipeline.core.facts.sightings import join_sightings
from pipeline.core.fragment import Fragment, ids_of, set_key
from pipeline.core.touchpoint import Id


def strike(fragment: Fragment, name: Id) -> None:
    """Takes an identifier out of what was seen with the anchor."""
    for key in list(fragment.sets):
        ids = ids_of(key)
        if name not in ids:
            continue
        sighting = fragment.sets.pop(key)
        left = set_key(tuple(id for id in ids if id != name))
        known = fragment.sets.get(left)
        fragment.sets[left] = sighting if known is None else join_sightings(known, sighting)
    for pair in [pair for pair in fragment.vetoes if name in ids_of(pair)]:
        del fragment.vetoes[pair]
    for known_names in (fragment.rest, fragment.plain, fragment.shared, fragment.turns):
        known_names.pop(name, None)
    for key, cart in list(fragment.carts.items()):
        if cart.transient == name or any(change.transient == name for change in cart.changes):
            cart.transient = None if cart.transient == name else cart.transient
            cart.changes = [
                msgspec.structs.replace(change, transient=None) if change.transient == name else change
                for change in cart.changes
            ]
            del fragment.carts[key]
            fragment.carts[key.replace(f"\n{name}", "\n")] = cart
            fragment.puts += 1


def names_in(fragment: Fragment) -> set[Id]:
    """The identifiers that a fragment names beside its anchor's."""
    seen = {name for key in (*fragment.sets, *fragment.vetoes) for name in ids_of(key)}
    transients = {change.transient for cart in fragment.carts.values() for change in cart.changes}
    transients |= {cart.transient for cart in fragment.carts.values()}
    named = seen | fragment.rest.keys() | fragment.plain.keys() | fragment.shared.keys() | fragment.turns.keys()
    return (named | {name for name in transients if name is not None}) - {fragment.id}


def is_blank(fragment: Fragment) -> bool:
    """Whether nothing is left in it."""
    return not fragment.hub and fragment == emptied(fragment)


def emptied(fragment: Fragment) -> Fragment:
    """What is left of a fragment when everything folded into it is forgotten: that it is a hub, if it is."""
    return Fragment(fragment.id, version=fragment.version, hub=fragment.hub)
