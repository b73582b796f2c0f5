import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from symphony_engine_ray import RayCluster, RaySettings
from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_isolation.cluster import Fleet, FleetSettings
from symphony_sdk.ports import NodeCall, NodeEvent
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

SOURCE = """
import os
from symphony_sdk import ArtifactRef, operator, provides_operators


@operator("acme.bay.where")
def where(ctx, text: str = "") -> dict[str, str]:
    return {"cwd": os.getcwd(), "pid": str(os.getpid()), "text": text}


@operator("acme.bay.wait")
def wait(ctx) -> None:
    ctx.progress(0.0, str(os.getpid()))
    ctx._cancelled.wait()


@operator("acme.bay.store")
def store(ctx, text: str) -> ArtifactRef:
    return ctx.artifacts.put(text.encode(), name="bay.txt")


@provides_operators
def symphony_operators():
    yield from (where, wait, store)
"""


class Bay:
    """A fleet on Ray for the extension `acme.bay`, and what its calls say."""

    def __init__(self, fleet: Fleet, cluster: RayCluster, store: FakeArtifactStore) -> None:
        self.fleet = fleet
        self.cluster = cluster
        self.store = store
        self.events: list[NodeEvent] = []
        self._news = asyncio.Event()

    def submit(self, operation: str, nodes: int = 1, **inputs: Any) -> None:
        """Hand out calls of the nodes n0, n1, ...; what was said before is forgotten."""
        self.events = []
        values = {name: encode(value) for name, value in inputs.items()}
        self.fleet.submit([NodeCall("run", f"n{n}", operation, values) for n in range(nodes)], self._see)

    def _see(self, event: NodeEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, count: int, *kinds: str) -> list[NodeEvent]:
        """The events of these kinds, of final ones without any, once there are so many."""
        wanted = kinds or ("completed", "failed", "lost")
        async with asyncio.timeout(60):
            while len(found := [event for event in self.events if event.kind in wanted]) < count:
                self._news.clear()
                await self._news.wait()
        return found


@pytest.fixture
def machine_of() -> Callable[[int], int]:
    """The process of the engine that a worker belongs to: its first ancestor that is none of the workers' own."""

    def machine_of(pid: int) -> int:
        while b"symphony_isolation" in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return pid

    return machine_of


@pytest.fixture
def bay(tmp_path: Path) -> Callable[..., Any]:
    """Opens a `Bay`."""
    (tmp_path / "acme_bay.py").write_text(SOURCE)
    spec = WorkerSpec(
        id="acme.bay",
        version="1.0",
        kind="operator",
        module="acme_bay",
        data_dir=str(tmp_path / "data"),
        fingerprint="1",
        limits=WorkerLimits(load_timeout=30.0),
        import_path=(str(tmp_path),),
        permissions=(f"file:write:{tmp_path}/**",),
        sandbox="fallback",  # in which a worker knows its process as the machine does
    )

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[Bay]:
        store = FakeArtifactStore()
        extensions = IsolatedExtensions(
            [spec], cache_dir=tmp_path / "cache", artifacts=lambda: store, on_log=lambda *line: None
        )
        settings = RaySettings(**options)
        cluster = RayCluster(settings)
        times = FleetSettings(settings.project_directory, settings.start_timeout, settings.patience)
        fleet = Fleet(cluster, extensions, lambda: store, times)
        try:
            await fleet.start()
            yield Bay(fleet, cluster, store)
        finally:
            await fleet.stop()
            await extensions.stop()

    return opened


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process has ended."""

    def gone(pid: int) -> bool:
        try:
            return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True

    return gone
