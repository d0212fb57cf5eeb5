"""The consumer group: who is a member, and which shards it deals to whom. Every change stops all members for a moment.

A member that is not heard of for SESSION_S is one no more. It learns of that when it goes on.
"""

from __future__ import annotations

from random import Random
from typing import Any

SESSION_S = 2.0
BEAT_S = 0.5
DELAY_S = 0.3


class Membership:
    def __init__(self, chance: Random, shards: int) -> None:
        self._chance, self._shards = chance, shards
        self._members: list[Any] = []
        self._dealt: dict[int, Any] = {}
        self._round = 0
        self._ready: list[Any] | None = None
        """Members that gave up what they had; None: nothing is being dealt out."""

    def join(self, process: Any) -> None:
        if process not in self._members:
            self._members.append(process)
        process.heard = process.time
        self.rebalance(ready=process)

    def leave(self, process: Any) -> None:
        if process in self._members:
            self._members.remove(process)
            self.rebalance()

    def rebalance(self, ready: Any = None) -> None:
        self._round += 1
        self._ready = []
        for process in self._members:
            if process is ready:
                process.round = self._round
                self._ready.append(process)
            else:
                process.revoke(self._round)
        self._deal()

    def revoked(self, process: Any, round: int) -> None:
        if self._ready is not None and round == self._round and process in self._members:
            self._ready.append(process)
            self._deal()

    def beat(self, processes: list[Any], time: float) -> None:
        """Once every BEAT_S: running processes are heard of; those that are not known any more hear of that."""
        for process in processes:
            if not process.ended and process.paused <= time and process.begun:
                if process in self._members:
                    process.heard = time
                else:
                    process.rejoin()
        silent = [process for process in self._members if time - process.heard > SESSION_S]
        self._members = [process for process in self._members if process not in silent]
        for process in silent:
            process.expelled = True
        if silent and self._ready is None:
            self.rebalance()
        elif silent:
            self._deal()

    def _deal(self) -> None:
        """Once all members are ready."""
        if self._ready is None or not self._members or any(one not in self._ready for one in self._members):
            return
        self._ready = None
        sticky = self._chance.random() < 0.5
        for shard in range(self._shards):
            if not sticky or self._dealt.get(shard) not in self._members:
                self._dealt[shard] = self._chance.choice(self._members)
        for process in self._members:
            shards = [shard for shard in range(self._shards) if self._dealt[shard] is process]
            self._assign(process, shards, self._round)

    def _assign(self, process: Any, shards: list[int], round: int) -> None:
        process.after(self._chance.uniform(0.0, DELAY_S), lambda: process.assign(shards, round))
