"""Processes with little memory and time that read hostile bytes: prints what came of each case as a line of JSON.

Every case runs in a fork of its own, once through each boundary: the typed decoder, the reader of frames, and a
connection of the host.
"""

import asyncio
import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import FrameReader, decode, encode
from symphony_ipc.handshake import Endpoint, connect_blocking
from symphony_ipc.payload import decode_error, decode_message
from symphony_ipc.sockets import from_socket
from symphony_sdk.errors import SymphonyError
from symphony_sdk.messages import Done

ROOM = 160 << 20  # bytes that a case may take beyond what the process has
SECONDS = 10  # of processor time
LENGTHS = {"array": b"\xdd", "map": b"\xdf", "text": b"\xdb", "bytes": b"\xc6", "ext": b"\xc9"}
HUGE = b"\xff\xff\xff\xff"


class Case(NamedTuple):
    """One attack.

    Args:
        name: What it is.
        type: Wire name of the message that the payload is to be; empty where the whole envelope is hostile.
        data: Makes the payload, or the envelope.
    """

    name: str
    type: str
    data: Callable[[], bytes]


def log_line(level: bytes = b"\xa4info", text: bytes = b"\xa1x", more: bytes = b"") -> bytes:
    count = 2 + (more != b"")
    return bytes([0x80 | count]) + b"\xa5level" + level + b"\xa4text" + text + more


def unknown(value: bytes) -> bytes:
    return log_line(more=b"\xa1z" + value)


def settings(value: bytes) -> bytes:
    """An extension's settings, which may hold anything."""
    return b"\x84\xa9extension\xa0\xa7version\xa0\xa6module\xa0\xa6config\x81\xa1x" + value


def nested(depth: int, header: bytes = b"\x91") -> bytes:
    return header * depth + b"\xc0"


def many(first: bytes, value: bytes, size: int) -> bytes:
    return first + struct.pack(">I", size) + value * size


