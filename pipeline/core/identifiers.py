"""Identifiers: from what a producer sent to canonical texts, their order, their home and the profile ids of them.

Canonical text is `type:value`, for e-mail and phone `type:` + SHA-256 of the normalised value, so that a hash and its
value are one identifier. The key is a 128-bit hash of the text with the deployment's secret: x ≺ y compares rank, then
key, and the secret leaves no sender a choice. With `normalise = false` values are taken as they are. The caches are
bounded; nothing here depends on what was asked before.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b, sha1, sha256
from typing import Final, TypeVar

import msgspec

from pipeline.core import normal
from pipeline.core.blocked import blocker
from pipeline.core.murmur import murmur2
from pipeline.core.normal import TYPE_NAME
from pipeline.core.policy import Policy
from pipeline.core.touchpoint import Id

PUBLIC_KEY: Final = b"selvedge: public default key"
"""The secret of replay and demo; a deployment has its own."""

CACHE_MAX: Final = 100_000
MASK: Final = "\0"
"""Stands before the value of a mask; no value has it."""
KEY_BYTES: Final = 16
_NAMESPACE: Final = bytes.fromhex("6f3d3c1f1c5b5a0c9d0e7f6b1a2c4e58")
_HASHED: Final = ("email", "phone")
_HEX: Final = frozenset("0123456789abcdef")

K = TypeVar("K")
V = TypeVar("V")


class Unusable(ValueError):
    """A type that cannot be one, or a value beyond the policy's `value_chars`. Carries no value."""


class Identified(msgspec.Struct, frozen=True, gc=False):
    """What became of a value. `id`: None if it is no identifier; then `hint` says that it is kept as a contact hint,
    otherwise it was blocked. `plain`: the readable value of e-mail and phone; None for a hash, which hides it.
    `strength`: sort key of `id`, strongest first: rank, then type and value by code point."""

    id: Id | None
    plain: str | None = None
    hint: bool = False
    strength: tuple[int, str, str] = (0, "", "")


BLOCKED: Final = Identified(None)


class Cache(dict[K, V]):
    """Makes what is missing, and forgets everything when it is full."""

    def __init__(self, make: Callable[[K], V], most: int = CACHE_MAX) -> None:
        self._make, self._most = make, most

    def __missing__(self, key: K) -> V:
        if len(self) >= self._most:
            self.clear()
        made = self[key] = self._make(key)
        return made


def is_of_expired(id: Id) -> bool:
    """Whether it is a mask of an identifier that may come again."""
    return len(id.partition(MASK)[2]) > 2 * (4 + KEY_BYTES)


def is_mask(id: Id) -> bool:
    """Whether it stands for an identifier that was erased."""
    return MASK in id


