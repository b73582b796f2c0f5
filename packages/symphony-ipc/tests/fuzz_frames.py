"""Mutates frames and feeds them to what reads them: whatever comes in, only `MalformedMessage` comes out.

    FUZZ_CASES=1000000 uv run python packages/symphony-ipc/tests/fuzz_frames.py

Every case is drawn from a seed, so that the same numbers give the same bytes: `FUZZ_SEED` sets it. It prints
what came of the cases as JSON. The process may take 1 GiB of memory.
"""

import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.evolution import example
from symphony_ipc.framing import DATA_LIMIT, FrameReader, encode
from symphony_ipc.handshake import HANDSHAKE_LIMIT, Endpoint, hello, welcome, welcomed
from symphony_ipc.payload import decode_error, decode_message
from symphony_ipc.schema import family_messages
from symphony_sdk.errors import ErrorPayload, MalformedMessage, TransportError

ROOM = 1 << 30
ENDPOINT = Endpoint("fuzz", token=b"token")
# First bytes of what has a length, with lengths that are not there; ends of ranges; what is no MessagePack.
SPLICES = [
    *(
        first + b"\xff" * width
        for first, width in ((b"\xdd", 4), (b"\xdf", 4), (b"\xdb", 4), (b"\xc6", 4), (b"\xc9", 4))
    ),
    *(
        b"\xdc\xff\xff",
        b"\xde\xff\xff",
        b"\xda\xff\xff",
        b"\xc5\xff\xff",
        b"\xc8\xff\xff",
        b"\xd9\xff",
        b"\xc4\xff",
    ),
    *(
        b"\xcf" + b"\xff" * 8,
        b"\xd3\x80" + b"\x00" * 7,
        b"\xcb\x7f\xf8" + b"\x00" * 6,
        b"\xcb\x7f\xf0" + b"\x00" * 6,
    ),
    *(
        b"\xc1",
        b"\xc0",
        b"\x80",
        b"\x90",
        b"\xa0",
        b"\xd6\xff" + b"\x00" * 4,
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\x91" * 600,
    ),
    *(
        b"\xa2\xc3\x28",
        b"\xed\xa0\x80",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x10\x00",
        b"\x00\x00\x00\x01",
    ),
]


def corpus() -> list[Envelope]:
    """Envelopes as they should be: every kind, every message, the handshake, an error."""
    envelopes = [
        Envelope(kind, 1, "x/1", 1.5, "00-0-0-0", "key", {"a": "b"}, "to", "group", 3) for kind in Kind
    ]
    for name, kind in family_messages().items():
        payload = memoryview(example(kind))
        envelopes += [Envelope(each, 7, name, payload=payload) for each in (Kind.REQUEST, Kind.PUBLISH)]
    envelopes.append(Envelope(Kind.ERROR, 7, payload=memoryview(example(ErrorPayload))))
    greeting = hello(ENDPOINT)
    return [*envelopes, greeting, welcome(greeting, ENDPOINT)[0]]


def framed(envelope: Envelope) -> bytes:
    return b"".join(encode(envelope))


def hostile(chance: random.Random, envelope: Envelope) -> bytes:
    """A frame that is wrong in its payload alone, or anywhere, perhaps with a length that fits it again."""
    if len(envelope.payload) and chance.random() < 0.5:
        payload = memoryview(mutated(chance, bytes(envelope.payload)))
        return framed(msgspec.structs.replace(envelope, payload=payload))
    frame = mutated(chance, framed(envelope))
    return (
        (len(frame) - 4).to_bytes(4, "little") + frame[4:]
        if chance.random() < 0.7 and len(frame) > 4
        else frame
    )


def mutated(chance: random.Random, given: bytes) -> bytes:
    """Bytes with one to four changes."""
    data = bytearray(given)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if data:
                data[place - 1] = chance.randrange(256)
            case 1 if data:
                data[place - 1] ^= 1 << chance.randrange(8)
            case 2:
                data[place:place] = chance.choice(SPLICES)
            case 3:
                splice = chance.choice(SPLICES)
                data[place : place + len(splice)] = splice
            case 4:
                del data[place : place + chance.randint(1, 8)]
            case 5:
                start = chance.randrange(len(data) + 1)
                data[place:place] = data[start : start + chance.randint(1, 32)]
    return bytes(data)


def read(chance: random.Random, stream: bytes, outcomes: Counter[str]) -> None:
    """Feed a stream to a reader in pieces, and every envelope to what takes its payload."""
    reader = FrameReader(chance.choice([DATA_LIMIT, HANDSHAKE_LIMIT]))
    start = 0
    while start < len(stream):
        buffer = reader.get_buffer()
        piece = stream[start : start + min(len(buffer), chance.choice([1, 3, 17, 1 << 16]))]
        buffer[: len(piece)] = piece
        start += len(piece)
        for envelope in reader.received(len(piece)):
            outcomes["envelopes"] += 1
            take(envelope, outcomes)


def take(envelope: Envelope, outcomes: Counter[str]) -> None:
    """What each kind of envelope leads to at an end that reads it."""
    taken: Callable[[], object]
    match envelope.kind:
        case Kind.HELLO:
            taken = lambda: welcome(envelope, ENDPOINT)  # noqa: E731
        case Kind.WELCOME:
            taken = lambda: welcomed(envelope, ENDPOINT)  # noqa: E731
        case Kind.ERROR:
            taken = lambda: decode_error(envelope.payload)  # noqa: E731
        case _:
            taken = lambda: decode_message(envelope.type, envelope.payload)  # noqa: E731
    try:
        taken()
    except MalformedMessage:
        outcomes["malformed payloads"] += 1
    except TransportError as refusal:
        if refusal.code not in ("SYM-T006", "SYM-T007", "SYM-T008"):
            raise
        outcomes["refused"] += 1
    else:
        outcomes["decoded"] += 1


def main() -> int:
    cases = int(os.environ.get("FUZZ_CASES", "20000"))
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    envelopes = corpus()
    for envelope in envelopes:  # as they are, all of them are read
        whole: Counter[str] = Counter()
        read(random.Random(0), framed(envelope), whole)
        assert whole["envelopes"] == 1, envelope
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    started = time.perf_counter()
    for case in range(cases):
        stream = b"".join(hostile(chance, chance.choice(envelopes)) for _ in range(chance.randint(1, 3)))
        try:
            read(chance, stream, outcomes)
        except MalformedMessage:
            outcomes["malformed frames"] += 1
        except BaseException as error:
            print(
                f"case {case} of seed {seed}: {type(error).__name__}: {error}\n{stream.hex()}",
                file=sys.stderr,
            )
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = round(time.perf_counter() - started, 1)
    print(
        json.dumps({"cases": cases, "seconds": seconds, "peak KiB": peak, **dict(sorted(outcomes.items()))})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
