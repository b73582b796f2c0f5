"""Round trips between two processes over a unix socket, and the cost of an envelope, each beside its floor.

    uv run --group test --with uvloop benchmarks/ipc_round_trip.py

Prints medians in microseconds. Each pass measures all columns one after the other, so that they meet the same
machine:

    C           two processes in C, nothing but system calls
    blocking    a blocking Python socket at both ends, bytes with a length in front
    echo        the same bytes between two event loops, on BufferedProtocol: the least that a loop does
    request     `Connection.request` from event loop to event loop: typed message, deadline, answer
    worker      `Connection.request` to a `BlockingConnection`, which is how the host asks a worker

pydantic with msgpack stands for the usual way to validate a message.
"""

import asyncio
import importlib.util
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from symphony_ipc import BlockingConnection, Endpoint, Envelope, IncomingCall, Kind, from_socket
from symphony_ipc.framing import decode, encode
from symphony_sdk.messages import DATA_LIMIT, message

LENGTH = struct.Struct("<I")
SIZES = {"64 B": 64, "1 KB": 1 << 10, "64 KB": 64 << 10, "1 MB": 1 << 20}
PASSES = 3
COLUMNS = ("C", "blocking", "echo", "request", "worker")


@message("benchmark.echo", limit=DATA_LIMIT)
class Echo(msgspec.Struct, frozen=True):
    """Bytes that come back."""

    data: bytes


class EchoHandler:
    """The worker's side of the round trip."""

    def request(self, call: IncomingCall) -> None:
        decoded = call.decode()
        assert isinstance(decoded, Echo)
        call.respond(decoded)

    def cancel(self, call_id: int) -> None:
        pass

    def closed(self, reason: object) -> None:
        pass


async def echo(message: msgspec.Struct) -> msgspec.Struct:
    return message


class EchoProtocol(asyncio.BufferedProtocol):
    """Sends back what comes, or finishes a round trip where there is a future for it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray((1 << 20) + 64))
        self.answered: asyncio.Future[None] | None = None
        self.left = 0
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.answered is None:
            self.transport.write(bytes(self.buffer[:nbytes]))  # type: ignore[attr-defined]
            return
        self.left -= nbytes
        if not self.left:
            self.answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


def receive(sock: socket.socket, buffer: memoryview) -> int:
    while (got := sock.recv_into(buffer)) < LENGTH.size:
        raise SystemExit(0)
    size = LENGTH.unpack_from(buffer)[0] + LENGTH.size
    while got < size:
        got += sock.recv_into(buffer[got:])
    return size


def serve_blocking(sock: socket.socket) -> None:
    buffer = memoryview(bytearray((1 << 20) + 64))
    while True:
        sock.sendall(buffer[: receive(sock, buffer)])


async def serve_echo(sock: socket.socket) -> None:
    _, protocol = await asyncio.get_running_loop().create_unix_connection(EchoProtocol, sock=sock)
    await protocol.lost.wait()


async def serve_request(sock: socket.socket) -> None:
    connection = await from_socket(sock, Endpoint("peer", timeout=30), accepts=False, handler=echo)
    await connection.wait_closed()


def serve(role: str, sock: socket.socket, runner: asyncio.Runner) -> None:
    """What the other process does."""
    if role == "blocking":
        serve_blocking(sock)
    elif role == "worker":
        BlockingConnection.connect(sock, Endpoint("worker", timeout=30)).serve(EchoHandler())
    else:
        with runner:
            runner.run(serve_echo(sock) if role == "echo" else serve_request(sock))


def spawn(role: str, loop: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, role, loop, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    return ours, process


def rounds(size: int) -> int:
    return 2000 if size <= 64 << 10 else 200


def compile_floor(folder: str) -> str | None:
    """The program in C; None where nothing can compile it."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = f"{folder}/ping_pong"
    source = Path(__file__).with_name("ping_pong.c")
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return program


