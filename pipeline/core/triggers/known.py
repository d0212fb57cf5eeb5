"""Known: what was received of one person up to a time, as families of triggers ask for it. Each answer is made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pipeline.core.episode import Purchase
from pipeline.core.fragment import Fragment
from pipeline.core.policy import Policy
from pipeline.core.purchases import purchases
from pipeline.core.quiet import Activities


class Known:
    """as_of: only facts received up to then count; None: all."""

    def __init__(self, fragments: Sequence[Fragment], as_of: int | None, policy: Policy) -> None:
        self.fragments, self.as_of, self.policy = fragments, as_of, policy

    def has(self, received: int) -> bool:
        """Whether a fact that was received then is known."""
        return self.as_of is None or received <= self.as_of

    @cached_property
    def orders(self) -> list[Purchase]:
        """By (time, order id)."""
        return purchases(self.fragments, self.as_of)

    @cached_property
    def activities(self) -> Activities:
        return Activities(self.fragments, self.as_of)
