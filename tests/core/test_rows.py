"""Rows of one kind: what is written of them at the end of an epoch."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.rows import Rows
from pipeline.core.touchpoint import Id

A = Id("cookie:a")


def rows_of(*, durable: bool = True, cache_max: int = 50_000) -> Rows[list[int]]:
    decode = msgspec.msgpack.Decoder(list[int]).decode
    return Rows(msgspec.msgpack.encode, decode, lambda name: name.encode(), durable=durable, cache_max=cache_max)


def test_a_row_that_came_and_went_within_an_epoch_is_never_written() -> None:
    rows = rows_of()
    rows.put(A, [1])
    rows.drop(A)
    rows.drop(Id("cookie:b"))
    assert list(rows.collect()) == []


def test_a_written_row_that_is_put_and_dropped_again_is_deleted() -> None:
    rows = rows_of()
    rows.put(A, [1])
    list(rows.collect())
    rows.drop(A)
    rows.put(A, [2])
    rows.drop(A)
    assert list(rows.collect()) == [(A.encode(), None)]


def test_a_row_that_is_as_it_was_is_not_written_again() -> None:
    rows = rows_of()
    rows.put(A, [1])
    assert len(list(rows.collect())) == 1
    rows.put(A, [1])
    assert list(rows.collect()) == []


def test_what_changes_after_a_row_was_asked_for_as_bytes_is_written() -> None:
    rows = rows_of()
    row = [1]
    rows.put(A, row)
    assert rows.encoded(A) == msgspec.msgpack.encode([1])
    row.append(2)
    rows.put(A, row)
    assert list(rows.collect()) == [(A.encode(), msgspec.msgpack.encode([1, 2]))]


names = st.sampled_from([Id(f"cookie:{one}") for one in "abcd"])
steps = st.tuples(st.sampled_from(["put", "put_row", "add", "drop", "encoded", "get", "collect"]), names)


@given(st.lists(steps, max_size=40), st.sampled_from([1, 2, 50_000]))
def test_what_was_written_is_what_is_there(done: list[tuple[str, Id]], cache_max: int) -> None:
    """Whatever was done to rows, a reader of all that was written has them."""
    rows, model, written = rows_of(cache_max=cache_max), dict[Id, list[int]](), dict[bytes, bytes]()
    for number, (step, name) in enumerate([*done, ("collect", A)]):
        if step in ("put", "put_row"):
            model[name] = [number]
            if step == "put":
                rows.put(name, [number])
            else:
                rows.put_row(name, msgspec.msgpack.encode([number]))
        elif step == "add" and (row := rows.get(name)) is not None:
            row.append(number)
            rows.put(name, row)
            model[name] = [*model[name], number]
        elif step == "drop":
            rows.drop(name)
            model.pop(name, None)
        elif step == "encoded":
            row_or_none = model.get(name)
            assert rows.encoded(name) == (None if row_or_none is None else msgspec.msgpack.encode(row_or_none))
        elif step == "collect":
            for key, one in rows.collect():
                written.pop(key, None) if one is None else written.update({key: one})
        assert rows.get(name) == model.get(name)
        assert rows.has(name) == (name in model)
    assert written == {name.encode(): msgspec.msgpack.encode(row) for name, row in model.items()}


@given(st.lists(steps, max_size=40))
def test_a_small_cache_loses_nothing_where_no_rows_are_wanted(done: list[tuple[str, Id]]) -> None:
    rows, model = rows_of(durable=False, cache_max=1), dict[Id, list[int]]()
    for number, (step, name) in enumerate(done):
        if step == "put":
            rows.put(name, [number])
            model[name] = [number]
        elif step == "drop":
            rows.drop(name)
            model.pop(name, None)
        elif step == "collect":
            rows.evict()
        assert rows.get(name) == model.get(name)
