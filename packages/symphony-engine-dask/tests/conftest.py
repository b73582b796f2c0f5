import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from symphony_engine_dask import DaskCluster, DaskSettings
from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_isolation.cluster import Fleet, FleetSettings
from symphony_sdk.ports import NodeCall, NodeEvent
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

SOURCE = '''
"""An extension whose calls say where they run, and leave a line of each in a ledger."""

import os
import time
from pathlib import Path

from symphony_sdk import ArtifactRef, operator, provides_operators


@operator("acme.dock.note")
def note(ctx, ledger: str, line: str) -> int:
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\\n".encode())
    os.close(descriptor)
    return os.getpid()


@operator("acme.dock.wait")
def wait(ctx) -> None:
    ctx.progress(0.0, str(os.getpid()))
    ctx._cancelled.wait()


@operator("acme.dock.store")
def store(ctx, text: str) -> ArtifactRef:
    return ctx.artifacts.put(text.encode(), name="dock.txt")


@operator("acme.dock.where")
def where(ctx) -> dict[str, str]:
    return {"cwd": os.getcwd(), "pid": str(os.getpid())}


@provides_operators
def symphony_operators():
    yield from (note, wait, store, where)
'''


class Recorder:
    """Takes the events of calls, and waits for what they say."""

    def __init__(self) -> None:
        self.events: list[NodeEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: NodeEvent) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, *kinds: str) -> list[NodeEvent]:
        return [event for event in self.events if event.kind in kinds]

    async def until(self, count: int, *kinds: str) -> list[NodeEvent]:
        """The events of these kinds, once there are so many."""
        async with asyncio.timeout(60):
            while len(found := self.of(*kinds)) < count:
                self._news.clear()
                await self._news.wait()
        return found

    async def ended(self, count: int) -> list[NodeEvent]:
        return await self.until(count, "completed", "failed", "lost")


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def node_call() -> Callable[..., NodeCall]:
    def node_call(operation: str, node: str = "node", **inputs: Any) -> NodeCall:
        return NodeCall("run", node, operation, {name: encode(value) for name, value in inputs.items()})

    return node_call


@pytest.fixture
def machine_of() -> Callable[[int], int]:
    """The process of the engine that a worker belongs to: its first ancestor that is none of the workers' own."""

    def machine_of(pid: int) -> int:
        while b"symphony_isolation" in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return pid

    return machine_of


@pytest.fixture
def dock(tmp_path: Path) -> Callable[..., Any]:
    """Opens a fleet on Dask for the extension `acme.dock`."""
    module = tmp_path / "acme_dock.py"
    module.write_text(SOURCE)
    spec = WorkerSpec(
        id="acme.dock",
        version="1.0",
        kind="operator",
        module="acme_dock",
        data_dir=str(tmp_path / "data"),
        fingerprint="1",
        limits=WorkerLimits(load_timeout=30.0),
        import_path=(str(tmp_path),),
        permissions=(f"file:write:{tmp_path}/**",),
        sandbox="fallback",  # in which a worker knows its process as the machine does
    )

    @asynccontextmanager
    async def opened(*, start: bool = True, patience: float = 60.0, **options: Any) -> AsyncIterator[Any]:
        store = FakeArtifactStore()
        extensions = IsolatedExtensions(
            [spec], cache_dir=tmp_path / "cache", artifacts=lambda: store, on_log=lambda *line: None
        )
        settings = DaskSettings(patience=patience, **options)
        cluster = DaskCluster(settings)
        fleet = Fleet(
            cluster,
            extensions,
            lambda: store,
            FleetSettings(settings.project, settings.start_timeout, settings.patience),
        )

        async def ready(count: int) -> list[str]:
            """Wait until so many machines take calls."""
            async with asyncio.timeout(60):
                while len(names := [n for n, member in fleet._members.items() if member.ready]) < count:
                    fleet._news.clear()
                    await fleet._news.wait()
            return names

        try:
            if start:
                await fleet.start()
                await ready(options.get("workers", 1 if options.get("address") else 2))
            yield SimpleNamespace(fleet=fleet, cluster=cluster, store=store, ready=ready)
        finally:
            await fleet.stop()
            await extensions.stop()

    return opened
