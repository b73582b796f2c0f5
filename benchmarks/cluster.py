"""10,000 no-op nodes that the tracker owns, on machines of a cluster, beside Dask and Ray that own the same graph.

    uv run --with cryptography --with distributed --with ray benchmarks/cluster.py [--rounds 3] [pipes] [dask] [ray]

The graph has 100 layers of 100 nodes; each node reads three of the layer before. Every node is a call of an extension
in an isolated worker, on one of two machines on this computer (one with Ray, which makes one of each computer), with the
durable log (SQLite, synchronous=FULL). `pipes` are machines in plain processes: what of the time is no engine's. The
peers are `Client.get` of the same graph on the same embedded Dask cluster, and Ray tasks that take each other's results:
Python functions in the engine's own processes, no isolation, no log. Also measured: a hop of a chain, the time until a
running call that is cancelled has ended, and from the kill of a machine until the run has its result.
"""

import argparse
import asyncio
import importlib.util
import logging
import os
import runpy
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from symphony_isolation import IsolatedExtensions, WorkerSpec
from symphony_isolation.cluster import Cluster, Fleet
from symphony_sdk.ports import NodeCall, RunPolicy, RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

ROOT = Path(__file__).parents[1]
WIDTH, READS = 100, 3
CHAIN = 200
SOURCE = """
import os
import time
from symphony_sdk import Context, operator, provides_operators

@operator("bench.flow.no-op")
def no_op(ctx: Context, a: int = 0, b: int = 0, c: int = 0) -> int:
    return 1

@operator("bench.flow.sleep")
def sleep(ctx: Context, seconds: float) -> int:
    ctx.progress(0.0, str(os.getpid()))
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
        ctx.cancelled  # raises once it is
    return 1

@provides_operators
def symphony_operators():
    yield no_op
    yield sleep
"""


def sources(layer: int, place: int) -> list[tuple[int, int]]:
    """The nodes that a node reads."""
    return [(layer - 1, (place + step * 37) % WIDTH) for step in range(READS)] if layer else []


def layered(layers: int) -> dict[str, Any]:
    """The workflow of the layers."""
    nodes, edges = {}, []
    for layer in range(layers):
        for place in range(WIDTH):
            name = f"n{layer:03}-{place:03}"
            nodes[name] = {"kind": "operator", "uses": "bench.flow.no-op"}
            for port, (above, other) in zip("abc", sources(layer, place), strict=False):
                edges.append({"from": f"n{above:03}-{other:03}.result", "to": f"{name}.{port}"})
    return {"schema": 1, "id": "layered", "nodes": nodes, "edges": edges}


def chain() -> dict[str, Any]:
    """A workflow in which each node reads the one before."""
    nodes = {f"n{place:04}": {"kind": "operator", "uses": "bench.flow.no-op"} for place in range(CHAIN)}
    edges = [{"from": f"n{place:04}.result", "to": f"n{place + 1:04}.a"} for place in range(CHAIN - 1)]
    return {"schema": 1, "id": "chain", "nodes": nodes, "edges": edges}


@asynccontextmanager
async def fleet_on(make: Callable[[Path], Cluster]) -> AsyncIterator[tuple[Fleet, Tracker]]:
    """A fleet that is ready, and a tracker that uses it as `local`."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        root = Path(directory)
        (root / "bench_flow.py").write_text(SOURCE)
        spec = WorkerSpec(
            id="bench.flow",
            version="1",
            kind="operator",
            module="bench_flow",
            data_dir=str(root / "data"),
            fingerprint="1",
            import_path=(str(root),),
            sandbox="fallback",  # in which a worker knows its process as the machine does
        )
        extensions = IsolatedExtensions(
            [spec], cache_dir=root / "cache", artifacts=FakeArtifactStore, on_log=lambda *line: None
        )
        fleet = Fleet(make(root), extensions, FakeArtifactStore)
        services: Any = SimpleNamespace(
            config={},
            data_dir=root,
            executors={"local": fleet},
            pit=SimpleNamespace(),
            extensions=extensions,
        )
        tracker = Tracker(services)
        await fleet.start()
        await ended(fleet, [call("bench.flow.no-op", str(node)) for node in range(100)])  # workers are there
        try:
            yield fleet, tracker
        finally:
            await tracker.close()
            await fleet.stop()
            await extensions.stop()


def call(operation: str, node: str, **inputs: Any) -> NodeCall:
    """A call outside of any graph."""
    return NodeCall("bench", node, operation, {name: encode(value) for name, value in inputs.items()})


async def ended(
    fleet: Fleet, calls: list[NodeCall], on_event: Callable[[Any], None] = lambda event: None
) -> Any:
    """Submit calls and give the last final event."""
    done = asyncio.get_running_loop().create_future()
    left = len(calls)

    def heard(event: Any) -> None:
        nonlocal left
        on_event(event)
        left -= event.kind in ("completed", "failed", "lost")
        if not left and not done.done():
            done.set_result(event)

    fleet.submit(calls, heard)
    return await done


async def run_seconds(tracker: Tracker, document: dict[str, Any]) -> float:
    """Seconds from the durable start of a run to its durable end."""
    run = await tracker.start(RunRequest(workflow=document, policy=RunPolicy(cache=False)))
    began = time.perf_counter()
    last = [event async for event in tracker.events(run)][-1]
    seconds = time.perf_counter() - began
    if type(last).__name__ != "RunCompleted":
        raise AssertionError(last)
    return seconds


async def cancel_seconds(fleet: Fleet) -> float:
    """Seconds from the cancel of a call that runs to its end."""
    began = 0.0

    def cancel(event: Any) -> None:
        nonlocal began
        if event.kind == "progressed" and not began:
            began = time.perf_counter()
            fleet.cancel("bench", "slow")

    await ended(fleet, [call("bench.flow.sleep", "slow", seconds=60.0)], cancel)
    return time.perf_counter() - began


def machine_of(pid: int) -> int:
    """The process of the engine that a worker belongs to: its first ancestor that is none of the workers' own."""
    while b"symphony_isolation" in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


