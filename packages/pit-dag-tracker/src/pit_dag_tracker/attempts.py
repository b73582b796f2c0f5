"""Counts the attempts at the nodes and items of one run, and lets those that failed wait for their next one."""

import asyncio
import random
from collections.abc import Callable, Iterable

from symphony_sdk.errors import ErrorPayload
from symphony_workflow.model import ONCE, Node

from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.waiting import Key


class Attempts:
    """The attempts of one run; while the run is stopping, no wait ends.

    Args:
        ledger: Where the run is.
        stopping: Whether the run is stopping.
        again: Takes a node or an item whose wait is over.
    """

    def __init__(self, ledger: Ledger, *, stopping: Callable[[], bool], again: Callable[[Key], None]) -> None:
        self._ledger = ledger
        self._stopping = stopping
        self._again = again
        self._before = {number: count for number, count in enumerate(ledger.attempt) if count}
        self._made: dict[Key, int] = {}
        self._failures: dict[Key, int] = {}
        self._lost: dict[Key, list[str]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    @property
    def waiting(self) -> bool:
        """Whether any next attempt is waited for."""
        return bool(self._timers)

    def next(self, number: int) -> int:
        """Number of the next attempt at a node, counted from 1.

        Args:
            number: The node.
        """
        if not self._made and not self._before:
            return 1
        return self._before.get(number, 0) + self._made.get((number, -1), 0) + 1

    def made(self, key: Key) -> int:
        """How many attempts at a node or an item were made in this round of them.

        Args:
            key: The node or item.
        """
        return self._made.get(key, 0)

    def fail(self, key: Key, node: Node, error: ErrorPayload) -> float | None:
        """Count a failed attempt; the seconds until the next one, or None where there is none.

        Args:
            key: The node or item.
            node: The node.
            error: Why it failed.
        """
        policy, failures = getattr(node, "retry", ONCE), self._failures.get(key, 0) + 1
        if failures >= policy.attempts or not policy.covers(error.code):
            return None
        self._failures[key] = failures
        self._made[key] = self._made.get(key, 0) + 1
        self._lost.pop(key, None)
        return policy.wait(failures, random.random())  # noqa: S311 - no secret

    def lose(self, key: Key, place: str) -> list[str]:
        """Count an attempt that was lost with the place where it was made.

        Args:
            key: The node or item.
            place: The place.

        Returns:
            Every place that was lost with an attempt since one last failed of itself.
        """
        self._made[key] = self._made.get(key, 0) + 1
        places = self._lost.setdefault(key, [])
        places.append(place)
        return places

    def wait(self, key: Key, delay: float) -> None:
        """Let a node or an item wait for its next attempt.

        Args:
            key: The node or item.
            delay: Seconds.
        """
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._end_wait, key)
        if self._stopping():
            self._timers[key].cancel()

    def hurry(self, number: int) -> None:
        """End the waits of a node and its items at once.

        Args:
            number: The node.
        """
        for key in self._of(number):
            self._end_wait(key)

    def withdraw(self, number: int) -> None:
        """Let nothing of a node wait any more.

        Args:
            number: The node.
        """
        for key in self._of(number):
            self._timers.pop(key).cancel()

    def hold(self) -> None:
        """Let no wait end: the run stops."""
        for timer in self._timers.values():
            timer.cancel()

    def go_on(self) -> None:
        """End every wait at once: the run does not stop after all."""
        for key in list(self._timers):
            self._end_wait(key)

    def renew(self, numbers: Iterable[int]) -> None:
        """Begin a new round of attempts at some nodes.

        Args:
            numbers: The nodes.
        """
        renewed = set(numbers)
        for number in renewed:
            self._before[number] = self._ledger.attempt[number]
        for counts in (self._made, self._failures, self._lost):
            for key in [key for key in counts if key[0] in renewed]:
                del counts[key]

    def _of(self, number: int) -> list[Key]:
        return [key for key in self._timers if key[0] == number]

    def _end_wait(self, key: Key) -> None:
        self._timers.pop(key).cancel()
        self._again(key)
