"""Round trips through shared memory between two processes, beside the ways that it replaces.

    uv run --with uvloop benchmarks/shared_memory.py

On a machine that others load, `chrt --fifo 10` in front of it keeps them off both cores meanwhile (as root).

Prints the median and the 99th percentile in microseconds of each way, and the ratio of its median to the floor:
shared memory and two eventfds in C, with no ring, no lengths and no end of the stream. Each pass measures all ways
one after the other, so that they meet the same machine. All of it twice: with the processes wherever the system
puts them, where waking another core is what takes long, and with both on one core, where nobody looks by itself:

    spin           two words of shared memory that each end looks at until they change: the floor of Python where
                   nobody sleeps, is killed or lies; left out on one core
    pipes, unix    a length and bytes that come back, by blocking system calls from Python
    pickled        `multiprocessing.Connection`, bytes only
    ring           the same length and bytes through `RingSocket`
    blocking       `BlockingConnection.request` at both ends, over `RingSocket`
    over unix      `Connection.request` from event loop to event loop, over a unix socket
    asyncio        the same over `RingTransport`; then with uvloop
"""

import asyncio
import importlib.util
import mmap
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as PickledConnection
from pathlib import Path
from typing import Any

import msgspec
from symphony_ipc import BlockingConnection, Connection, Endpoint, IncomingCall
from symphony_sdk.messages import DATA_LIMIT, message
from symphony_transports.shared_memory import RingSocket, RingTransport, offer, receive

LENGTH = struct.Struct("<I")
SIZES = {"64 B": 64, "64 KB": 64 << 10, "1 MB": 1 << 20}
PASSES = 3
FLOOR = Path(__file__).with_name("shared_memory_floor.c")
HOST, WORKER = Endpoint("host", timeout=30), Endpoint("worker", timeout=30)

Taken = dict[str, list[float]]


@message("benchmark.echo", limit=DATA_LIMIT)
class Echo(msgspec.Struct, frozen=True):
    """Bytes that come back."""

    data: bytes


class EchoHandler:
    """The other side of a blocking connection."""

    def request(self, call: IncomingCall) -> None:
        decoded = call.decode()
        assert isinstance(decoded, Echo)
        call.respond(decoded)

    def cancel(self, call_id: int) -> None: ...

    def closed(self, reason: object) -> None: ...


async def echo(asked: msgspec.Struct) -> msgspec.Struct:
    return asked


def rounds(size: int) -> int:
    return 5000 if size <= 64 else 1000 if size <= 64 << 10 else 100


def timed(round_trips: Callable[[bytes], Callable[[], object]]) -> Taken:
    """Microseconds of each round trip, for each size."""
    taken: Taken = {}
    for name, size in SIZES.items():
        round_trip = round_trips(os.urandom(size))
        times = taken[name] = []
        for _ in range(rounds(size)):
            started = time.perf_counter()
            round_trip()
            times.append((time.perf_counter() - started) * 1e6)
    return taken


# -- a length and bytes ------------------------------------------------------------------------------


class Words:
    """Bytes in shared memory in the form of a socket, for one message at a time, and a word that says their number."""

    def __init__(self, sock: socket.socket, *, listens: bool) -> None:
        half = 2 << 20
        if listens:
            memory = os.memfd_create("words")
            os.ftruncate(memory, 2 * half)
            socket.send_fds(sock, [b"w"], [memory])
        else:
            (memory,) = socket.recv_fds(sock, 1, 1)[1]
        whole = memoryview(mmap.mmap(memory, 2 * half))
        os.close(memory)
        sock.close()
        first, second = whole[:half], whole[half:]
        self._there, self._here = (first, second) if listens else (second, first)
        self._sent, self._came = self._there[-16:].cast("Q"), self._here[-16:].cast("Q")
        self._count = 0

    def recv_into(self, buffer: memoryview) -> int:
        came, count = self._came, self._count
        looks = 0
        while came[0] == count:
            looks += 1
            if looks % 1000 == 0:
                os.sched_yield()
        self._count += 1
        size = came[1]
        buffer[:size] = self._here[:size]
        return size

    def sendall(self, data: bytes | memoryview) -> None:
        size = self._sent[1] = len(data)
        self._there[:size] = data
        self._sent[0] += 1

    def close(self) -> None:
        self.sendall(b"")


class Pipes:
    """Two pipes in the form of a socket; the second is made by the other end."""

    def __init__(self, sock: socket.socket) -> None:
        theirs, self._write = os.pipe()
        socket.send_fds(sock, [b"p"], [theirs])
        os.close(theirs)
        (self._read,) = socket.recv_fds(sock, 1, 1)[1]
        sock.close()

    def recv_into(self, buffer: memoryview) -> int:
        return os.readv(self._read, [buffer])

    def sendall(self, data: bytes | memoryview) -> None:
        data = memoryview(data)
        while data:
            data = data[os.write(self._write, data) :]

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


def receive_frame(sock: Any, buffer: memoryview) -> int:
    if not (got := sock.recv_into(buffer)):
        return 0
    while got < LENGTH.size:
        got += sock.recv_into(buffer[got:])
    size: int = LENGTH.unpack_from(buffer)[0] + LENGTH.size
    while got < size:
        got += sock.recv_into(buffer[got:])
    return size


def serve_framed(sock: Any) -> None:
    buffer = memoryview(bytearray((1 << 20) + LENGTH.size))
    while size := receive_frame(sock, buffer):
        sock.sendall(buffer[:size])


def measure_framed(sock: Any) -> Taken:
    buffer = memoryview(bytearray((1 << 20) + LENGTH.size))

    def round_trips(data: bytes) -> Callable[[], object]:
        frame = LENGTH.pack(len(data)) + data

        def round_trip() -> None:
            sock.sendall(frame)
            receive_frame(sock, buffer)

        return round_trip

    taken = timed(round_trips)
    sock.close()
    return taken


