"""A process with little memory for the tests: `hostile_payload.py CASE` decodes the worst payload of a case."""

import resource
import struct
import sys
from pathlib import Path

from symphony_ipc.payload import decode_message
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.messages import DATA_LIMIT, MESSAGE_LIMIT

ROOM = 128 << 20


def array(count: int) -> bytes:
    return b"\xdd" + struct.pack(">I", count)


def mapping(count: int) -> bytes:
    return b"\xdf" + struct.pack(">I", count)


def keys(count: int, value: bytes) -> bytes:
    letters = range(0x21, 0x7F)
    made = (b"\xa4" + bytes((a, b, c, d)) for a in letters for b in letters for c in letters for d in letters)
    return b"".join(next(made) + value for _ in range(count))


def wide(limit: int, field: bytes, value: bytes) -> bytes:
    """A message whose one field is a mapping of as many keys as there is room for."""
    count = (limit - 64) // (5 + len(value))
    return b"\x81" + bytes([0xA0 | len(field)]) + field + mapping(count) + keys(count, value)


def empty(limit: int, value: bytes) -> bytes:
    """Settings of an extension that are nothing but empty collections."""
    count = limit - 64
    head = b"\x85\xa9extension\xa0\xa7version\xa0\xa6module\xa0\xabpermissions\x90\xa6config\x81\xa1x"
    return head + array(count - len(head)) + value * (count - len(head))


def schemas(limit: int) -> bytes:
    """A worker that says it has an operation whose port has a schema of empty collections."""
    head = b"\x81\xaaoperations\x91\x83\xa2id\xa0\xa4kind\xa8operator\xa6inputs\x91\x82\xa4name\xa0\xa6schema\x81\xa1x"
    count = limit - len(head) - 5
    return head + array(count) + b"\x80" * count


CASES = {
    "lists": ("worker.load/1", lambda: empty(MESSAGE_LIMIT, b"\x90")),
    "maps": ("worker.load/1", lambda: empty(MESSAGE_LIMIT, b"\x80")),
    "schemas": ("worker.loaded/1", lambda: schemas(MESSAGE_LIMIT)),
    "too many maps": ("worker.load/1", lambda: empty(DATA_LIMIT, b"\x80")),
    "too many schemas": ("worker.loaded/1", lambda: schemas(DATA_LIMIT)),
    "wide outputs": ("worker.result/1", lambda: wide(DATA_LIMIT, b"outputs", b"\xc0")),
    "wide metadata": ("artifact.put/1", lambda: wide(DATA_LIMIT, b"metadata", b"\xa0")),
}


def main(case: str) -> None:
    name, make = CASES[case]
    payload = memoryview(make())
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        decoded = decode_message(name, payload)
    except MalformedMessage as error:
        print("refused", error.message)
    else:
        print("decoded", type(decoded).__name__)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, "MiB", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
