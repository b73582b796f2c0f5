"""Round trips between the host and an editor's process over pipes: JSON-RPC by lines, 64 bytes of text.

    uv run --with python-lsp-jsonrpc benchmarks/editor_rpc.py

Prints medians in microseconds. The first table asks each process from one blocking client: an echo that decodes
nothing is the floor, python-lsp-jsonrpc the peer. The second asks the editor as the host does, from an event loop; its
floor is a bare protocol on the same pipes against the echo.
"""

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
from symphony_ipc.editor import Edit, Plain, edits
from symphony_ipc.jsonrpc import BlockingJsonRpc, JsonRpcPeer, Method
from symphony_ipc.pipes import open_pipes, take_stdio

PASSES = 5
ROUNDS = 2000
TEXT = "x" * 64


class Text(msgspec.Struct):
    """Text that comes back."""

    text: str


def serve_floor() -> None:
    while data := os.read(0, 65536):
        os.write(1, data)


def serve_ours() -> None:
    def edit(params: Edit) -> None:
        assert not isinstance(params.command(), Plain)

    methods = {"echo": Method(Text, lambda params: params.text), "edit": Method(Edit, edit)}
    BlockingJsonRpc(methods, *take_stdio()).serve()


def serve_peer() -> None:
    from pylsp_jsonrpc.endpoint import Endpoint
    from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

    writer = JsonRpcStreamWriter(sys.stdout.buffer)
    endpoint = Endpoint({"echo": lambda params: params["text"]}, writer.write)
    JsonRpcStreamReader(sys.stdin.buffer).listen(endpoint.consume)


SERVERS = {"floor": serve_floor, "ours": serve_ours, "peer": serve_peer}


def spawn(role: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, role], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )


def by_line(body: bytes) -> bytes:
    return body + b"\n"


def by_length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def median(taken: list[float]) -> float:
    return statistics.median(taken) * 1e6


def ask_blocking(role: str, framed: Callable[[bytes], bytes]) -> float:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": TEXT}}).encode()
    with spawn(role) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        sent, taken = framed(request), []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            os.write(process.stdin.fileno(), sent)
            answer = os.read(process.stdout.fileno(), 65536)
            while TEXT.encode() not in answer:  # a peer may write the header first
                answer += os.read(process.stdout.fileno(), 65536)
            taken.append(time.perf_counter() - started)
        process.stdin.close()
    return median(taken)


class Bare(asyncio.BufferedProtocol):
    """The least that an event loop does: a future for each round trip, nothing decoded."""

    answered: asyncio.Future[None]

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(65536))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.answered.set_result(None)


async def ask_bare() -> float:
    loop = asyncio.get_running_loop()
    with spawn("floor") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        transport, protocol = await open_pipes(
            Bare, os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
        )
        taken = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            protocol.answered = loop.create_future()
            transport.write(TEXT.encode())
            await protocol.answered
            taken.append(time.perf_counter() - started)
        transport.close()
        await asyncio.sleep(0)
        process.stdin.close()
    return median(taken)


async def ask_ours() -> tuple[float, float]:
    with spawn("ours") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        descriptors = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
        _, peer = await open_pipes(JsonRpcPeer, *descriptors)
        echoes, edited = [], []
        edit = Edit.of("view-id-1", edits.Insert(TEXT))
        for _ in range(ROUNDS):
            started = time.perf_counter()
            await peer.request("echo", Text(TEXT), str)
            echoed = time.perf_counter()
            await peer.request("edit", edit, None)
            edited.append(time.perf_counter() - echoed)
            echoes.append(echoed - started)
        await peer.close()
        await asyncio.sleep(0)
        process.stdin.close()
    return median(echoes), median(edited)


def table(title: str, rows: dict[str, list[float]]) -> None:
    print(f"\n{title}, {PASSES} passes of {ROUNDS:,}\n\n{'':>28} {'us':>8} {'x floor':>8}")
    floor = statistics.median(next(iter(rows.values())))
    for name, passes in rows.items():
        print(f"{name:>28} {statistics.median(passes):8.1f} {statistics.median(passes) / floor:8.2f}")


def main() -> None:
    if len(sys.argv) == 2:
        SERVERS[sys.argv[1]]()
        return
    with_peer = importlib.util.find_spec("pylsp_jsonrpc") is not None
    blocking: dict[str, list[float]] = {"echo (floor)": [], "symphony-ipc": []}
    looped: dict[str, list[float]] = {
        "bare loop, echo (floor)": [],
        "symphony-ipc": [],
        "an edit of a view": [],
    }
    for _ in range(PASSES):
        blocking["echo (floor)"].append(ask_blocking("floor", by_line))
        blocking["symphony-ipc"].append(ask_blocking("ours", by_line))
        if with_peer:
            blocking.setdefault("python-lsp-jsonrpc", []).append(ask_blocking("peer", by_length))
        looped["bare loop, echo (floor)"].append(asyncio.run(ask_bare()))
        for name, taken in zip(("symphony-ipc", "an edit of a view"), asyncio.run(ask_ours()), strict=True):
            looped[name].append(taken)
    table("asked by a blocking client", blocking)
    if not with_peer:
        print(f"{'python-lsp-jsonrpc':>28} is not installed")
    table("asked from an event loop", looped)


if __name__ == "__main__":
    main()
