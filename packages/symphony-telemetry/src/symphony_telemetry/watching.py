"""Watches the runs of a host and tells the sinks what they took.

Seeing an event costs a run no more than a note of it. Now and then, and when a run ends, the tracker is asked for the
metrics of the runs of which something was noted; a thread tells them to the sinks.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence

import msgspec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    RunEvent,
    RunResumed,
    RunStarted,
    RunWaiting,
    ends_run,
    event_name,
)
from symphony_sdk.ports import PitPort, RunMetrics

from symphony_telemetry.sinks import NodeEnd, Run, Sink

MOST_NOTED = 50_000
"""Ends of nodes of one run that may wait to be told; what comes beyond is dropped, and counted."""

MOST_NAMES = 200
"""Different workflows, and operations of each, that labels name; all further ones together are `(other)`."""

OTHER = "(other)"
TRACE_LABEL = "traceparent"
"""The label of a run that has the W3C trace context that it belongs to."""

_log = logging.getLogger(__name__)
_NODE_ENDS = frozenset({NodeCompleted, NodeFailed, NodeReused, NodeSkipped})


class _Notes:
    """What was seen of a run since it was last told."""

    __slots__ = ("begin", "begun", "dropped", "end", "ends", "retries", "run", "state")

    def __init__(self, begin: RunStarted | RunResumed) -> None:
        self.begin = begin
        self.run: Run | None = None
        self.begun = False
        self.state = "running"
        self.ends: dict[str, NodeEnd] = {}
        self.retries: Counter[str] = Counter()
        self.dropped = 0
        self.end: RunEvent | None = None

    @property
    def anything(self) -> bool:
        return not self.begun or bool(self.ends or self.retries or self.dropped or self.end)


class Telemetry:
    """Watches runs; an [ObserverPort][symphony_sdk.ports.ObserverPort].

    Args:
        pit: Its tracker tells what runs took.
        sinks: Where they are told of.
        interval: Seconds between two looks at the runs that are under way.
    """

    def __init__(self, pit: PitPort, sinks: Sequence[Sink], *, interval: float) -> None:
        self._pit = pit
        self._sinks = sinks
        self._interval = interval
        self._going_on: dict[str, _Notes] = {}
        self._over: list[_Notes] = []
        self._workflows: set[str] = set()
        self._operations: dict[str, set[str]] = {}
        self._due = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._tell_forever())

    def see(self, event: RunEvent) -> None:
        """Note an event.

        Args:
            event: What happened in a run.
        """
        kind = type(event)
        if kind is RunStarted or kind is RunResumed:
            self._set_aside(event.run)
            self._going_on[event.run] = _Notes(event)  # type: ignore[arg-type]
            self._due.set()
            return
        notes = self._going_on.get(event.run)
        if notes is None:  # steered while nobody worked on it
            return
        if kind in _NODE_ENDS:
            notes.state = "running"
            if len(notes.ends) < MOST_NOTED:
                notes.ends[event.node] = event  # type: ignore[union-attr, assignment]
            else:
                notes.dropped += 1
        elif kind is NodeRetrying:
            notes.retries[event.node] += 1  # type: ignore[union-attr]
        elif kind is RunWaiting:
            notes.state = "waiting"
            self._due.set()
        elif ends_run(event):
            notes.end = event
            self._set_aside(event.run)
            self._due.set()

    async def close(self) -> None:
        """Tell what is left, and let the sinks finish, which takes a few seconds at most."""
        self._closing = True
        self._due.set()
        await self._task
        await asyncio.to_thread(self._close_sinks)

    def _set_aside(self, run: str) -> None:
        if run in self._going_on:
            self._over.append(self._going_on.pop(run))

    async def _tell_forever(self) -> None:
        closing = False
        while not closing:
            with contextlib.suppress(TimeoutError):  # the interval is over
                await asyncio.wait_for(self._due.wait(), self._interval)
            self._due.clear()
            closing = self._closing  # what was seen until then is told below
            await self._tell_all()

    async def _tell_all(self) -> None:
        over, self._over = self._over, []
        for notes in [*over, *self._going_on.values()]:
            try:
                await self._tell(notes)
            except Exception:  # noqa: BLE001 - sinks lean on foreign libraries; what is told of one run harms no other
                _log.exception("run %s could not be told of", notes.begin.run)
        states = Counter(
            (notes.run.workflow, notes.state) for notes in self._going_on.values() if notes.run is not None
        )
        await asyncio.to_thread(self._finish, states)

    async def _tell(self, notes: _Notes) -> None:
        if not notes.anything:
            return
        begin, tracker = notes.begin, self._pit.tracker
        ends, retries, dropped = notes.ends, notes.retries, notes.dropped
        notes.ends, notes.retries, notes.dropped = {}, Counter(), 0
        if notes.run is None or ends or retries:
            try:
                metrics = await tracker.metrics(begin.run)
                if notes.run is None:
                    labels = (await tracker.request(begin.run)).labels
                    notes.run = Run(
                        begin.run,
                        _bounded(metrics.workflow, self._workflows),
                        begin.sequence,
                        begin.at,
                        begin.origin if isinstance(begin, RunStarted) else "",
                        labels.get(TRACE_LABEL, ""),
                    )
            except SymphonyError:
                if notes.run is None:
                    raise
                _log.exception("run %s cannot be asked what it took", begin.run)
                dropped, ends, retries, metrics = dropped + len(ends), {}, Counter(), None
        else:
            metrics = None
        await asyncio.to_thread(self._record, notes, notes.run, metrics, ends, retries, dropped)

    def _record(
        self,
        notes: _Notes,
        run: Run,
        metrics: RunMetrics | None,
        ends: dict[str, NodeEnd],
        retries: Counter[str],
        dropped: int,
    ) -> None:
        nodes = {node.node: node for node in metrics.nodes} if metrics is not None else {}
        operations = self._operations.setdefault(run.workflow, set())
        for sink in self._sinks:
            if not notes.begun:
                sink.begun(run)
            for name, times in retries.items():
                if name in nodes:
                    sink.retried(run, _bounded(nodes[name].operation, operations), times)
            for name, end in ends.items():
                node = nodes.get(name)
                if node is not None:
                    operation = _bounded(node.operation, operations)
                    if operation is not node.operation:
                        node = msgspec.structs.replace(node, operation=operation)
                    sink.node(run, node, end, nodes.get(owner(name)))
            if dropped:
                sink.dropped(dropped)
            if notes.end is not None:
                state = event_name(notes.end).removeprefix("run-")
                sink.ended(run, state, max(0.0, notes.end.at - run.began), notes.end)
        notes.begun = True

    def _finish(self, states: Counter[tuple[str, str]]) -> None:
        for sink in self._sinks:
            sink.under_way(states)
            sink.flush()

    def _close_sinks(self) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except Exception:  # noqa: BLE001 - as above: the others are to be closed
                _log.exception("%s did not close", type(sink).__name__)


def owner(node: str) -> str:
    """The name of the node that runs the workflow which a node is a part of; empty for a node of the run itself.

    Args:
        node: The name of a node in a run, such as `each[3]/parse`.
    """
    outer = node.rpartition("/")[0]
    return outer.rpartition("[")[0] if outer.endswith("]") else outer


def _bounded(name: str, known: set[str]) -> str:
    """`name`, or what stands for all names where there are too many."""
    if name in known or not name:
        return name
    if len(known) < MOST_NAMES:
        known.add(name)
        return name
    return OTHER
