"""Whole runs on clusters: through the command line, through kills of a machine and of the host.

`nox -s dask` and `nox -s ray` run the tests of their engine, and install it.
"""

import asyncio
import json
import os
import select
import signal
import socket
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from pit_dag_tracker import Tracker
from symphony_engine_dask import DaskCluster, DaskSettings
from symphony_engine_ray import RayCluster, RaySettings
from symphony_isolation import IsolatedExtensions, WorkerSpec
from symphony_isolation.cluster import Fleet
from symphony_sdk.events import NodeCompleted, NodeRetrying
from symphony_sdk.ports import RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode

pytestmark = pytest.mark.timeout(300)  # a cluster takes its time to start
LAYERS, WIDTH = 10, 20
SOURCE = """
import os
from symphony_sdk import operator, provides_operators

@operator("acme.ledger.add")
def add(ctx, ledger: str, name: str, a: int = 0, b: int = 0) -> int:
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{name} {os.getpid()}\\n".encode())
    os.close(descriptor)
    return a + b + 1

@provides_operators
def symphony_operators():
    yield add
"""


@pytest.fixture(params=["dask", "ray"])
def engine(request):
    library = {"dask": "distributed", "ray": "ray"}[request.param]
    hint = f"`uv run nox -s {request.param}` installs it"
    if find_spec(library) is None:  # the executor imports it, once it has set up the environment for that
        pytest.skip(f"{library} is not installed: {hint}")
    return request.param


def machines(engine):
    """A cluster on this computer: of two machines, or of the one that Ray makes of a computer."""
    return DaskCluster(DaskSettings(workers=2)) if engine == "dask" else RayCluster(RaySettings())


def descendants(pid):
    """Open descriptors of the processes that a process has started, and of theirs: they tell when each has ended."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found, wave = [], {pid}
    while wave := {child for child, parent in parents.items() if parent in wave}:
        found += wave
    descriptors = []
    for child in found:
        with suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(child))
    return descriptors


def wait_ended(descriptors):
    """Wait until processes have ended."""
    for descriptor in descriptors:
        ended, _, _ = select.select(
            [descriptor], [], [], 150
        )  # two of Ray's look for the others for a minute
        os.close(descriptor)
        assert ended, "the engine's processes outlived the host"


def layered(ledger):
    """Layers of nodes of which each adds two of the layer before, and one."""
    nodes, edges = {}, []
    for layer in range(LAYERS):
        for place in range(WIDTH):
            name = f"n{layer}-{place}"
            params = {"ledger": str(ledger), "name": name}  # no two alike, or the cache would spare us some
            nodes[name] = {"kind": "operator", "uses": "acme.ledger.add", "params": params}
            for port, step in (("a", 0), ("b", 7)) if layer else ():
                edges.append(
                    {"from": f"n{layer - 1}-{(place + step) % WIDTH}.result", "to": f"{name}.{port}"}
                )
    last = {"last": f"n{LAYERS - 1}-0.result"}
    return {"schema": 1, "id": "ledger", "nodes": nodes, "edges": edges, "outputs": last}


def machine_of(pid):
    """The process of the engine that a worker belongs to: its first ancestor that is none of the workers' own."""
    while b"symphony_isolation" in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def test_a_killed_machine_costs_a_run_nothing_but_the_calls_it_had(engine, tmp_path):
    (tmp_path / "acme_ledger.py").write_text(SOURCE)
    ledger = tmp_path / "ledger"
    spec = WorkerSpec(
        id="acme.ledger",
        version="1",
        kind="operator",
        module="acme_ledger",
        data_dir=str(tmp_path / "data"),
        fingerprint="1",
        import_path=(str(tmp_path),),
        permissions=(f"file:write:{tmp_path}/**",),
        sandbox="fallback",  # in which a worker knows its process as the machine does
    )

    (tmp_path / "runs").mkdir()

    async def story():
        store = FakeArtifactStore()
        extensions = IsolatedExtensions(
            [spec], cache_dir=tmp_path / "cache", artifacts=lambda: store, on_log=lambda *_: None
        )
        fleet = Fleet(machines(engine), extensions, lambda: store)
        tracker = Tracker(
            SimpleNamespace(
                config={},
                data_dir=tmp_path / "runs",
                executors={engine: fleet},
                extensions=extensions,
                pit=SimpleNamespace(artifacts=store),
            )
        )
        run = await tracker.start(RunRequest(workflow=layered(ledger), executor=engine))
        seen, killed = [], 0
        async for event in tracker.events(run):
            seen.append(event)
            if not killed and sum(isinstance(one, NodeCompleted) for one in seen) >= 60:
                killed = int(ledger.read_text().split()[-1])
                os.kill(machine_of(killed), signal.SIGKILL)
        last = decode((await tracker.outputs(run))["last"])
        await tracker.close()
        await fleet.stop()
        await extensions.stop()
        return seen, killed, last

    seen, killed, last = asyncio.run(story())
    lines = [line.split() for line in ledger.read_text().splitlines()]
    times = Counter(node for node, _ in lines)
    again = {event.node for event in seen if isinstance(event, NodeRetrying)}
    assert last == 2**LAYERS - 1
    assert set(times) == {f"n{layer}-{place}" for layer in range(LAYERS) for place in range(WIDTH)}
    assert {node for node, count in times.items() if count > 1} <= again
    assert {event.node for event in seen if isinstance(event, NodeCompleted)} == set(times)
    assert Counter(event.node for event in seen if isinstance(event, NodeCompleted)).most_common(1)[0][1] == 1
    assert len({pid for _, pid in lines}) >= 2
    assert str(killed) in {pid for _, pid in lines}


