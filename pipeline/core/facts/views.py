"""Product views, visits of stores and touches of campaigns: sets of events in the order of time, within bounds.

Of touches the first and the newest stay, and those between go; of views and visits the newest stay.
"""

from __future__ import annotations

from typing import Final

from pipeline.core.facts.bounded import count_dropped, insert
from pipeline.core.facts.lines import lines_of
from pipeline.core.fragment import CampaignTouch, Fragment, Viewed, Visit
from pipeline.core.identifiers import Registry
from pipeline.core.touchpoint import Touchpoint

_VISITS_MAX: Final = 200
_LINES_MAX: Final = 8
"""Products of one view: it is one as a rule."""


def fold_view(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    data, views = tp.data, fragment.views
    lines = lines_of(fragment, data.items, _LINES_MAX) if data.items else []
    insert(views, Viewed(tp.time, tp.id, tp.source, tp.received, tp.channel, data.session, lines))
    if len(views) > registry.policy.bounds.views:
        del views[0]
        count_dropped(fragment, "views")


def fold_visit(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """store.visited, store.item_scanned"""
    store, visits = tp.data.store, fragment.visits
    insert(visits, Visit(tp.time, tp.id, tp.source, tp.received, tp.type, None if store is None else store.id))
    if len(visits) > _VISITS_MAX:
        del visits[0]
        count_dropped(fragment, "visits")


def fold_touch(fragment: Fragment, tp: Touchpoint, registry: Registry) -> None:
    """Of a touchpoint with a campaign."""
    campaign, touches = tp.data.campaign, fragment.touches
    if campaign is None or not (campaign.source or campaign.medium or campaign.name):
        return
    texts = (campaign.source or None, campaign.medium or None, campaign.name or None)
    insert(touches, CampaignTouch(tp.time, tp.id, tp.source, tp.received, tp.channel, *texts))
    first, newest = registry.policy.bounds.touches
    if len(touches) > first + newest:
        del touches[first]
        count_dropped(fragment, "touches")
