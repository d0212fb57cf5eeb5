"""Reasons in words, for people who read a line about a trigger or its story."""

from __future__ import annotations

from typing import Final

WHY: Final = {
    "too_old": "known too late",
    "robot": "more than a person buys",
    "below_threshold": "worth too little",
    "shared": "an identifier of several persons",
    "excluded": "in a segment that is never addressed",
    "holdout": "in the control group",
    "higher_family": "something more important was said or is about to be",
    "not_addressable": "no address",
    "consent": "no consent",
    "out_of_stock": "nothing of it is in stock",
    "cap_24h": "something was said within a day",
    "cap_7d": "enough was said this week",
    "late_purchase": "bought before it fired",
    "identity_merge": "bought before it fired by who turned out to be the same person",
    "purchase_before_send": "bought before it was to be sent",
    "emptied": "nothing was left before it fired",
    "superseded": "moved into another cart before it fired",
    "duplicate_after_merge": "the same person had been told already",
    "erasure": "the person was erased",
}
"""Code -> words, those of a withdrawal after those of a suppression."""


def why(reasons: list[str]) -> str:
    """Reasons in the order given, each in words with its code."""
    return ", ".join(f"{WHY[reason]} ({reason})" if reason in WHY else reason for reason in reasons)