def test_the_code_atlas_runs_on_a_cluster_as_it_does_here(engine, symphony, atlas, folder):
    code, events = symphony.events("run", atlas, "--input", f"path={folder}", "--executor", engine)
    assert code == 0, events[-1]
    summary = events[-1]
    data = json.loads(Path(summary["outputs"]["data"]["path"]).read_text())
    assert (data["summary"]["files"], data["summary"]["functions"]) == (63, 60)
    places = {event["place"] for event in events if event["event"] == "node-completed" and event.get("place")}
    assert places
    beginning = {"dask": "tls://127.0.0.1:", "ray": f"{socket.gethostname()}/"}[engine]
    assert all(place.startswith(beginning) for place in places)


def test_a_run_whose_host_was_killed_is_resumed_on_a_new_cluster(engine, symphony, atlas, folder):
    with symphony.start("run", atlas, "--input", f"path={folder}", "--executor", engine, "--json") as process:
        run = ""
        for line in process.stdout:
            event = json.loads(line)
            run = run or event["run"]
            if event["event"] == "item-completed":
                break
        engine_processes = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert engine_processes
    wait_ended(engine_processes)
    code, events = symphony.events("resume", run)
    assert code == 0, events[-1]
    assert events[-1]["state"] == "completed"
    assert "walk" not in {event.get("node") for event in events if event["event"] == "node-started"}
    data = json.loads(Path(events[-1]["outputs"]["data"]["path"]).read_text())
    assert data["summary"]["files"] == 63


def test_an_address_without_a_cluster_fails_with_what_to_do(engine, symphony, atlas, folder):
    symphony.environment[f"SYMPHONY_EXTENSIONS__SYMPHONY_ENGINE_{engine.upper()}__START_TIMEOUT"] = "1"
    address = "127.0.0.1:1" if engine == "ray" else "tcp://127.0.0.1:1"
    done = symphony("run", atlas, "--input", f"path={folder}", "--executor", engine, "--address", address)
    assert done.returncode == 1
    assert "error[SYM-R121]: the " in done.stderr
    assert address in done.stderr
