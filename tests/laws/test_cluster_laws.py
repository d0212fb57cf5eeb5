"""What a root keeps at hand of a large cluster is what `grouping` says of all fragments, however they came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch

from pipeline.core import settle
from pipeline.core.cluster import Cluster
from pipeline.core.group import Group
from pipeline.core.grouping import grouping
from pipeline.core.identifiers import Registry
from tests.histories import identifiers, policy
from tests.laws.test_laws import Shop, in_epochs, published, same
from tests.strategies import cuts, shards, shops


@contextmanager
def every_cluster_at_hand() -> Iterator[None]:
    with MonkeyPatch.context() as patch:
        patch.setattr(settle, "LARGE", 1)
        yield


@given(shops(), st.data())
def test_edges_at_hand_make_the_persons_that_all_fragments_make(shop: Shop, data: st.DataObject) -> None:
    name, history = shop
    registry = Registry(policy(name))
    group = Group(registry, "replay")
    group.add(0)
    shard = group.home(identifiers(registry)[0])
    cluster = Cluster(shard.fragment, registry)
    ends = data.draw(cuts(history)) | {len(history) - 1}
    for place, tp in enumerate(history):
        group.touch(0, tp)
        if place in ends:
            group.drain(tp.received, tp.received)
            members = [member for cluster in shard.roots.clusters.values() for member in cluster]
            before = dict(cluster.group_of)
            changed, _ = cluster.change(members)
            plain = grouping(members, shard.fragment, registry)
            assert cluster.group_of == plain.group_of
            assert {one.ids for one in changed} >= {one.ids for one in plain.groups if before.get(one.ids[0]) != one}
            assert {id: cluster.since.get(id) for id in plain.since} == plain.since
            assert all(cluster.owner(registry.profile_id(one.owner), registry) == one.owner for one in plain.groups)


@given(shops(), shards)
def test_clusters_at_hand_do_not_show_in_what_is_published(shop: Shop, number: int) -> None:
    name, history = shop
    with every_cluster_at_hand():
        taken = published(name, history, number)
    same(taken, published(name, history))


@given(shops(), shards, st.data(), st.booleans())
def test_clusters_at_hand_do_not_show_on_the_record_clock(
    shop: Shop, number: int, data: st.DataObject, restart: bool
) -> None:
    name, history = shop
    ends = data.draw(cuts(history))
    with every_cluster_at_hand():
        taken = in_epochs(name, history, ends, number, restart=restart)
    same(taken, published(name, history))