def serve_pickled(sock: socket.socket) -> None:
    with PickledConnection(sock.detach()) as connection:
        try:
            while True:
                connection.send_bytes(connection.recv_bytes())
        except EOFError:
            return


def measure_pickled(sock: socket.socket) -> Taken:
    with PickledConnection(sock.detach()) as connection:
        return timed(lambda data: lambda: (connection.send_bytes(data), connection.recv_bytes()))


# -- requests ----------------------------------------------------------------------------------------


def serve_blocking(ring: RingSocket) -> None:
    BlockingConnection.connect(ring, WORKER).serve(EchoHandler())


def measure_blocking(ring: RingSocket) -> Taken:
    connection = BlockingConnection.accept(ring, HOST)
    serving = threading.Thread(target=connection.serve, args=(EchoHandler(),))
    serving.start()
    taken = timed(lambda data: lambda: connection.request(Echo(data), Echo, 30))
    connection.close()
    serving.join()
    return taken


Connect = Callable[[socket.socket, Connection], Awaitable[object]]


async def over_socket(sock: socket.socket, connection: Connection) -> None:
    await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=sock)


async def over_ring(sock: socket.socket, connection: Connection) -> None:
    RingTransport(connection, offer(sock) if connection.endpoint is HOST else receive(sock))


async def serve_async(sock: socket.socket, connect: Connect) -> None:
    connection = Connection(WORKER, accepts=False, handler=echo)
    await connect(sock, connection)
    await connection.wait_closed()


async def measure_async(sock: socket.socket, connect: Connect) -> Taken:
    connection = Connection(HOST, accepts=True)
    await connect(sock, connection)
    await connection.opened()
    taken: Taken = {}
    for name, size in SIZES.items():
        ask = Echo(os.urandom(size))
        times = taken[name] = []
        for _ in range(rounds(size)):
            started = time.perf_counter()
            await connection.request(ask, Echo, timeout=30)
            times.append((time.perf_counter() - started) * 1e6)
    await connection.close()
    return taken


def on_uvloop(main: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


WAYS: dict[str, tuple[Callable[[socket.socket], object], Callable[[socket.socket], Taken]]] = {
    "spin": (
        lambda sock: serve_framed(Words(sock, listens=False)),
        lambda sock: measure_framed(Words(sock, listens=True)),
    ),
    "pipes": (lambda sock: serve_framed(Pipes(sock)), lambda sock: measure_framed(Pipes(sock))),
    "unix": (serve_framed, measure_framed),
    "pickled": (serve_pickled, measure_pickled),
    "ring": (
        lambda sock: serve_framed(RingSocket(receive(sock))),
        lambda sock: measure_framed(RingSocket(offer(sock))),
    ),
    "blocking": (
        lambda sock: serve_blocking(RingSocket(receive(sock))),
        lambda sock: measure_blocking(RingSocket(offer(sock))),
    ),
    "over unix": (
        lambda sock: asyncio.run(serve_async(sock, over_socket)),
        lambda sock: asyncio.run(measure_async(sock, over_socket)),
    ),
    "asyncio": (
        lambda sock: asyncio.run(serve_async(sock, over_ring)),
        lambda sock: asyncio.run(measure_async(sock, over_ring)),
    ),
    "uvloop": (
        lambda sock: on_uvloop(serve_async(sock, over_ring)),
        lambda sock: on_uvloop(measure_async(sock, over_ring)),
    ),
}


# -- the table ---------------------------------------------------------------------------------------


def measure(way: str) -> Taken:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, way, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    with ours:
        taken = WAYS[way][1](ours)
    process.wait()
    return taken


def measure_floor(program: Path) -> Taken:
    taken = {}
    for name, size in SIZES.items():
        command = [program, str(size), str(rounds(size))]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        taken[name] = [float(line) for line in output.split()]
    return taken


def main() -> None:
    if len(sys.argv) == 3:
        WAYS[sys.argv[1]][0](socket.socket(fileno=int(sys.argv[2])))
        return
    ways = [way for way in WAYS if way != "uvloop" or importlib.util.find_spec("uvloop")]
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        floor = Path(folder, "floor")
        compiler = shutil.which("cc")
        if compiler is None:
            print("no C compiler (cc) here: its floor is left out, the ratios are to the first way")
        else:
            subprocess.run([compiler, "-O2", "-o", floor, FLOOR], check=True)
        for where, allowed in (("wherever the system puts them", cores), ("on one core", {max(cores)})):
            os.sched_setaffinity(0, allowed)
            passes = []
            for _ in range(PASSES):
                measured = {"C eventfd": measure_floor(floor)} if compiler else {}
                passes.append(
                    measured | {way: measure(way) for way in ways if way != "spin" or len(allowed) > 1}
                )
            print(f"\nround trips of two processes {where}, {PASSES} passes: us")
            print_table(passes)


def print_table(passes: list[dict[str, Taken]]) -> None:
    print(f"{'':>10}" + "".join(f"{f'{name} p50':>12}{'p99':>10}{'ratio':>6}" for name in SIZES))
    medians: dict[tuple[str, str], float] = {}
    for way in passes[0]:
        line = f"{way:>10}"
        for name in SIZES:
            each = [sorted(measured[way][name]) for measured in passes]
            median = medians[way, name] = statistics.median(times[len(times) // 2] for times in each)
            slow = statistics.median(times[len(times) * 99 // 100] for times in each)
            line += f"{median:12.1f}{slow:10.1f}{median / medians[next(iter(passes[0])), name]:6.2f}"
        print(line)


if __name__ == "__main__":
    main()