def measure_c(program: str | None, size: int) -> float:
    if program is None:
        return float("nan")
    command = [program, str(size + LENGTH.size), str(rounds(size))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return statistics.median(float(line) for line in run.stdout.split())


def measure_blocking(size: int) -> float:
    sock, process = spawn("blocking", "asyncio")
    buffer = memoryview(bytearray((1 << 20) + 64))
    frame = LENGTH.pack(size) + os.urandom(size)
    taken = []
    with sock:
        for _ in range(rounds(size)):
            started = time.perf_counter()
            sock.sendall(frame)
            receive(sock, buffer)
            taken.append(time.perf_counter() - started)
    process.wait()
    return statistics.median(taken) * 1e6


async def median_of(ask: Callable[[], Awaitable[object]], count: int) -> float:
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


async def measure_echo(loop_name: str, size: int) -> float:
    sock, process = spawn("echo", loop_name)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_unix_connection(EchoProtocol, sock=sock)
    frame = LENGTH.pack(size) + os.urandom(size)

    async def ask() -> None:
        protocol.answered, protocol.left = loop.create_future(), len(frame)
        transport.write(frame)
        await protocol.answered

    median = await median_of(ask, rounds(size))
    transport.close()
    await protocol.lost.wait()
    process.wait()
    return median


async def measure_ours(role: str, loop_name: str, size: int) -> float:
    sock, process = spawn(role, loop_name)
    connection = await from_socket(sock, Endpoint("host", timeout=30), accepts=True)
    asked = Echo(os.urandom(size))
    median = await median_of(lambda: connection.request(asked, Echo, timeout=30), rounds(size))
    await connection.close()
    process.wait()
    return median


def one_pass(program: str | None, loop_name: str, runner: asyncio.Runner, size: int) -> list[float]:
    return [
        measure_c(program, size),
        measure_blocking(size),
        runner.run(measure_echo(loop_name, size)),
        runner.run(measure_ours("request", loop_name, size)),
        runner.run(measure_ours("worker", loop_name, size)),
    ]


def runner_of(loop_name: str) -> asyncio.Runner:
    if loop_name == "asyncio":
        return asyncio.Runner()
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def round_trips(program: str | None, loop_name: str) -> None:
    print(f"\nround trip, {loop_name}, medians of {PASSES} passes, us (x C)\n")
    print(f"{'payload':>8}" + "".join(f"{column:>18}" for column in COLUMNS))
    with runner_of(loop_name) as runner:
        for name, size in SIZES.items():
            passes = [one_pass(program, loop_name, runner, size) for _ in range(PASSES)]
            medians = [statistics.median(column) for column in zip(*passes, strict=True)]
            ratios = [statistics.median(one[i] / one[0] for one in passes) for i in range(len(COLUMNS))]
            cells = (f"{us:9.1f} ({ratio:5.2f})" for us, ratio in zip(medians, ratios, strict=True))
            print(f"{name:>8}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def microseconds(statement: object, number: int = 20_000) -> float:
    return statistics.median(timeit.repeat(statement, number=number, repeat=9)) / number * 1e6  # type: ignore[arg-type]


def envelopes() -> None:
    meta = {"tenant": "local", "run": "2f0c", "node": "metrics"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    payload = os.urandom(330)
    ours = Envelope(Kind.REQUEST, 7, "worker.call/1", 30.0, trace, "key-1", meta, payload=memoryview(payload))
    frame = b"".join(encode(ours))
    body = frame[LENGTH.size :]
    assert decode(body) == ours
    mine = microseconds(lambda: decode(encode(ours)[0][LENGTH.size :]))
    print(f"\nenvelope of {len(body)} bytes, encode and validating decode\n")
    print(f"{'symphony-ipc':>20} {mine:8.2f} us")
    if not (importlib.util.find_spec("msgpack") and importlib.util.find_spec("pydantic")):
        print("pydantic + msgpack: not installed")
        return
    import msgpack
    import pydantic

    class Model(pydantic.BaseModel):
        kind: Kind
        id: int
        type: str
        deadline: float | None
        traceparent: str
        idempotency_key: str
        meta: dict[str, str] | None
        payload: bytes

    fields = msgspec.structs.asdict(ours) | {"payload": payload}
    model = Model(**fields)
    usual = microseconds(lambda: Model(**msgpack.unpackb(msgpack.packb(model.model_dump()))))
    print(f"{'pydantic + msgpack':>20} {usual:8.2f} us, ratio {mine / usual:.2f}")


def main() -> None:
    if len(sys.argv) == 4:
        role, loop_name, descriptor = sys.argv[1:]
        serve(role, socket.socket(fileno=int(descriptor)), runner_of(loop_name))
        return
    envelopes()
    with tempfile.TemporaryDirectory() as folder:
        program = compile_floor(folder)
        if program is None:
            print("\nno C compiler (cc) here: the column C is left out")
        round_trips(program, "asyncio")
        if importlib.util.find_spec("uvloop"):
            round_trips(program, "uvloop")
        else:
            print("\nuvloop is not installed: its rows are left out")


if __name__ == "__main__":
    main()
