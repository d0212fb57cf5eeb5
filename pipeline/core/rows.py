"""Rows of one kind: encoded bytes, as the state topic holds them, with a bounded cache of decoded ones.

A changed row is encoded once per epoch, when it is collected. Without a state topic (`durable` off) it is encoded only
when it leaves the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from pipeline.core.touchpoint import Id

T = TypeVar("T")


class _Decoded(dict[Id, T]):
    """Decoded rows by name. A row that is not among them is decoded when it is asked for; None: there is none."""

    def __init__(self, rows: dict[bytes, bytes], key: Callable[[Id], bytes], decode: Callable[[bytes], T]) -> None:
        self._rows, self._key, self._decode = rows, key, decode

    def __missing__(self, name: Id) -> T | None:
        encoded = self._rows.get(self._key(name)) if self._rows else None
        if encoded is None:
            return None
        row = self[name] = self._decode(encoded)
        return row


class Rows(Generic[T]):
    def __init__(
        self,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        key: Callable[[Id], bytes],
        *,
        durable: bool,
        cache_max: int = 50_000,
    ) -> None:
        self._encode, self._decode, self._key = encode, decode, key
        self._durable, self._cache_max = durable, cache_max
        self._rows: dict[bytes, bytes] = {}
        self._hot: _Decoded[T] = _Decoded(self._rows, key, decode)
        self._changed: dict[Id, bool] = {}
        """Rows that changed in this epoch; whether they have been encoded since."""
        self._gone: set[Id] = set()
        """Names of rows that were there and were dropped in this epoch. No other drop is worth a row."""
        self._dropped: list[bytes] = []
        self.bytes = 0
        """Of the encoded rows."""
        self.get: Callable[[Id], T | None] = self._hot.__getitem__
        """The row of that name, decoded; None: there is none."""
        self.at: Callable[[Id], T] = cast(Any, self.get)
        """A row that must be there."""
        self.put: Callable[[Id, T], None] = self._put if durable else self._hot.__setitem__
        """Stores a new row, or notes that a row got from here was changed in place."""

    def __len__(self) -> int:
        return len(self._rows)

    def has(self, name: Id) -> bool:
        """Whether there is such a row; it is not decoded."""
        return name in self._hot or self._key(name) in self._rows

    def all(self) -> Iterator[T]:
        """Every row, decoded, in no order; the cache is left as it is."""
        hot = set(map(self._key, self._hot))
        yield from self._hot.values()
        for key, row in self._rows.items():
            if key not in hot:
                yield self._decode(row)

    def _put(self, name: Id, row: T) -> None:
        self._hot[name] = row
        self._changed[name] = False

    def put_row(self, name: Id, row: bytes) -> None:
        """Stores a new row as bytes."""
        self._hot.pop(name, None)
        self._store(self._key(name), row)
        self._changed[name] = True

    def encoded(self, name: Id) -> bytes | None:
        """The row as bytes, changes of this epoch included. If it is changed after this, it has to be put again."""
        row, key = self._hot.get(name), self._key(name)
        if row is not None and not (self._durable and self._changed.get(name, True)):
            self._store(key, self._encode(row))
            self._changed[name] = True
        return self._rows.get(key)

    def decoded(self) -> Iterable[T]:
        """The rows in the cache."""
        return self._hot.values()

    def encoded_only(self) -> Iterator[bytes]:
        """The rows that are not in the cache."""
        hot = set(map(self._key, self._hot))
        return (row for key, row in self._rows.items() if key not in hot)

    def named(self, key: bytes) -> Id | None:
        """The name of the row with that key; None: there is none. rows: have an `id`."""
        row: Any = self._rows.get(key)
        if row is not None:
            return cast(Id, cast(Any, self._decode(row)).id)
        return next((name for name in self._hot if self._key(name) == key), None)

    def rename(self, old: Id, new: Id) -> T | None:
        """Puts a row under another name; the row, for its `id` to be changed."""
        row = self.get(old)
        if row is not None:
            self.drop(old)
            self.put(new, row)
        return row

    def drop(self, name: Id) -> None:
        self._hot.pop(name, None)
        row = self._rows.pop(self._key(name), None)
        if row is not None:
            self.bytes -= len(row)
            self._gone.add(name)
            self._changed[name] = False
        elif name not in self._gone:
            self._changed.pop(name, None)

    def drop_cold(self, is_old: Callable[[bytes], bool]) -> None:
        """Drops rows that are old and not in the cache, from which unused ones leave."""
        hot = set(map(self._key, self._hot))
        for key in [key for key, row in self._rows.items() if is_old(row) and key not in hot]:
            self._dropped.append(key)
            self.bytes -= len(self._rows.pop(key))

    def list_keys(self) -> list[bytes]:
        """Of all rows, in any order."""
        return list(dict.fromkeys((*self._rows, *map(self._key, self._hot))))

    def load(self, key: bytes, row: bytes) -> None:
        self._store(key, row)

    def _store(self, key: bytes, row: bytes) -> None:
        self.bytes += len(row) - len(self._rows.get(key, b""))
        self._rows[key] = row

    def collect(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Key and row (None: deleted) of everything changed since the last call. What is as it was is not changed."""
        for key in self._dropped:
            yield key, None
        rows, hot, key_of = self._rows, self._hot, self._key
        for name, is_encoded in self._changed.items():
            key = key_of(name)
            row = None if is_encoded else hot.get(name)
            if row is not None:
                encoded = self._encode(row)
                if encoded == rows.get(key):
                    continue
                self._store(key, encoded)
            yield key, rows.get(key)
        self._changed.clear()
        self._gone.clear()
        self.evict()

    def evict(self) -> None:
        """Keeps the cache of decoded rows within its bound."""
        self._dropped.clear()
        excess = len(self._hot) - self._cache_max
        if excess <= 0:
            return
        for name in list(self._hot)[: excess + self._cache_max // 10]:
            row = self._hot.pop(name)
            if not self._durable or name in self._changed:
                self._store(self._key(name), self._encode(row))
                self._changed.pop(name, None)
