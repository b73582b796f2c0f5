"""Does a run survive `kill -9` of its host at any moment? Two hundred runs of a thousand nodes, each killed and resumed.

    uv run benchmarks/kill_runs.py [--runs 200] [--seed 1]

The host is a process with the tracker, its durable log, and real extension workers. Each node appends a line to a
ledger file before it returns: what the ledger holds has happened, whatever the log says. A run is killed once or twice,
each time after a random number of lines and a random moment more, and then resumed to its end. Counted are

- nodes lost: in no line of the ledger although the run completed, or with a wrong result;
- completed nodes that ran again: durable as completed in the log when the host was killed, and in a later line of the ledger;
- nodes that were in flight and ran again, which is allowed: they had happened, and the disk did not know yet.
"""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from pit_dag_tracker import Tracker
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.events import NodeCompleted
from symphony_sdk.ports import RunPolicy, RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode

LAYERS, WIDTH, READS = 25, 40, 3
NODES = LAYERS * WIDTH
UNCACHED = RunPolicy(cache=False)  # the nodes of a layer are all alike: one would stand in for the others
SOURCE = """
import os
from symphony_sdk import Context, operator, provides_operators

LEDGER = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@operator("bench.ledger.add")
def add(ctx: Context, a: int = 0, b: int = 0, c: int = 0) -> int:
    os.write(LEDGER, f"{ctx.node} {ctx.attempt}\\n".encode())
    return a + b + c + 1

@provides_operators
def symphony_operators():
    yield add
"""


def document() -> dict[str, Any]:
    """Layers of nodes of which each adds three of the layer before, and one."""
    nodes, edges = {}, []
    for layer in range(LAYERS):
        for place in range(WIDTH):
            nodes[f"n{layer}-{place}"] = {"kind": "operator", "uses": "bench.ledger.add"}
            for port, step in zip("abc", range(READS), strict=True):
                if layer:
                    above = (place + step * 7) % WIDTH
                    edges.append({"from": f"n{layer - 1}-{above}.result", "to": f"n{layer}-{place}.{port}"})
    return {
        "schema": 1,
        "id": "ledger",
        "nodes": nodes,
        "edges": edges,
        "outputs": {"last": f"n{LAYERS - 1}-0.result"},
    }


def expected() -> int:
    """What the last node gives."""
    value = 0
    for _ in range(LAYERS):
        value = READS * value + 1
    return value


async def host(root: Path, run: str) -> None:
    """The process that is killed: begins the run, or goes on with it, and says when it has ended."""
    spec = WorkerSpec(
        id="bench.ledger",
        version="1",
        kind="operator",
        module="bench_ledger",
        data_dir=str(root / "data"),
        fingerprint="1",
        import_path=(str(root.parent),),
    )
    artifacts = FakeArtifactStore()
    extensions = IsolatedExtensions(
        [spec], cache_dir=root.parent / "cache", artifacts=lambda: artifacts, on_log=lambda *_: None
    )
    tracker = Tracker(services(root, {"local": LocalExecutor(extensions)}, extensions, artifacts))
    if not run:
        run = await tracker.start(RunRequest(workflow=document(), policy=UNCACHED))
    elif (await tracker.status(run)).state != "completed":  # else it was killed after its end
        await tracker.resume(run)
    print("run", run, flush=True)
    async for _ in tracker.events(run):
        pass
    print("last", decode((await tracker.outputs(run))["last"]), flush=True)
    await tracker.close()
    await extensions.stop()


def services(root: Path, executors: dict[str, Any], extensions: Any = None, artifacts: Any = None) -> Any:
    """What the tracker needs of a host."""
    return SimpleNamespace(
        config={},
        data_dir=root,
        executors=executors,
        extensions=extensions,
        pit=SimpleNamespace(artifacts=artifacts),
    )


