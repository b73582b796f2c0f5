"""The orchestration of everything: check a workflow, start it, follow it, steer it, and hand its results over."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunEvent
from symphony_sdk.ports import (
    CompactedRun,
    ConductorPort,
    ExecutorPort,
    Explanation,
    ExtensionInfo,
    ExtensionPort,
    HistoryEntry,
    PitPort,
    PlanAdvice,
    Resources,
    RunMetrics,
    RunPolicy,
    RunRequest,
    RunStatus,
)
from symphony_sdk.values import decode
from symphony_workflow import Finding, Workflow, from_document, to_document, validate
from symphony_workflow.findings import invalid_workflow
from symphony_workflow.model import NO_RESOURCES

from symphony_core.inputs import bind_inputs

_log = logging.getLogger(__name__)

_UNKNOWN_OPERATION = "SYM-W013"


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended, or where it is.

    Args:
        status: Where the run is, with its nodes.
        outputs: Encoded values of the workflow's outputs by name; empty unless the run completed.
    """

    status: RunStatus
    outputs: dict[str, bytes] = {}


class SymphonyCore:
    """Runs workflows through ports; it never learns in which process a port is answered.

    Args:
        pit: The Pit; its tracker is what runs a graph.
        extensions: Brings the operations that nodes use.
        executors: Where nodes can run, by name.
        conductor: Advises; None to run each workflow as its user said.
        observers: Each sees every event of every run that this core starts or resumes.
    """

    def __init__(
        self,
        *,
        pit: PitPort,
        extensions: ExtensionPort,
        executors: Mapping[str, ExecutorPort],
        conductor: ConductorPort | None = None,
        observers: Sequence[Callable[[RunEvent], None]] = (),
    ) -> None:
        self._pit = pit
        self._extensions = extensions
        self._executors = executors
        self._conductor = conductor
        self._observers = tuple(observers)
        self._watching: set[asyncio.Task[None]] = set()

    async def validate(self, workflow: Workflow) -> list[Finding]:
        """Every fault of a workflow, against the operations and the executors that are installed.

        Args:
            workflow: The workflow.
        """
        findings = validate(workflow, await self._extensions.operations())
        findings += self._unplaceable(workflow)
        if not any(finding.code == _UNKNOWN_OPERATION for finding in findings):
            return findings
        infos = [info for info in await self._extensions.extensions() if info.reason]
        return [_explained(finding, workflow, infos) for finding in findings]

    async def start(
        self,
        workflow: Workflow,
        inputs: Mapping[str, Any],
        *,
        executor: str = "",
        labels: Mapping[str, str] | None = None,
        policy: RunPolicy | None = None,
        actor: str = "",
    ) -> str:
        """Check a workflow and begin a run of it; the id of the run, which no crash can lose any more.

        Args:
            workflow: The workflow.
            inputs: Values by the name of the input; JSON-like.
            executor: Name of the executor; the conductor's choice, or `local`, where it is empty.
            labels: Facts to keep beside the run.
            policy: How the run is run; as `RunPolicy()` says where None.
            actor: Who asks.

        Raises:
            WorkflowError: The workflow or an input has a fault; all of them are listed.
            RunError: There is no such executor.
        """
        findings = await self.validate(workflow)
        if any(finding.severity == "error" for finding in findings):
            raise invalid_workflow(workflow, findings)
        encoded = bind_inputs(workflow, inputs)
        document = to_document(workflow)
        place = executor or (await self._advice(document)).executor or "local"
        if place not in self._executors:
            raise RunError(
                f"there is no executor {place!r}",
                code="SYM-R040",
                hint=f"There are {', '.join(sorted(self._executors)) or 'none'}; `symphony list` shows extensions.",
            )
        run = await self._pit.tracker.start(
            RunRequest(
                workflow=document,
                inputs=encoded,
                executor=place,
                labels=dict(labels or {}),
                actor=actor,
                policy=policy or RunPolicy(),
            )
        )
        self._watch(run, 0)
        return run

    async def resume(self, run: str, *, actor: str = "") -> None:
        """Go on with a run that was paused, interrupted or failed.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it is completed.
        """
        seen = (await self._pit.tracker.status(run)).durable
        await self._pit.tracker.resume(run, actor=actor)
        self._watch(run, seen)

    async def pause(self, run: str, *, actor: str = "") -> None:
        """Start no further node of a run.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it has ended.
        """
        await self._pit.tracker.pause(run, actor=actor)

    async def cancel(self, run: str, *, actor: str = "") -> None:
        """End a run.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it has ended.
        """
        await self._pit.tracker.cancel(run, actor=actor)

    async def retry(self, run: str, node: str = "", *, actor: str = "") -> None:
        """Run a node again, and all that depends on it; the results of all others are kept.

        Args:
            run: Id of the run.
            node: Id of a node that has ended; empty for every node that failed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, or it cannot run again as the run stands.
        """
        before = await self._pit.tracker.status(run)
        await self._pit.tracker.retry(run, node, actor=actor)
        if not before.process:  # else whoever works on it is watched already
            self._watch(run, before.durable)

    async def rerun(
        self,
        run: str,
        *,
        nodes: Sequence[str] = (),
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        actor: str = "",
    ) -> str:
        """Begin a new run with some things changed; the results that depend on none of them are taken over.

        Args:
            run: Id of the old run.
            nodes: Ids of nodes to run again without a change.
            inputs: Values of the workflow's inputs that are changed, by name; JSON-like.
            params: Params that are changed, by node and port.
            actor: Who asks.

        Returns:
            The id of the new run.

        Raises:
            RunError: There is no such run or node.
            WorkflowError: An input is unknown, or its value is not of its type.
        """
        encoded: dict[str, bytes] = {}
        if inputs:
            request = await self._pit.tracker.request(run)
            before: dict[str, Any] = {
                name: decode(value) for name, value in request.inputs.items() if name not in inputs
            }
            bound = bind_inputs(from_document(request.workflow), {**before, **inputs})
            encoded = {name: bound[name] for name in inputs}
        new = await self._pit.tracker.rerun(run, nodes=nodes, inputs=encoded, params=params, actor=actor)
        self._watch(new, 0)
        return new

    async def skip(self, run: str, node: str, *, actor: str = "") -> None:
        """Let a node end without a result.

        Args:
            run: Id of the run.
            node: Id of a node that has not completed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, or the node is completed.
        """
        await self._pit.tracker.skip(run, node, actor=actor)

    async def answer(self, run: str, node: str, approved: bool, *, by: str, comment: str = "") -> None:
        """Answer a node that waits for a person.

        Args:
            run: Id of the run.
            node: Id of the node.
            approved: What the person says.
            by: Who that is.
            comment: Why.

        Raises:
            RunError: There is no such run or node, it waits for no answer, or not for this person's.
        """
        await self._pit.tracker.answer(run, node, approved, by=by, comment=comment)

    async def request(self, run: str) -> RunRequest:
        """What a run was asked to do: its workflow and its inputs.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """
        return await self._pit.tracker.request(run)

    async def history(self, run: str = "", *, after: int = 0, limit: int = 100) -> Sequence[HistoryEntry]:
        """Who gave which command to a run, or to any, in order.

        Args:
            run: Id of the run; empty for all.
            after: Id of the last entry already seen.
            limit: At most so many.

        Raises:
            RunError: There is no such run.
        """
        return await self._pit.tracker.history(run, after=after, limit=limit)

    async def explain(self, run: str, node: str = "") -> Sequence[Explanation]:
        """Why each node of a run was computed, or was not.

        Args:
            run: Id of the run.
            node: Id of a node; empty for all.

        Raises:
            RunError: There is no such run or node.
        """
        return await self._pit.tracker.explain(run, node)

    async def compact(
        self, runs: Sequence[str] = (), *, older_than: float = 0.0, dry_run: bool = False
    ) -> Sequence[CompactedRun]:
        """Make the logs of runs that are over small; their states, outputs and history stay.

        Args:
            runs: Ids of runs; none for all that are completed or cancelled and were not compacted before.
            older_than: Only those that ended so many seconds ago.
            dry_run: Only say what would be done.

        Raises:
            RunError: There is no such run, it may still go on, or the log cannot be written.
        """
        return await self._pit.tracker.compact(runs, older_than=older_than, dry_run=dry_run)

    def events(self, run: str, after: int = 0) -> AsyncIterator[RunEvent]:
        """What happened and happens in a run, until it ends.

        Args:
            run: Id of the run.
            after: Sequence number of the last event already seen.

        Raises:
            RunError: There is no such run.
        """
        return self._pit.tracker.events(run, after)

    async def outcome(self, run: str) -> Outcome:
        """Where a run is, and its outputs once it completed.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """
        status = await self._pit.tracker.status(run)
        outputs = await self._pit.tracker.outputs(run) if status.state == "completed" else {}
        return Outcome(status, dict(outputs))

    async def metrics(self, run: str) -> RunMetrics:
        """What a run took until now, or until its end: times, waits, bytes and memory.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """
        return await self._pit.tracker.metrics(run)

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest runs first.

        Args:
            limit: At most so many.
        """
        return await self._pit.tracker.runs(limit)

    async def close(self) -> None:
        """Stop following runs; whoever made the ports closes them."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _unplaceable(self, workflow: Workflow) -> list[Finding]:
        """What no executor could ever run."""
        found = []
        for place, flow in (("", workflow), *((inner.id, inner) for inner in workflow.workflows)):
            for node in flow.nodes:
                needs = getattr(node, "resources", NO_RESOURCES)
                if needs == NO_RESOURCES:
                    continue
                asked = Resources(needs.cpu, needs.memory, needs.gpu, needs.custom)
                if not any(self._executors[name].can_place(asked) for name in self._executors):
                    message = (
                        f"node {node.id!r} needs more cores, memory, devices or else than any executor has"
                    )
                    hint = "Lower its `resources`, or install an executor that has as much: it would wait for ever."
                    found.append(Finding("SYM-W027", "error", message, hint, node.id, workflow=place))
        return found

    async def _advice(self, document: dict[str, Any]) -> PlanAdvice:
        if self._conductor is None:
            return PlanAdvice()
        try:
            return await self._conductor.plan(document, tuple(sorted(self._executors)))
        except Exception:  # noqa: BLE001 - advice comes from foreign code, and a run never depends on it
            _log.exception("the conductor gave no advice; the run goes on without it")
            return PlanAdvice()

    def _watch(self, run: str, after: int) -> None:
        if self._observers:
            task = asyncio.create_task(self._observe(run, after))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def _observe(self, run: str, after: int) -> None:
        async for event in self._pit.tracker.events(run, after):
            for observer in self._observers:
                try:
                    observer(event)
                except Exception:  # noqa: BLE001 - an observer is foreign code; it harms neither run nor others
                    _log.exception("an observer failed at event %d of run %s", event.sequence, run)


def _explained(finding: Finding, workflow: Workflow, infos: Sequence[ExtensionInfo]) -> Finding:
    """The finding, with the reason where the extension that would bring the operation cannot be used."""
    uses = next((getattr(node, "uses", "") for node in workflow.nodes if node.id == finding.node), "")
    for info in infos:
        if finding.code == _UNKNOWN_OPERATION and uses.startswith(f"{info.id}."):
            hint = f"The extension {info.id} is {info.state}: {info.reason}. See `symphony doctor`."
            return replace(finding, hint=hint)
    return finding
