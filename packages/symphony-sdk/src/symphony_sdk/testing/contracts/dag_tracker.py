"""The contract of every DAG Tracker."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest

from symphony_sdk.errors import RunError
from symphony_sdk.events import RunCompleted, RunFailed, RunStarted, ends_run
from symphony_sdk.ports import DagTracker, RunRequest
from symphony_sdk.testing.contracts.contract import Contract

Result = TypeVar("Result")
Open = Callable[[], AbstractAsyncContextManager[DagTracker]]

DEADLINE = 60.0
"""Seconds that the story of one test may take."""


class DagTrackerContract(Contract):
    """Inherit it and give the three fixtures below."""

    @pytest.fixture
    def dag_tracker(self) -> Open:
        """Opens a tracker on the running event loop, and closes it."""
        pytest.fail("give a fixture `dag_tracker` that opens a tracker without runs")

    @pytest.fixture
    def completing(self) -> RunRequest:
        """A workflow that completes and has an output."""
        pytest.fail("give a fixture `completing`: a request of a workflow with an output")

    @pytest.fixture
    def failing(self) -> RunRequest:
        """A workflow that fails."""
        pytest.fail("give a fixture `failing`: a request of a workflow that fails")

    def test_a_run_ends_with_its_outputs_and_its_events_have_no_gap(
        self, dag_tracker: Open, completing: RunRequest
    ) -> None:
        """A run ends with its outputs and its events have no gap."""

        async def story(tracker: DagTracker) -> None:
            run = await tracker.start(completing)
            events = [event async for event in tracker.events(run)]
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert {event.run for event in events} == {run}
            assert isinstance(events[0], RunStarted) and isinstance(events[-1], RunCompleted)
            assert not any(ends_run(event) for event in events[:-1])
            assert [event async for event in tracker.events(run, 1)] == events[1:]
            assert await tracker.outputs(run)
            assert await tracker.request(run) == completing
            status = await tracker.status(run)
            assert (status.state, status.durable, status.process) == ("completed", len(events), 0)
            assert status.progress is not None
            assert (status.progress.percentage, status.progress.eta) == (100.0, 0.0)

        play(dag_tracker, story)

    def test_the_newest_run_is_listed_first_and_without_its_nodes(
        self, dag_tracker: Open, completing: RunRequest
    ) -> None:
        """The newest run is listed first and without its nodes."""

        async def story(tracker: DagTracker) -> None:
            runs = [await ended(tracker, await tracker.start(completing)) for _ in range(3)]
            assert [status.run for status in await tracker.runs()] == runs[::-1]
            assert [status.run for status in await tracker.runs(2)] == runs[:0:-1]
            assert all(not status.nodes for status in await tracker.runs())

        play(dag_tracker, story)

    def test_every_node_of_a_run_is_explained_and_a_compacted_run_stays_what_it_was(
        self, dag_tracker: Open, completing: RunRequest, failing: RunRequest
    ) -> None:
        """Every node of a run is explained, and a compacted run stays what it was."""

        async def story(tracker: DagTracker) -> None:
            run = await ended(tracker, await tracker.start(completing))
            status, outputs = await tracker.status(run), await tracker.outputs(run)
            explained = await tracker.explain(run)
            assert {one.node for one in explained} == set(completing.workflow["nodes"])
            assert all(one.code and one.text for one in explained)
            assert list(await tracker.explain(run, explained[0].node)) == [explained[0]]
            assert [one.run for one in await tracker.compact(dry_run=True)] == [run]
            (done,) = await tracker.compact([run])
            assert (done.run, done.state) == (run, "completed")
            assert (await tracker.status(run), await tracker.outputs(run)) == (status, outputs)
            assert await tracker.explain(run) == explained
            failed = await ended(tracker, await tracker.start(failing))
            with pytest.raises(RunError):  # it may be resumed
                await tracker.compact([failed])

        play(dag_tracker, story)

    def test_a_run_that_there_is_not_is_an_error_everywhere(self, dag_tracker: Open) -> None:
        """A run that there is not is an error everywhere."""

        async def story(tracker: DagTracker) -> None:
            asks: list[Awaitable[Any]] = [
                tracker.status("nope"),
                tracker.outputs("nope"),
                tracker.history("nope"),
                tracker.request("nope"),
                tracker.explain("nope"),
                tracker.compact(["nope"]),
                tracker.metrics("nope"),
                tracker.resume("nope"),
                tracker.pause("nope"),
                tracker.cancel("nope"),
                tracker.retry("nope"),
                tracker.rerun("nope"),
                tracker.skip("nope", "n"),
                tracker.answer("nope", "n", True, by="ada"),
            ]
            for ask in asks:
                with pytest.raises(RunError):
                    await ask
            with pytest.raises(RunError):
                async for _ in tracker.events("nope"):
                    pass

        play(dag_tracker, story)

    def test_what_is_completed_takes_no_command_but_a_retry_and_a_rerun(
        self, dag_tracker: Open, completing: RunRequest
    ) -> None:
        """What is completed takes no command but a retry and a rerun."""

        async def story(tracker: DagTracker) -> None:
            run = await ended(tracker, await tracker.start(completing))
            node = next(iter(completing.workflow["nodes"]))
            seen = (await tracker.status(run)).durable
            asks: list[Awaitable[Any]] = [
                tracker.resume(run),
                tracker.pause(run),
                tracker.cancel(run),
                tracker.retry(run),
                tracker.skip(run, node),
                tracker.answer(run, node, True, by="ada"),
            ]
            for ask in asks:
                with pytest.raises(RunError):
                    await ask
            assert (await tracker.status(run)).durable == seen
            await tracker.retry(run, node)
            events = [event async for event in tracker.events(run, seen)]
            assert isinstance(events[-1], RunCompleted)
            other = await ended(tracker, await tracker.rerun(run, nodes=[node]))
            assert other != run
            assert (await tracker.status(other)).origin == run
            assert await tracker.outputs(other) == await tracker.outputs(run)

        play(dag_tracker, story)

    def test_a_node_that_there_is_not_is_an_error(self, dag_tracker: Open, failing: RunRequest) -> None:
        """A node that there is not is an error."""

        async def story(tracker: DagTracker) -> None:
            run = await ended(tracker, await tracker.start(failing))
            asks: list[Awaitable[Any]] = [
                tracker.retry(run, "nope"),
                tracker.skip(run, "nope"),
                tracker.answer(run, "nope", True, by="ada"),
                tracker.rerun(run, nodes=["nope"]),
                tracker.rerun(run, params={"nope": {}}),
            ]
            for ask in asks:
                with pytest.raises(RunError):
                    await ask

        play(dag_tracker, story)

    def test_a_failed_run_says_why_and_can_be_resumed_retried_and_run_again(
        self, dag_tracker: Open, failing: RunRequest
    ) -> None:
        """A failed run says why and can be resumed, retried and run again."""

        async def story(tracker: DagTracker) -> None:
            run = await ended(tracker, await tracker.start(failing))
            assert (await tracker.status(run)).state == "failed"
            assert (await tracker.status(run)).error is not None
            for again in (tracker.resume, tracker.retry):
                seen = (await tracker.status(run)).durable
                await again(run)
                events = [event async for event in tracker.events(run, seen)]
                assert isinstance(events[-1], RunFailed)
            other = await ended(tracker, await tracker.rerun(run))
            assert (await tracker.status(other)).state == "failed"

        play(dag_tracker, story)

    def test_the_metrics_of_a_run_are_those_of_its_nodes_and_agree_with_its_status(
        self, dag_tracker: Open, completing: RunRequest, failing: RunRequest
    ) -> None:
        """The metrics of a run are those of its nodes and agree with its status."""

        async def story(tracker: DagTracker) -> None:
            for request in (completing, failing):
                run = await ended(tracker, await tracker.start(request))
                status, metrics = await tracker.status(run), await tracker.metrics(run)
                assert (metrics.run, metrics.workflow) == (run, status.workflow)
                assert (metrics.state, metrics.sequence) == (status.state, status.durable)
                assert [(one.node, one.state) for one in metrics.nodes] == [
                    (one.node, one.state) for one in status.nodes
                ]
                assert sum(metrics.states.values()) == len(metrics.nodes)
                assert metrics.critical_seconds <= metrics.wall <= status.seconds
                assert metrics.work == sum(one.work for one in metrics.nodes)
                assert await tracker.metrics(run) == metrics

        play(dag_tracker, story)

    def test_each_command_is_in_the_history_with_who_gave_it(
        self, dag_tracker: Open, failing: RunRequest, completing: RunRequest
    ) -> None:
        """Each command is in the history with who gave it."""

        async def story(tracker: DagTracker) -> None:
            run = await ended(tracker, await tracker.start(failing))
            await tracker.retry(run, actor="ada")
            await ended(tracker, run)
            await ended(tracker, await tracker.start(completing))
            other = await ended(tracker, await tracker.rerun(run, actor="eve"))
            history = await tracker.history()
            assert [
                (entry.run, entry.command, entry.actor) for entry in history if entry.run in (run, other)
            ] == [
                (run, "start", failing.actor),
                (run, "retry", "ada"),
                (other, "rerun", "eve"),
            ]
            assert [entry.id for entry in history] == sorted({entry.id for entry in history})
            assert await tracker.history(run) == [entry for entry in history if entry.run == run]
            assert await tracker.history(after=history[0].id, limit=2) == history[1:3]

        play(dag_tracker, story)


async def ended(tracker: DagTracker, run: str) -> str:
    """The id of a run, once it has ended.

    Args:
        tracker: Where the run is.
        run: Id of the run.
    """
    async for _ in tracker.events(run):
        pass
    return run


def play(opening: Open, story: Callable[[DagTracker], Awaitable[Result]]) -> Result:
    """What a story with an open tracker gives.

    Args:
        opening: Opens the tracker.
        story: What is done with it.
    """

    async def whole() -> Result:
        async with opening() as tracker:
            return await story(tracker)

    return asyncio.run(asyncio.wait_for(whole(), DEADLINE))