class Life(NamedTuple):
    """A host from its start to its end, by itself or by a kill.

    Args:
        run: Id of the run; empty where it had not said one.
        last: What it gave for the last node; None where it was killed before.
    """

    run: str
    last: int | None


def live(root: Path, run: str, lines_at_kill: int | None, delay: float = 0.0) -> Life:
    """Start a host, and kill it some seconds after the ledger has so many lines more, or let it end."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--host", str(root), run], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = {}
    killer: threading.Thread | None = None
    for line in child.stdout:
        if not line.endswith("\n"):
            break
        word, _, rest = line.strip().partition(" ")
        said[word] = rest
        if word == "run" and lines_at_kill is not None:
            killer = threading.Thread(target=kill, args=(child, root, lines_at_kill, delay))
            killer.start()
    code = child.wait()
    if killer is not None:
        killer.join()
    if code not in (0, -9):
        raise RuntimeError(f"the host ended with {code}")
    last = int(said["last"]) if "last" in said else None
    return Life(said.get("run", run), last)


def kill(child: "subprocess.Popen[str]", root: Path, more: int, delay: float) -> None:
    """Kill a host some seconds after the ledger has so many lines more than now."""
    ledger = root / "data" / "ledger"
    wanted = len(lines(root)) + more
    while child.poll() is None:
        if not more or (ledger.exists() and ledger.read_bytes().count(b"\n") >= wanted):
            time.sleep(delay)
            child.kill()
            return
        time.sleep(0.0005)


def completed(root: Path, run: str) -> set[str]:
    """The nodes of which the log knows that they completed."""

    async def read() -> set[str]:
        tracker = Tracker(services(root, {}))
        events = [event async for event in tracker.events(run)]
        await tracker.close()
        return {event.node for event in events if isinstance(event, NodeCompleted)}

    return asyncio.run(read())


def lines(root: Path) -> list[str]:
    """The nodes in the ledger, in order."""
    ledger = root / "data" / "ledger"
    return [line.split()[0] for line in ledger.read_text().splitlines()] if ledger.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--host", nargs=2, metavar=("ROOT", "RUN"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.host:
        root, run = Path(given.host[0]), given.host[1]
        root.mkdir(exist_ok=True)
        asyncio.run(host(root, run))
        return
    chance = random.Random(given.seed)
    every = {f"n{layer}-{place}" for layer in range(LAYERS) for place in range(WIDTH)}
    kills = lost = again = in_flight = wrong = 0
    known_at_kill: list[int] = []
    with tempfile.TemporaryDirectory(prefix="symphony-") as directory:
        top = Path(directory)
        (top / "bench_ledger.py").write_text(SOURCE)
        for number in range(given.runs):
            root = top / f"run-{number}"
            run, last, known, seen = "", None, set[str](), 0
            deaths = chance.choice((1, 1, 2))
            while last is None:
                more = chance.randrange(max(1, NODES - len(lines(root)))) if deaths else None
                life = live(root, run, more, chance.uniform(0.0, 0.005))
                run, last, deaths = life.run, life.last, max(0, deaths - 1)
                happened = lines(root)
                again += len(known & set(happened[seen:]))
                if last is None:
                    kills, seen, known = kills + 1, len(happened), completed(root, run)
                    known_at_kill.append(len(known))
                    lost += len(known - set(happened))
            lost += len(every - set(happened))
            in_flight += len(happened) - len(set(happened))
            wrong += last != expected()
    median = statistics.median(known_at_kill) if known_at_kill else 0
    print(
        f"{given.runs} runs of {NODES} nodes, {kills} kills of the host; when killed, {median:.0f} nodes were durable (median)"
    )
    print(f"nodes lost {lost}, wrong results {wrong}, completed nodes that ran again {again}")
    print(f"nodes in flight that ran again {in_flight}: {in_flight / max(1, kills):.1f} a kill")
    if lost or wrong or again:
        raise SystemExit("a run did not survive")


if __name__ == "__main__":
    main()
