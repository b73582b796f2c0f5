"""Round trips between the host and a worker process, and the cost of an envelope, each beside its floor.

    uv run --group test benchmarks/ipc_round_trip.py

Prints medians in microseconds. Two floors carry the same bytes with a length in front and decode nothing: a
blocking socket at both ends, and a bare event loop against a blocking socket, which is the way that the
host and a worker talk. pydantic with msgpack stands for the usual way to validate a message.
"""

import asyncio
import importlib.util
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
import timeit

import msgspec
from symphony_ipc import BlockingConnection, Endpoint, Envelope, IncomingCall, Kind, from_socket
from symphony_ipc.framing import decode, encode
from symphony_sdk.messages import message

LENGTH = struct.Struct("<I")
SIZES = {"64 B": 64, "1 KB": 1 << 10, "64 KB": 64 << 10, "1 MB": 1 << 20}
PASSES = 5


@message("benchmark.echo")
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


def receive(sock: socket.socket, buffer: memoryview) -> int:
    while (got := sock.recv_into(buffer)) < LENGTH.size:
        raise SystemExit(0)
    size = LENGTH.unpack_from(buffer)[0] + LENGTH.size
    while got < size:
        got += sock.recv_into(buffer[got:])
    return size


def serve_floor(sock: socket.socket) -> None:
    buffer = memoryview(bytearray((1 << 20) + 64))
    while True:
        sock.sendall(buffer[: receive(sock, buffer)])


def spawn(role: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, role, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
    return ours, process


def rounds(size: int) -> int:
    return 2000 if size <= 64 << 10 else 200


def measure_floor(sock: socket.socket, size: int) -> float:
    buffer = memoryview(bytearray((1 << 20) + 64))
    frame = LENGTH.pack(size) + os.urandom(size)
    taken = []
    for _ in range(rounds(size)):
        started = time.perf_counter()
        sock.sendall(frame)
        receive(sock, buffer)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


class BareProtocol(asyncio.BufferedProtocol):
    """The least that an event loop does: a future for each round trip, nothing decoded."""

    answered: asyncio.Future[None]

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray((1 << 20) + 64))
        self.left = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.left -= nbytes
        if not self.left:
            self.answered.set_result(None)


async def measure_bare(sock: socket.socket) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_unix_connection(BareProtocol, sock=sock)
    medians = {}
    for name, size in SIZES.items():
        frame = LENGTH.pack(size) + os.urandom(size)
        taken = []
        for _ in range(rounds(size)):
            started = time.perf_counter()
            protocol.answered, protocol.left = loop.create_future(), len(frame)
            transport.write(frame)
            await protocol.answered
            taken.append(time.perf_counter() - started)
        medians[name] = statistics.median(taken) * 1e6
    transport.close()
    await asyncio.sleep(0)
    return medians


async def measure_ours(sock: socket.socket) -> dict[str, float]:
    connection = await from_socket(sock, Endpoint("host", timeout=30), accepts=True)
    medians = {}
    for name, size in SIZES.items():
        ask = Echo(os.urandom(size))
        taken = []
        for _ in range(rounds(size)):
            started = time.perf_counter()
            await connection.request(ask, Echo, timeout=30)
            taken.append(time.perf_counter() - started)
        medians[name] = statistics.median(taken) * 1e6
    await connection.close()
    return medians


def one_pass(runner: asyncio.Runner) -> dict[str, tuple[float, float, float]]:
    sock, process = spawn("floor")
    with sock:
        floors = {name: measure_floor(sock, size) for name, size in SIZES.items()}
    process.wait()
    sock, process = spawn("floor")
    bare = runner.run(measure_bare(sock))
    process.wait()
    sock, process = spawn("worker")
    ours = runner.run(measure_ours(sock))
    process.wait()
    return {name: (floors[name], bare[name], ours[name]) for name in SIZES}


def round_trips(title: str, runner: asyncio.Runner) -> None:
    with runner:
        passes = [one_pass(runner) for _ in range(PASSES)]
    print(f"\nround trip host -> worker -> host, {title}, {PASSES} passes, us\n")
    print(
        f"{'payload':>8} {'blocking':>10} {'bare loop':>10} {'ours':>10} {'x blocking':>11} {'x bare loop':>12}"
    )
    for name in SIZES:
        floor, bare, ours = (statistics.median(one[name][i] for one in passes) for i in range(3))
        print(f"{name:>8} {floor:10.1f} {bare:10.1f} {ours:10.1f} {ours / floor:11.2f} {ours / bare:12.2f}")


def microseconds(statement: object, number: int = 20_000) -> float:
    return statistics.median(timeit.repeat(statement, number=number, repeat=9)) / number * 1e6  # type: ignore[arg-type]


def envelopes() -> None:
    meta = {"tenant": "local", "run": "2f0c", "node": "metrics"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    payload = os.urandom(330)
    ours = Envelope(Kind.REQUEST, 7, "worker.call/1", 30.0, trace, "key-1", meta, memoryview(payload))
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
    if len(sys.argv) == 3:
        sock = socket.socket(fileno=int(sys.argv[2]))
        if sys.argv[1] == "floor":
            serve_floor(sock)
        connection = BlockingConnection.connect(sock, Endpoint("worker", timeout=30))
        connection.serve(EchoHandler())
        return
    envelopes()
    round_trips("asyncio", asyncio.Runner())
    if importlib.util.find_spec("uvloop"):
        import uvloop

        round_trips("uvloop", asyncio.Runner(loop_factory=uvloop.new_event_loop))


if __name__ == "__main__":
    main()
