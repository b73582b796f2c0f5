import asyncio
import runpy
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from symphony_isolation.cluster import Fleet, FleetSettings
from symphony_sdk.ports import NodeCall, NodeEvent
from symphony_sdk.values import encode

FINAL = ("completed", "failed", "lost")
HERE = Path(__file__).parent
PipeCluster = runpy.run_path(str(HERE / "pipe_cluster.py"))["PipeCluster"]


class Recorder:
    """Takes the events of calls, and waits for what they say."""

    def __init__(self) -> None:
        self.events: list[NodeEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: NodeEvent) -> None:
        self.events.append(event)
        self._news.set()

    @property
    def finals(self) -> list[NodeEvent]:
        return [event for event in self.events if event.kind in FINAL]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in self.events)

    async def until(self, enough: Callable[[], Any]) -> Any:
        """What `enough` gives, once that is something."""
        async with asyncio.timeout(30):
            while not (found := enough()):
                self._news.clear()
                await self._news.wait()
        return found

    async def ended(self, count: int) -> Sequence[NodeEvent]:
        return await self.until(lambda: self.finals if len(self.finals) >= count else None)

    async def progressed(self, count: int = 1) -> Sequence[NodeEvent]:
        """The events of `count` calls that say that they are under way."""
        return await self.until(
            lambda: (
                found
                if len(found := [event for event in self.events if event.kind == "progressed"]) >= count
                else None
            )
        )


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def node_call() -> Callable[..., NodeCall]:
    def node_call(operation: str, node: str = "node", *, run: str = "run", **inputs: Any) -> NodeCall:
        return NodeCall(run, node, operation, {name: encode(value) for name, value in inputs.items()})

    return node_call


@pytest.fixture
def fleet(house, tmp_path) -> Callable[..., Any]:
    """Opens a fleet of pipes for the extensions of the house; gives it with its cluster and its extensions."""

    @asynccontextmanager
    async def opened(
        *specs: Any, settings: FleetSettings = FleetSettings(), start: bool = True, **options: Any
    ) -> AsyncIterator[Any]:
        async with house.opened(*(specs or (house.zoo(sandbox="fallback"),))) as extensions:
            cluster = PipeCluster(tmp_path / "machines", **options)
            fleet = Fleet(cluster, extensions, lambda: house.store, settings)

            async def ready(count: int) -> None:
                """Wait until so many machines take calls."""
                async with asyncio.timeout(30):
                    while sum(member.ready is not None for member in fleet._members.values()) < count:
                        fleet._news.clear()
                        await fleet._news.wait()

            try:
                if start:
                    await fleet.start()
                    await ready(options.get("machines", 2))
                yield SimpleNamespace(fleet=fleet, cluster=cluster, extensions=extensions, ready=ready)
            finally:
                await fleet.stop()

    return opened
