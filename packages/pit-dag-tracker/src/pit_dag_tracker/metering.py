"""Answers what a run took, whether it goes on here or is in the log; a run that nobody asks about pays nothing."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

from symphony_sdk.ports.metrics import RunMetrics

from pit_dag_tracker.feed import Feed
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.measures import Measures
from pit_dag_tracker.metrics import run_metrics
from pit_dag_tracker.records import Records
from pit_dag_tracker.scheduler import Scheduler


class Metering:
    """What runs took.

    Args:
        log: Keeps the runs.
        records: Tells who works on a run.
        live: The runs that are under way here.
        workflows: The ids of their workflows.
    """

    def __init__(
        self, log: EventLog, records: Records, live: Mapping[str, Scheduler], workflows: Mapping[str, str]
    ) -> None:
        self._log = log
        self._records = records
        self._live = live
        self._workflows = workflows
        self._meters: WeakKeyDictionary[Scheduler, _Meter] = WeakKeyDictionary()

    async def metrics(self, run: str) -> RunMetrics:
        """What a run took until now, or until its end.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        live = self._live.get(run)
        if live is None:
            return await asyncio.to_thread(self._recorded, run)
        meter = self._meters.get(live)
        if meter is None:
            meter = self._meters[live] = _Meter(live.ledger.graph, live.feed)
        return await meter.read(run, self._workflows[run])

    def _recorded(self, run: str) -> RunMetrics:
        row = self._log.run(run)
        graph = Graph(self._records.blueprints(row)[0])
        measures = Measures(graph)
        for event, _ in self._log.entries(run):
            measures.apply(event)
        brief = self._records.brief(row)
        until = time.time() if brief.process and measures.going_on else measures.last
        return run_metrics(measures, list(graph.order), run, row.workflow, brief.state, until)


class _Meter:
    """The measures of one run that is under way, brought up to date each time that somebody asks."""

    def __init__(self, graph: Graph, feed: Feed) -> None:
        self._graph = graph
        self._feed = feed
        self._measures = Measures(graph)
        self._order: list[int] = []
        self._turn = asyncio.Lock()

    async def read(self, run: str, workflow: str) -> RunMetrics:
        async with self._turn:
            measures = self._measures
            async for burst in self._feed.past(measures.ledger.sequence):
                for event in burst:
                    measures.apply(event)
                await asyncio.sleep(0)  # the run goes first
            if len(self._order) != len(self._graph.names):
                self._order = list(self._graph.order)
            until = time.time() if measures.going_on else measures.last
            state = cast("Any", measures.ledger.run_state.value)
            return await asyncio.to_thread(run_metrics, measures, self._order, run, workflow, state, until)
