import asyncio
import os
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import msgspec
import pytest
from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_isolation.permissions import Authority, compile_policy
from symphony_isolation.sandbox import Tier
from symphony_sdk.messages import Progress
from symphony_sdk.ports import ExtensionInfo, NodeCall, NodeEvent
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode, encode

HERE = Path(__file__).parent


class House:
    """A directory of extensions, a store, a log, and the workers that come and go."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = FakeArtifactStore()
        self.log: list[tuple[str, str, str]] = []
        self._told: asyncio.Event | None = None

    def write(self, id: str, source: str, **changes: Any) -> WorkerSpec:
        """An extension of this source."""
        module = id.replace(".", "_").replace("-", "_")
        (self.root / f"{module}.py").write_text(source)
        return self.spec(id, module, **changes)

    def zoo(self, **changes: Any) -> WorkerSpec:
        """The extension `acme.zoo`."""
        return self.spec("acme.zoo", "acme_zoo", **changes)

    def spec(self, id: str, module: str, *, tier: Tier | None = None, **changes: Any) -> WorkerSpec:
        values: dict[str, Any] = {
            "id": id,
            "version": "1.0",
            "kind": "operator",
            "module": module,
            "data_dir": str(self.root / "data" / id),
            "fingerprint": "1",
            "limits": WorkerLimits(load_timeout=30.0),
            "import_path": (str(self.root), str(HERE)),
        }
        spec = WorkerSpec(**(values | changes))
        if tier is not None:
            spec = msgspec.structs.replace(spec, sandbox=compile_policy(spec, tier))
        return spec

    def starting(self, **changes: Any) -> WorkerSpec:
        """The extension `acme.zoo`, which may start `sleep`, and sees the ids of processes that the host sees."""
        permissions = ("system:execute:process", f"file:execute:{Path(which('sleep') or '').resolve()}")
        return self.zoo(tier="fallback", permissions=permissions, **changes)

    def notes(self, id: str = "acme.zoo") -> list[str]:
        """What an extension noted in its own directory."""
        path = self.root / "data" / id / "notes"
        return path.read_text().splitlines() if path.exists() else []

    async def heard(self, text: str) -> None:
        """Wait until a line with this text is in the log."""
        while not any(text in line for line in self.texts()):
            self._told = asyncio.Event()
            await self._told.wait()

    def _hear(self, *line: str) -> None:
        self.log.append(line)  # type: ignore[arg-type]
        if self._told is not None:
            self._told.set()

    def texts(self, level: str = "") -> list[str]:
        return [text for _, of, text in self.log if level in ("", of)]

    @asynccontextmanager
    async def opened(
        self,
        *specs: WorkerSpec,
        unusable: tuple[ExtensionInfo, ...] = (),
        renewed: Callable[[str], WorkerSpec] | None = None,
        authority: Authority | None = None,
    ) -> AsyncIterator[IsolatedExtensions]:
        extensions = IsolatedExtensions(
            specs,
            cache_dir=self.root / "cache",
            artifacts=lambda: self.store,
            on_log=self._hear,
            unusable=unusable,
            renewed=renewed,
            quarantine_dir=self.root / "quarantine",
            authority=authority,
        )
        try:
            yield extensions
        finally:
            await extensions.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets workers take longer on a busy machine to end what was cancelled, and to exit; a test may know better."""
    monkeypatch.setattr("symphony_isolation.worker.CANCEL_GRACE", 30.0)
    monkeypatch.setattr("symphony_isolation.fate.EXIT_GRACE", 30.0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="session")
def house_in() -> Callable[[Path], House]:
    """Makes a house in a directory: for a test that needs several."""
    return House


@pytest.fixture
def call() -> Callable[..., Any]:
    """Calls an operation with plain values, and gives the value of its port `result`."""

    async def call(
        extensions: IsolatedExtensions,
        operation: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        node: str = "node",
        type: Any = Any,
        **inputs: Any,
    ) -> Any:
        encoded = {name: encode(value) for name, value in inputs.items()}
        request = NodeCall("run", node, operation, encoded, timeout=timeout)
        result = await extensions.call(request, on_progress)
        return decode(bytes(result.outputs["result"]), type) if result.outputs else None

    return call


class Recorder:
    """Takes the events of calls that were submitted, and waits for what is to come."""

    FINAL = ("completed", "failed", "lost", "returned")

    def __init__(self) -> None:
        self.events: list[NodeEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: NodeEvent) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, *kinds: str) -> list[NodeEvent]:
        """The events of these kinds."""
        return [event for event in self.events if event.kind in kinds]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until something holds; it is asked after each event."""
        async with asyncio.timeout(60):
            while not enough():
                self._news.clear()
                await self._news.wait()

    async def finals(self, count: int) -> dict[str, NodeEvent]:
        """The final events by node, once so many are there."""
        await self.until(lambda: len(self.of(*self.FINAL)) >= count)
        found = {event.call.node: event for event in self.of(*self.FINAL)}
        assert len(found) == len(self.of(*self.FINAL)) == count, "a call ended twice"
        return found


@pytest.fixture(scope="session")
def recorder() -> Callable[[], Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def node_call() -> Callable[..., NodeCall]:
    """Makes the call of a node from plain values."""

    def node_call(
        operation: str, node: str = "node", run: str = "run", *, timeout: float | None = None, **inputs: Any
    ) -> NodeCall:
        encoded = {name: encode(value) for name, value in inputs.items()}
        return NodeCall(run, node, operation, encoded, timeout=timeout)

    return node_call


@pytest.fixture
def under_way(call: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a call as a task, and returns when the operation has said how far it is."""

    async def start(extensions: IsolatedExtensions, operation: str, **inputs: Any) -> asyncio.Task[Any]:
        begun = asyncio.Event()
        task = asyncio.create_task(
            call(extensions, operation, on_progress=lambda progress: begun.set(), **inputs)
        )
        waiter = asyncio.create_task(begun.wait())
        await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        assert begun.is_set(), task
        return task

    return start


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process ends within ten seconds, or has ended."""

    def gone(pid: int) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], 10.0)[0])
        finally:
            os.close(descriptor)

    return gone


@pytest.fixture
def hostile(house: House) -> Callable[[str], WorkerSpec]:
    """An extension whose interpreter is a program that misbehaves in this way."""

    def hostile(how: str) -> WorkerSpec:
        program = house.root / f"python-{how}"
        program.write_text(
            f"#!{sys.executable}\nimport runpy\nMODE = {how!r}\n"
            f"runpy.run_path({str(HERE / 'hostile_worker.py')!r}, {{'MODE': MODE}})\n"
        )
        program.chmod(0o755)
        return house.spec("acme.hostile", "nothing", python=str(program))

    return hostile
