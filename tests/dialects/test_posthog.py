"""PostHog: aliases link without a direction, whichever client sent them."""

from __future__ import annotations

from typing import Any

import networkx
import pytest

from pipeline.core import times
from pipeline.core.touchpoint import Touchpoint
from tests.dialects.reading import PAYLOADS, RECEIVED, accepted, names, read_all

PYTHON = [request for request in PAYLOADS if request["headers"]["user-agent"].startswith("posthog-python")]
NODE = [request for request in PAYLOADS if request["headers"]["user-agent"].startswith("posthog-node")]
BROWSER = "0190f6a2-7d08-7bd0-a7ce-8892b8dfb676"


def capture(event: str = "Product Viewed", distinct_id: Any = "user-1", **properties: Any) -> dict[str, Any]:
    return {"event": event, "uuid": "u-1", "distinct_id": distinct_id, "properties": properties}


@pytest.mark.parametrize("requests", [PYTHON, NODE], ids=["python", "node"])
def test_what_a_client_sends_is_one_person_whichever_way_its_aliases_point(requests: list[Any]) -> None:
    graph = networkx.Graph()
    for result in [result for request in requests for result in read_all(request)]:
        assert isinstance(result, Touchpoint), result
        networkx.add_path(graph, sorted(names(result)))
    assert networkx.is_connected(graph)
    assert {"customer:user-1", "cookie:anon-1"} <= set(graph)


def test_types_and_times_of_a_client_are_read() -> None:
    (tp,) = read_all(PYTHON[0])
    assert isinstance(tp, Touchpoint)
    assert (tp.type, tp.source) == ("cart.item_added", "server/posthog")
    assert tp.time == RECEIVED - 322
    assert tp.data.cart is not None and tp.data.cart.id == "cart-1"


def test_identify_links_the_anonymous_id_and_reads_the_person() -> None:
    tp = accepted(
        capture("$identify", **{"$anon_distinct_id": BROWSER, "$set": {"email": "jane@example.com", "city": "Izmir"}})
    )
    assert tp.type == "identity.observed"
    assert names(tp) == {"customer:user-1", "cookie:user-1", f"cookie:{BROWSER}", "email:jane@example.com"}
    assert tp.data.traits == {"city": "Izmir"}


def test_an_alias_is_never_a_customer_since_its_direction_is_not_known() -> None:
    for one, other in (("a", "b"), ("b", "a")):
        assert names(accepted(capture("$create_alias", one, alias=other))) == {"cookie:a", "cookie:b"}


def test_a_browsers_own_id_is_a_cookie_until_the_person_is_known() -> None:
    assert names(accepted(capture(distinct_id=BROWSER, **{"$lib": "web", "$device_id": BROWSER}))) == {
        f"cookie:{BROWSER}"
    }
    assert "customer:user-1" in names(accepted(capture(**{"$lib": "web", "$user_id": "user-1"})))
    assert "customer:user-1" in names(accepted(capture(**{"$lib": "web", "$is_identified": True})))
    assert names(accepted(capture(**{"$lib": "web"}))) == {"cookie:user-1"}


@pytest.mark.parametrize(("library", "channel"), [("web", "web"), ("posthog-ios", "app"), ("posthog-node", "server")])
def test_the_channel_is_told_by_the_library(library: str, channel: str) -> None:
    assert accepted(capture(**{"$lib": library})).channel == channel


def test_page_views_and_custom_events_have_their_names() -> None:
    assert accepted(capture("$pageview")).type == "page.viewed"
    assert accepted(capture("$autocapture")).type == "$autocapture"


def test_time_is_corrected_by_when_the_batch_was_sent() -> None:
    body = {"batch": [{**capture(), "timestamp": "2026-03-01T05:00:00Z"}], "sent_at": "2026-03-01T05:00:30Z"}
    assert accepted(body).time == RECEIVED - 30 * times.SECOND
    body["batch"][0]["properties"]["$ignore_sent_at"] = True  # type: ignore[index]
    assert accepted(body).time == times.parse("2026-03-01T05:00:00Z")
