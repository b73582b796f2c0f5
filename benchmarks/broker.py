"""The broker: a file, a connection and a model through the host, each beside the system's own way and its floor.

    uv run benchmarks/broker.py [REPEATS]

A worker process asks its host over the channel and gets a descriptor; the floor of that is a request on the same
channel that is answered with nothing. In the host alone: `openat2` beneath a granted root, beside `os.open` and beside
`realpath`, which is what a check of the path would cost that can still be raced. A model that does nothing, which a
worker runs, beside the host's own call of it. Prints medians of one run, in turn.
"""

import asyncio
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from symphony_isolation import IsolatedExtensions, WorkerSpec
from symphony_isolation.broker.beneath import Root
from symphony_isolation.broker.files import FileAccess
from symphony_sdk.permissions import Access, PermissionSet
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode, encode

SOURCE = """
import os, socket, time
from symphony_sdk import Context, operator, provides_operators
from symphony_sdk.broker_messages import FileStatus, StatFile
from symphony_sdk.errors import PermissionDenied

def timed(repeats, work):
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times

@operator("bench.reach.measure")
def measure(ctx: Context, path: str, port: int, repeats: int) -> dict[str, list[float]]:
    host = ctx.files._host

    def denied():
        try:
            host._channel.request(StatFile(b"/undeclared"), FileStatus)
        except PermissionDenied:
            return
        raise AssertionError("what is not declared was answered")

    def direct():
        with socket.create_connection(("127.0.0.1", port)):
            pass

    def brokered():
        with ctx.connect("127.0.0.1", port):
            pass

    return {
        "os.open": timed(repeats, lambda: os.close(os.open(path, os.O_RDONLY))),
        "refused": timed(repeats, denied),
        "stat": timed(repeats, lambda: host.stat(path)),
        "open": timed(repeats, lambda: os.close(host.open(path, "read"))),
        "direct": timed(repeats, direct),
        "connect": timed(repeats, brokered),
        "run": timed(repeats, lambda: ctx.models.run("bench.model.nothing")),
    }

@provides_operators
def operators():
    yield measure
"""

MODEL = """
from symphony_sdk import Context, Instrument, provides_instruments

class Nothing(Instrument):
    id = "bench.model.nothing"

    def infer(self, ctx: Context) -> None:
        pass

@provides_instruments
def instruments():
    yield Nothing()
"""


def timed(repeats: int, work: Callable[[], object]) -> float:
    """Median seconds of work."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def row(name: str, seconds: float, floor: float, of: str) -> None:
    """Print a figure with its ratio."""
    print(f"{name:44} {seconds * 1e6:8.1f} us   {seconds / floor:6.2f} x {of}")


def in_the_host(root: Path, repeats: int) -> None:
    """Opening a file, in one process."""
    path = str(root / "a/b/f")
    permissions = PermissionSet.parse(["file:read:${project}/**"], roots={"project": str(root)})
    files = FileAccess(permissions, permissions.check)
    beneath, walked = Root(str(root), links=True), Root(str(root), links=False)

    def checked() -> None:
        permissions.check(Access("file", "read", path))
        files.open(path, "read")

    floor = timed(repeats, lambda: os.close(os.open(path, os.O_RDONLY)))
    row("os.open", floor, floor, "os.open")
    row("realpath alone", timed(repeats, lambda: os.path.realpath(path)), floor, "os.open")
    found = timed(repeats, lambda: beneath._find("a/b/f", os.O_PATH, print))
    row("openat2 beneath the root", found, floor, "os.open")
    row(
        "... looked at, then opened",
        timed(repeats, lambda: beneath.open("a/b/f", os.O_RDONLY, print)),
        floor,
        "os.open",
    )
    row("... and the permission checked twice", timed(repeats, checked), floor, "os.open")
    portable = timed(repeats, lambda: walked.open("a/b/f", os.O_RDONLY, print))
    row("walked name by name, without openat2", portable, floor, "os.open")


async def through_a_worker(root: Path, port: int, repeats: int) -> dict[str, list[float]]:
    """Times of one worker."""
    (root / "bench_reach.py").write_text(SOURCE)
    (root / "bench_model.py").write_text(MODEL)
    specs = [
        WorkerSpec(
            id=id,
            version="1",
            kind=kind,
            module=id.replace(".", "_"),
            data_dir=str(root / "data" / id),
            fingerprint="1",
            sandbox="none",  # so that the worker can also connect by itself
            import_path=(str(root),),
            permissions=permissions,
        )
        for id, kind, permissions in (
            (
                "bench.reach",
                "operator",
                (f"file:read:{root}/a/**", "network:read:127.0.0.1", "model:execute:bench.model.*"),
            ),
            ("bench.model", "instrument", ()),
        )
    ]
    extensions = IsolatedExtensions(
        specs, cache_dir=root / "cache", artifacts=FakeArtifactStore, on_log=lambda *line: None
    )
    inputs: dict[str, Any] = {"path": str(root / "a/b/f"), "port": port, "repeats": repeats}
    call = NodeCall(
        "run", "node", "bench.reach.measure", {name: encode(value) for name, value in inputs.items()}
    )
    called = []
    try:
        result = await extensions.call(call)
        for _ in range(repeats):
            began = time.perf_counter()
            await extensions.call(NodeCall("run", "node", "bench.model.nothing", {}))
            called.append(time.perf_counter() - began)
    finally:
        await extensions.stop()
    return decode(bytes(result.outputs["result"]), dict[str, list[float]]) | {"called": called}


def measure(root: Path, repeats: int) -> None:
    """Print every figure."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/f").write_text("content")
    in_the_host(root, repeats * 10)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        times = asyncio.run(through_a_worker(root, listener.getsockname()[1], repeats))
    took = {name: median(values) for name, values in times.items()}
    print()
    row("a request that is refused", took["refused"], took["os.open"], "os.open")
    row("stat through the host", took["stat"], took["refused"], "a refused request")
    row("open through the host", took["open"], took["refused"], "a refused request")
    row("a model that does nothing, by the host", took["called"], took["called"], "the host's call")
    row("... and by another worker", took["run"], took["called"], "the host's call")
    row("connect through the host", took["connect"], took["direct"], "socket.create_connection")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory).resolve(), int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
