"""A machine in a plain process: what it hears comes on stdin, what it says goes to stdout. Run by `pipe_cluster.py`."""

import os
import struct
import sys
from pathlib import Path

from symphony_isolation.cluster import Capacity, Machine

LENGTH = struct.Struct("<I")


def read(size: int) -> bytes:
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main() -> None:
    name, directory, cores = sys.argv[1:4]
    custom = {label: float(amount) for label, _, amount in (text.partition("=") for text in sys.argv[4:])}
    out = os.dup(1)
    os.dup2(2, 1)  # what is printed here must not come between messages

    def send(data: bytes) -> None:
        with memoryview(LENGTH.pack(len(data)) + data) as rest:
            written = 0
            while written < len(rest):
                written += os.write(out, rest[written:])

    machine = None
    try:
        (size,) = LENGTH.unpack(read(LENGTH.size))
        machine = Machine(
            name,
            read(size),
            send,
            directory=Path(directory),
            capacity=Capacity(float(cores), custom=custom),
        )
        machine.start()
        while True:
            (size,) = LENGTH.unpack(read(LENGTH.size))
            machine.receive(read(size))
    except EOFError:
        if machine is not None:
            machine.stop()


if __name__ == "__main__":
    main()