async def kill_seconds(fleet: Fleet) -> tuple[float, float]:
    """Seconds from the kill of a machine to the report that its call is lost, and to the end of its next attempt."""
    began = 0.0

    def kill(event: Any) -> None:
        nonlocal began
        if event.kind == "progressed" and not began:
            began = time.perf_counter()
            os.kill(machine_of(int(event.text)), signal.SIGKILL)

    await ended(fleet, [call("bench.flow.sleep", "doomed", seconds=60.0)], kill)
    lost = time.perf_counter() - began
    await ended(fleet, [call("bench.flow.no-op", "again")])
    return lost, time.perf_counter() - began


async def measure(make: Callable[[Path], Cluster], rounds: int, depth: int) -> dict[str, float]:
    """Every figure of one kind of cluster, in seconds."""
    async with fleet_on(make) as (fleet, tracker):
        layers = [await run_seconds(tracker, layered(depth)) / (depth * WIDTH) for _ in range(rounds)]
        hops = [await run_seconds(tracker, chain()) / CHAIN for _ in range(rounds)]
        cancels = [await cancel_seconds(fleet) for _ in range(5)]
        lost, again = await kill_seconds(fleet)
    median = statistics.median
    return {
        "node": median(layers),
        "hop": median(hops),
        "cancel": median(cancels),
        "lost": lost,
        "again": again,
    }


def pipes(root: Path) -> Cluster:
    """Machines in plain processes."""
    program = ROOT / "packages/symphony-isolation/tests/cluster/pipe_cluster.py"
    cluster: Cluster = runpy.run_path(str(program))["PipeCluster"](root / "machines", 2)
    return cluster


def dask(root: Path) -> Cluster:
    """Machines in the workers of an embedded Dask cluster."""
    from symphony_engine_dask import DaskCluster, DaskSettings

    return DaskCluster(DaskSettings(workers=2))


def ray(root: Path) -> Cluster:
    """One machine, in an actor of an embedded Ray cluster."""
    from symphony_engine_ray import RayCluster, RaySettings

    return RayCluster(RaySettings())


def one(*values: int) -> int:
    """The work of a node for the peer."""
    return 1


def dask_seconds(rounds: int, depth: int) -> float:
    """Seconds a node of the same graph, where Dask owns it."""
    import distributed

    graph: dict[Any, Any] = {
        (layer, place): (one, *sources(layer, place)) for layer in range(depth) for place in range(WIDTH)
    }
    last = [(depth - 1, place) for place in range(WIDTH)]
    taken = []
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=max(1, (os.cpu_count() or 1) // 2),
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.get({"warm": (one,)}, "warm")
        for _ in range(rounds):
            began = time.perf_counter()
            client.get(graph, last)
            taken.append((time.perf_counter() - began) / (depth * WIDTH))
    return statistics.median(taken)


def ray_seconds(rounds: int, depth: int) -> float:
    """Seconds a node of the same graph, where Ray owns it."""
    os.environ |= {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    task = ray.remote(max_retries=0)(one)
    ray.get([task.remote() for _ in range(100)])
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        above: list[Any] = []
        for layer in range(depth):
            above = [
                task.remote(*(above[other] for _, other in sources(layer, place))) for place in range(WIDTH)
            ]
        ray.get(above)
        taken.append((time.perf_counter() - began) / (depth * WIDTH))
    ray.shutdown()
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help="all that are installed, by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=100, help="of 100 nodes each")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # a machine is killed on purpose
    library = {"pipes": "asyncio", "dask": "distributed", "ray": "ray"}
    makers: dict[str, Callable[[Path], Cluster]] = {"pipes": pipes, "dask": dask, "ray": ray}
    peers = {"dask": dask_seconds, "ray": ray_seconds}
    for name in given.engines or [name for name in library if importlib.util.find_spec(library[name])]:
        peer = peers[name](given.rounds, given.layers) if name in peers else None
        figures = asyncio.run(measure(makers[name], given.rounds, given.layers))
        print(
            f"{name}: {figures['node'] * 1e6:.0f} us a node; {figures['hop'] * 1e3:.2f} ms a hop of a chain"
        )
        if peer is not None:
            ratio = figures["node"] / peer
            print(
                f"  where {name} owns the graph: {peer * 1e6:.0f} us a node; ours takes {ratio:.2f}x of that"
            )
        print(f"  a running call that is cancelled has ended after {figures['cancel'] * 1e3:.1f} ms")
        print(
            f"  a killed machine's call is told as lost after {figures['lost'] * 1e3:.1f} ms, and another has run"
            f" after {figures['again'] * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    main()
