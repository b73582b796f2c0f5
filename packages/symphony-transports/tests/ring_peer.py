"""The other end of a channel in a process of its own: `ring_peer.py DESCRIPTOR ROLE` takes what is offered there."""

import os
import random
import signal
import socket
import sys
import zlib

from symphony_ipc import BlockingConnection, Endpoint, IncomingCall
from symphony_sdk.messages import CallOperation, OperationResult
from symphony_transports.shared_memory import RingSocket, receive

TEN_MILLION = 10_000_000


class Worker:
    """Answers each operation with its inputs."""

    def request(self, call: IncomingCall) -> None:
        message = call.decode()
        assert isinstance(message, CallOperation)
        call.respond(OperationResult(outputs=message.inputs))

    def cancel(self, call_id: int) -> None: ...

    def closed(self, reason: object) -> None: ...


def send_pseudorandom(ring: RingSocket, total: int, seed: int) -> int:
    """Send so many bytes in pieces of any size, and return their checksum."""
    chance = random.Random(seed)
    block = chance.randbytes(1 << 20)
    checksum = 0
    while total:
        size = min(chance.choice((1, 7, 64, 4095, 65_537, 300_001)), total)
        start = chance.randrange(len(block) - size + 1)
        data = memoryview(block)[start : start + size]
        ring.sendall(data)
        checksum = zlib.crc32(data, checksum)
        total -= size
    return checksum


def receive_all(ring: RingSocket, total: int, seed: int) -> int:
    """Receive so many bytes into buffers of any size, and return their checksum."""
    chance = random.Random(seed)
    buffer = memoryview(bytearray(1 << 20))
    checksum = 0
    while total:
        count = ring.recv_into(buffer[: chance.choice((1, 100, 4096, 65_536, 1 << 20))])
        assert count, "the end came too early"
        checksum = zlib.crc32(buffer[:count], checksum)
        total -= count
    return checksum


def main(ring: RingSocket, role: str) -> None:
    match role:
        case "both ways":
            print(receive_all(ring, 5 * TEN_MILLION, 3), flush=True)
            print(send_pseudorandom(ring, 5 * TEN_MILLION, 4), flush=True)
        case "stall":
            print("here", flush=True)
            signal.pause()
        case "last words":
            ring.sendall(b"last words")
            os.kill(os.getpid(), signal.SIGKILL)
        case "serve":
            BlockingConnection.connect(ring, Endpoint("worker", b"t", timeout=30)).serve(Worker())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        channel = receive(sock)
    main(RingSocket(channel), sys.argv[2])