def cases() -> Iterator[Case]:
    for depth in (20_000, 100_000, 10_000_000):  # some Pythons nest 10,000 levels without harm
        if depth < 1_000_000:  # longer ones are refused for their length alone
            yield Case(
                f"depth {depth:,} in an unknown field", "worker.log/1", lambda d=depth: unknown(nested(d))
            )
            yield Case(f"depth {depth:,} in settings", "worker.load/1", lambda d=depth: settings(nested(d)))
            yield Case(
                f"maps of depth {depth:,}", "worker.load/1", lambda d=depth: settings(nested(d, b"\x81\xa1x"))
            )
        yield Case(
            f"depth {depth:,} in a value",
            "worker.call/1",
            lambda d=depth: b"\x82\xa9operation\xa1x\xa6inputs\x81\xa1x" + nested(d),
        )
        yield Case(
            f"depth {depth:,} in a new field of the envelope",
            "",
            lambda d=depth: b"\x9c\x03\x01\xa0\xc0\xa0\xa0\xc0\xa0\xa0\x00\xc4\x00" + nested(d),
        )
        yield Case(
            f"depth {depth:,} in a field of the envelope", "", lambda d=depth: b"\x98\x03\x01" + nested(d)
        )
    for name, first in LENGTHS.items():
        tail = b"\x01" if name == "ext" else b""
        yield Case(
            f"4 G of {name} in a field", "worker.log/1", lambda f=first, t=tail: log_line(text=f + HUGE + t)
        )
        yield Case(
            f"4 G of {name} in an unknown field",
            "worker.log/1",
            lambda f=first, t=tail: unknown(f + HUGE + t),
        )
        yield Case(
            f"4 G of {name} in settings", "worker.load/1", lambda f=first, t=tail: settings(f + HUGE + t)
        )
        yield Case(
            f"4 G of {name} as data", "artifact.put/1", lambda f=first, t=tail: b"\x81\xa4data" + f + HUGE + t
        )
        yield Case(f"4 G of {name} as a payload", "worker.log/1", lambda f=first, t=tail: f + HUGE + t)
        yield Case(f"4 G of {name} as an envelope", "", lambda f=first, t=tail: f + HUGE + t)
        yield Case(
            f"4 G of {name} in an envelope",
            "",
            lambda f=first, t=tail: b"\x97\x03\x01\xa0\xc0\xa0\xa0" + f + HUGE + t,
        )
        yield Case(
            f"500 arrays around 4 G of {name}",
            "worker.load/1",
            lambda f=first, t=tail: settings((b"\xdd" + HUGE) * 500 + f + HUGE + t),
        )
    mebibytes = 15 << 20
    for name, value in (("maps", b"\x80"), ("lists", b"\x90"), ("texts", b"\xa0"), ("nils", b"\xc0")):
        yield Case(
            f"15 MiB of empty {name} in settings",
            "worker.load/1",
            lambda v=value: settings(many(b"\xdd", v, mebibytes)),
        )
        yield Case(
            f"15 MiB of empty {name} in an envelope",
            "",
            lambda v=value: b"\x98\x03\x01\xa0\xc0\xa0\xa0\xc0" + many(b"\xdd", v, mebibytes),
        )
        yield Case(
            f"15 MiB of empty {name} as data",
            "artifact.put/1",
            lambda v=value: b"\x81\xa4data" + many(b"\xdd", v, mebibytes),
        )
    yield Case("trailing bytes", "worker.log/1", lambda: log_line() + b"\x00")
    yield Case("trailing bytes after an envelope", "", lambda: b"\x91\x09\x00")
    yield Case("nothing", "worker.log/1", lambda: b"")
    yield Case("half of it", "worker.log/1", lambda: log_line()[:-1])
    yield Case("no MessagePack", "worker.log/1", lambda: b"\xc1")
    for name, value in (
        ("nil", b"\xc0"),
        ("a number", b"\x01"),
        ("bytes", b"\xc4\x01x"),
        ("a list", b"\x90"),
        ("a map", b"\x80"),
        ("true", b"\xc3"),
    ):
        yield Case(f"{name} for a text", "worker.log/1", lambda v=value: log_line(text=v))
        yield Case(f"{name} for a message", "artifact.data/1", lambda v=value: v)
    yield Case("a text for a number", "artifact.data/1", lambda: b"\x82\xa4data\xc4\x00\xa4size\xa11")
    yield Case("true for a number", "artifact.data/1", lambda: b"\x82\xa4data\xc4\x00\xa4size\xc3")
    yield Case("a missing field", "worker.log/1", lambda: b"\x81\xa5level\xa4info")
    yield Case("text that is not UTF-8", "worker.log/1", lambda: log_line(text=b"\xa2\xc3\x28"))
    yield Case("half of a surrogate pair", "worker.log/1", lambda: log_line(text=b"\xa3\xed\xa0\x80"))
    yield Case("a key that is not UTF-8", "worker.load/1", lambda: settings(b"\x81\xa2\xc3\x28\x01"))
    yield Case(
        "a time beyond all years",
        "worker.load/1",
        lambda: settings(b"\xc7\x0c\xff\x00\x00\x00\x00" + b"\x7f" + b"\xff" * 7),
    )
    yield Case("a time with too many nanoseconds", "worker.load/1", lambda: settings(b"\xd7\xff" + HUGE * 2))
    yield Case("a time in a text", "worker.log/1", lambda: log_line(text=b"\xd6\xff" + bytes(4)))
    yield Case("an unknown ext in a text", "worker.log/1", lambda: log_line(text=b"\xd4\x05\x00"))
    yield Case("a number as a key", "worker.log/1", lambda: b"\x81\x01\x01")
    yield Case("a list as a key", "worker.log/1", lambda: b"\x81\x90\x01")
    yield Case(
        "a number as the key of a value",
        "worker.call/1",
        lambda: b"\x82\xa9operation\xa1x\xa6inputs\x81\x01\xc0",
    )
    yield Case(
        "a list as the key of a value",
        "worker.call/1",
        lambda: b"\x82\xa9operation\xa1x\xa6inputs\x81\x90\xc0",
    )
    yield Case("a map as the key of a map", "worker.load/1", lambda: settings(b"\x81\x81\x01\x01\x01"))
    yield Case("a map as an envelope", "", lambda: b"\x81\x00\x03")
    yield Case("an unknown kind", "", lambda: b"\x92\xcc\xff\x01")
    yield Case("a broken deadline", "", lambda: b"\x94\x03\x01\xa0\xcb\x7f\xf8" + bytes(6))


