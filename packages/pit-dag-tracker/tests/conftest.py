"""A desk to try the tracker at: a real executor of asyncio tasks, a real log, and short ways to write flows."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pit_dag_tracker import Tracker
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import Cancelled, ErrorPayload, SymphonyError
from symphony_sdk.events import RunEvent
from symphony_sdk.ports import ExtensionInfo, NodeCall, NodeEvent, Resources, RunRequest
from symphony_sdk.testing.fakes.pit import FakeArtifactStore
from symphony_sdk.values import decode, encode

Operation = Callable[..., Awaitable[dict[str, Any]]]
EDGE = re.compile(r"(\$?[\w-]+)(?:\.(\w+))? -> ([\w-]+)(?:\.(\w+))?(?: if (.+))?")


class Retryable(Exception):
    """What an operation raises where another attempt may help."""


class TaskExecutor:
    """Runs operations as asyncio tasks, `slots` at once, and remembers what it was asked."""

    name = "local"

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.capacity: Resources | None = None
        self.operations: dict[str, Operation] = {}
        self.calls: list[NodeCall] = []
        self.cancels: list[tuple[str, str, bool]] = []
        self.running = 0
        self.peak = 0
        self.held = 0
        self.peak_held = 0
        self.deaf = False
        self.seconds = 0.001
        self.place = ""
        self.fingerprint = ""
        self._free = asyncio.Semaphore(slots)
        self._tasks: dict[asyncio.Task[None], NodeCall] = {}

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return self.slots > 0

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        self.calls.extend(batch)
        for call in batch:
            task = asyncio.get_running_loop().create_task(self._run(call, on_event))
            self._tasks[task] = call
            task.add_done_callback(partial(self._ended, on_event))
        self.held += len(batch)
        self.peak_held = max(self.peak_held, self.held)

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        self.cancels.append((run, node, force))
        for task, call in list(self._tasks.items()):
            meant = call.run == run and node in ("", call.node) and item in (-1, call.item)
            if meant and (force or not self.deaf):
                task.cancel()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, on_event: Callable[[NodeEvent], None], task: asyncio.Task[None]) -> None:
        call = self._tasks.pop(task)
        if task.cancelled():  # before it had begun
            self.held -= 1
            on_event(NodeEvent(call, "failed", error=Cancelled("cancelled").payload(), place=self.place))

    async def _run(self, call: NodeCall, on_event: Callable[[NodeEvent], None]) -> None:
        error: ErrorPayload | None = None
        retryable = False
        outputs: dict[str, bytes] = {}
        try:
            async with self._free:
                on_event(NodeEvent(call=call, kind="started"))
                self.running += 1
                self.peak = max(self.peak, self.running)
                try:
                    inputs = {port: decode(value) for port, value in call.inputs.items()}
                    result = await self.operations[call.operation](call, **inputs)
                    outputs = {
                        port: value if isinstance(value, RawValue) else encode(value)
                        for port, value in result.items()
                    }
                finally:
                    self.running -= 1
        except asyncio.CancelledError:
            error = Cancelled("cancelled").payload()
        except Retryable as failure:
            error, retryable = ErrorPayload("TEST-001", str(failure)), True
        except SymphonyError as failure:
            error = failure.payload()
        except Exception as failure:  # noqa: BLE001 - an operation may raise anything
            error = ErrorPayload("TEST-002", str(failure))
        self.held -= 1
        if error is None:
            on_event(
                NodeEvent(
                    call=call,
                    kind="completed",
                    outputs=outputs,
                    seconds=self.seconds,
                    place=self.place,
                    fingerprint=self.fingerprint,
                )
            )
        else:
            on_event(NodeEvent(call=call, kind="failed", error=error, retryable=retryable, place=self.place))


def inner(flow: dict[str, Any]) -> dict[str, Any]:
    """A flow as it stands among the `workflows` of another."""
    return {name: value for name, value in flow.items() if name not in ("schema", "id")}


class RawValue(bytes):
    """Bytes that an operation gives as they are, encoded or not."""


class Installed:
    """One extension, `t.t`, with all operations of an executor; a test may change what is known of it."""

    def __init__(self, executor: TaskExecutor) -> None:
        self.executor = executor
        self.release = "1.0"
        self.fingerprint = "f1"
        self.versions: dict[str, int] = {}
        self.once: set[str] = set()
        self.short: set[str] = set()
        self.pure: dict[str, bool] = {}
        self.permissions: tuple[str, ...] = ()
        self.others: list[ExtensionInfo] = []

    async def operations(self) -> dict[str, OperationSpec]:
        return {
            name: OperationSpec(
                name,
                "operator",
                version=self.versions.get(name, 1),
                idempotent=name not in self.once,
                short=name in self.short,
                pure=self.pure.get(name),
            )
            for name in self.executor.operations
        }

    async def extensions(self) -> list[ExtensionInfo]:
        return [
            ExtensionInfo(
                "t.t",
                self.release,
                "operator",
                "active",
                fingerprint=self.fingerprint,
                permissions=self.permissions,
            ),
            *self.others,
        ]


class Desk:
    """Everything that a test of the tracker needs, in one directory."""

    Retryable = Retryable
    RawValue = RawValue

    def __init__(self, directory: Path, slots: int = 2) -> None:
        self.directory = directory
        self.executor = TaskExecutor(slots)
        self.installed = Installed(self.executor)
        self.artifacts: Any = FakeArtifactStore()
        self.services: Any = SimpleNamespace(
            config={},
            data_dir=directory,
            executors={"local": self.executor},
            pit=SimpleNamespace(artifacts=self.artifacts),
        )

        async def echo(call: NodeCall, **inputs: Any) -> dict[str, Any]:
            return {"result": inputs.get("x", call.node)}

        async def boom(call: NodeCall, **inputs: Any) -> dict[str, Any]:
            raise RuntimeError(f"{call.node} is broken")

        self.executor.operations.update({"t.t.echo": echo, "t.t.boom": boom})

    def remember(self) -> None:
        """Let results of earlier runs stand in: what the operations are is known from now on."""
        self.services.extensions = self.installed

    def new_calls(self) -> list[str]:
        """The nodes that were called since this was asked last, in order of their names."""
        calls, self.executor.calls = self.executor.calls, []
        return sorted(call.node if call.item < 0 else f"{call.node}[{call.item}]" for call in calls)

    def operation(self, name: str) -> Callable[[Operation], Operation]:
        def register(function: Operation) -> Operation:
            self.executor.operations[f"t.t.{name}"] = function
            return function

        return register

    def gate(self, name: str = "gated") -> tuple[asyncio.Event, asyncio.Event]:
        """Make an operation that waits: what lets it go on, and what is set when its first call waits."""
        opened, reached = asyncio.Event(), asyncio.Event()

        @self.operation(name)
        async def wait(call: NodeCall, **inputs: Any) -> dict[str, Any]:
            reached.set()
            await opened.wait()
            return {"result": call.node}

        return opened, reached

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Tracker]:
        tracker = Tracker(self.services)
        try:
            yield tracker
        finally:
            await tracker.close()
            await self.executor.stop()

    def play(self, story: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(asyncio.wait_for(story, 60))

    def flow(
        self,
        nodes: dict[str, Any],
        edges: Sequence[str] = (),
        *,
        inputs: dict[str, Any] | None = None,
        outputs: dict[str, str] | None = None,
        workflows: dict[str, dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """`nodes`: id -> name of an operation, or the fields of the node."""
        described = {}
        for id, fields in nodes.items():
            fields = {"uses": fields} if isinstance(fields, str) else dict(fields)
            if "uses" in fields and not fields["uses"].startswith("#"):
                fields["uses"] = f"t.t.{fields['uses']}"
            described[id] = {"kind": "control" if "control" in fields else "operator", **fields}
        drawn = []
        for text in edges:
            found = EDGE.fullmatch(text)
            assert found, text
            source, port, target, target_port, condition = found.groups()
            if condition:
                drawn.append({"kind": "conditional", "from": source, "to": target, "condition": condition})
            elif port:
                drawn.append({"from": f"{source}.{port}", "to": f"{target}.{target_port}"})
            else:
                drawn.append({"kind": "control", "from": source, "to": target})
        return {
            "schema": 2,
            "id": "flow",
            "inputs": inputs or {},
            "nodes": described,
            "edges": drawn,
            "outputs": outputs or {},
            **({"workflows": {id: inner(one) for id, one in workflows.items()}} if workflows else {}),
        }

    def request(self, flow: dict[str, Any], **inputs: Any) -> RunRequest:
        return RunRequest(workflow=flow, inputs={name: encode(value) for name, value in inputs.items()})

    async def run(self, tracker: Tracker, flow: dict[str, Any], **inputs: Any) -> tuple[str, list[RunEvent]]:
        run = await tracker.start(self.request(flow, **inputs))
        return run, await self.follow(tracker, run)

    async def follow(self, tracker: Tracker, run: str, after: int = 0) -> list[RunEvent]:
        return [event async for event in tracker.events(run, after)]

    async def states(self, tracker: Tracker, run: str) -> dict[str, str]:
        return {node.node: node.state for node in (await tracker.status(run)).nodes}

    async def outputs(self, tracker: Tracker, run: str) -> dict[str, Any]:
        return {name: decode(value) for name, value in (await tracker.outputs(run)).items()}

    def called(self) -> list[str]:
        return [call.node for call in self.executor.calls]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def new_desk() -> type[Desk]:
    return Desk