class Registry:
    """A policy and a deployment's secret, applied to identifiers."""

    def __init__(self, policy: Policy, secret: bytes = PUBLIC_KEY, shards: int = 1) -> None:
        """secret: any length. shards: 1 or more."""
        if shards < 1:
            raise ValueError("there is at least one shard")
        self.policy = policy
        self.shards = shards
        self._secret = secret if len(secret) <= 64 else sha256(secret).digest()
        self._ranks = {type: rank for rank, type in enumerate(policy.identity.order)}
        named = [self._ranks[type] for type in ("phone", "email", "customer", "loyalty") if type in self._ranks]
        self._weakest_known = named[0] if named else -1
        self._blocked = blocker(policy)
        self._identified: Cache[tuple[str, str], Identified] = Cache(self._identify)
        self._orders, self._homes, self._profile_ids = Cache(self._order), Cache(self._home), Cache(self._profile_id)
        self._keys: Cache[Id, bytes] = Cache(lambda id: self.order(id)[1:])
        self.order: Callable[[Id], bytes] = self._orders.__getitem__
        """Sort key of x ≺ y: one byte rank, 16 bytes key."""
        self.key: Callable[[Id], bytes] = self._keys.__getitem__
        """KEY_BYTES; of a mask more, which begin with those of what it stands for."""
        self.home: Callable[[Id], int] = self._homes.__getitem__
        """The shard at which the identifier lives."""
        self.profile_id: Callable[[Id], str] = self._profile_ids.__getitem__
        """The id of a profile whose oldest anchor it is, UUIDv5 of its key."""

    @property
    def key_check(self) -> str:
        """Tells two secrets apart and gives neither away."""
        return blake2b(b"key check", key=self._secret, digest_size=8, person=b"selvedge-check").hexdigest()

    def identify(self, type: str, value: object) -> Identified:
        """The identifier that a value of a type stands for. value: text or a whole number, all else is blocked.
        Unusable for what no policy allows."""
        if not isinstance(value, str):
            if not isinstance(value, int) or isinstance(value, bool):
                return BLOCKED
            value = str(value)
        return self._identified[type, value]

    def rank(self, id: Id) -> int:
        """0 = strongest; types that the policy does not list come after all listed."""
        return self._ranks.get(id.partition(":")[0], len(self._ranks))

    def names_somebody(self, id: Id) -> bool:
        """Whether it is at least as strong as a phone; in a policy without that type, as the weakest of e-mail,
        customer and loyalty that it lists."""
        return self.rank(id) <= self._weakest_known

    def type(self, id: Id) -> str:
        return id.partition(":")[0]

    def masked(self, id: Id, expired: int = 0) -> Id:
        """What stands for an erased identifier where the index needs something in its place: with the same home and
        the same place in the order, and known by the key alone. expired: when it was forgotten without being kept out,
        so that it may come again and be forgotten again; 0: it is kept out."""
        since = f"{expired:016x}" if expired else ""
        return Id(f"{self.type(id)}:{MASK}{murmur2(id.encode()) & 0x7FFFFFFF:08x}{self.key(id).hex()}{since}")

    def forget(self) -> None:
        """Lets go of all identifiers in the caches."""
        for cache in (self._identified, self._orders, self._keys, self._homes, self._profile_ids):
            cache.clear()

    def _identify(self, given: tuple[str, str]) -> Identified:
        type, value = given
        if type not in self._ranks and not TYPE_NAME.fullmatch(type):
            raise Unusable("the type is empty, too long, or has a space or a colon")
        if len(value) > self.policy.bounds.value_chars:
            raise Unusable(f"the value is longer than {self.policy.bounds.value_chars} characters")
        if not self.policy.identity.normalise:
            return self._as_it_is(type, normal.encodable(value).replace("\n", " "))
        value = normal.clean(value)
        if type.endswith("_sha256") and type[:-7] in _HASHED:
            return self._from_hash(type[:-7], value.lower())
        if type == "email" or type in self.policy.identity.fold_case:
            value = normal.lower(value)
        if self._blocked(type, value):
            return BLOCKED
        return self._from_address(type, value) if type in _HASHED else self._identified_as(type, value)

    def _as_it_is(self, type: str, value: str) -> Identified:
        if self._blocked(type, value):
            return BLOCKED
        return self._identified_as(type, value, value if type in _HASHED else None)

    def _from_hash(self, type: str, value: str) -> Identified:
        if self._blocked(type, value):
            return BLOCKED
        if len(value) != 64 or not _HEX.issuperset(value):
            return Identified(None, value, hint=True)
        return self._identified_as(type, value)

    def _from_address(self, type: str, value: str) -> Identified:
        identity = self.policy.identity
        if type == "phone":
            address: str | None = normal.phone(value, identity.default_region)
        else:
            address = normal.email(value, identity.email_provider_rules)
        if address is None:
            return Identified(None, value, hint=True)
        if address != value and self._blocked(type, address):
            return BLOCKED
        return self._identified_as(type, sha256(address.encode()).hexdigest(), address)

    def _identified_as(self, type: str, value: str, plain: str | None = None) -> Identified:
        strength = (self._ranks.get(type, len(self._ranks)), type, value)
        return Identified(Id(f"{type}:{value}"), plain, strength=strength)

    def _order(self, id: Id) -> bytes:
        if MASK in id:
            key = bytes.fromhex(id.partition(MASK)[2][8:])
            return bytes((self.rank(id),)) + (key + b"\1" if len(key) == KEY_BYTES else key)
        return bytes((self.rank(id),)) + blake2b(id.encode(), key=self._secret, digest_size=KEY_BYTES).digest()

    def _home(self, id: Id) -> int:
        if self.shards == 1:
            return 0
        return (int(id.partition(MASK)[2][:8], 16) if MASK in id else murmur2(id.encode()) & 0x7FFFFFFF) % self.shards

    def _profile_id(self, id: Id) -> str:
        made = bytearray(sha1(_NAMESPACE + self.key(id), usedforsecurity=False).digest()[:16])
        made[6] = made[6] & 0x0F | 0x50
        made[8] = made[8] & 0x3F | 0x80
        text = made.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