def decoded(case: Case) -> object:
    data = case.data()
    return decode_message(case.type, memoryview(data)) if case.type else decode(data)


def frame_of(case: Case) -> tuple[bytes | memoryview, ...]:
    data = case.data()
    if case.type:
        return encode(Envelope(Kind.REQUEST, 1, case.type, payload=memoryview(data)))
    return (struct.pack("<I", len(data)), data)


def framed(case: Case) -> object:
    reader = FrameReader()
    for part in frame_of(case):
        rest = memoryview(part)
        while rest:
            buffer = reader.get_buffer()
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            rest = rest[count:]
            for envelope in reader.received(count):
                return decode_message(envelope.type, envelope.payload)
    raise AssertionError("the frame was not read")


def connected(case: Case) -> object:
    return asyncio.run(_connected(case))


async def _connected(case: Case) -> object:
    """What a peer is told that sends the case to the host; raised as the error that it is told."""

    async def handler(message: msgspec.Struct) -> msgspec.Struct:
        return Done()

    ours, theirs = socket.socketpair()
    with theirs:
        shaking = asyncio.create_task(asyncio.to_thread(connect_blocking, theirs, Endpoint("raw", b"t")))
        endpoint = Endpoint("host", b"t", timeout=30)
        connection: Connection = await from_socket(ours, endpoint, accepts=True, handler=handler)
        await shaking
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        reader = FrameReader()
        try:
            for part in frame_of(case):
                await loop.sock_sendall(theirs, part)
        except ConnectionError:
            pass  # it was refused before all of it was sent
        while count := await loop.sock_recv_into(theirs, reader.get_buffer()):
            for envelope in reader.received(count):
                await connection.close()
                if envelope.kind is Kind.ERROR:
                    raise decode_error(envelope.payload)
                return envelope.kind
    reason = await connection.wait_closed()
    raise reason or AssertionError("nothing was answered")


BOUNDARIES = {"decoder": decoded, "reader": framed, "connection": connected}


def run(case: Case, boundary: Callable[[Case], object]) -> str:
    try:
        return f"accepted: {boundary(case)!r}"[:200]
    except SymphonyError as error:
        return error.code
    except BaseException as error:  # noqa: BLE001 - that it is of another kind is what is looked for
        return f"{type(error).__name__}: {error}"[:200]


def peak() -> int:
    """The most memory that this process had, in KiB; what `getrusage` says counts its ancestors too."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def forked(case: Case, boundary: str) -> dict[str, object]:
    """Run a case in a fork that may take little more than this process has."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        before = peak()
        size = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        outcome = run(case, BOUNDARIES[boundary])
        os.write(theirs, f"{peak() - before} {outcome}".encode(errors="replace"))
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        grown, _, outcome = pipe.read().decode().partition(" ")
    _, status, usage = os.wait4(child, 0)
    return {
        "case": case.name,
        "boundary": boundary,
        "outcome": outcome or f"died: {status}",
        "mebibytes": int(grown or 0) / 1024,
        "seconds": usage.ru_utime + usage.ru_stime,
    }


def main() -> None:
    for case in cases():
        for boundary in BOUNDARIES:
            print(json.dumps(forked(case, boundary)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
