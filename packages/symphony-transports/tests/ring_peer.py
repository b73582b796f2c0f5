"""The other end of a channel in a process of its own: `ring_peer.py DESCRIPTOR ROLE` takes what is offered there."""

import os
import random
import signal
import socket
import sys
import time
import zlib

from symphony_ipc import BlockingConnection, Endpoint, IncomingCall
from symphony_sdk.messages import CallOperation, OperationResult
from symphony_transports.shared_memory import RingSocket, receive

TEN_MILLION = 10_000_000
END = b"the very last"


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


def pause(chance: random.Random) -> None:
    """Be busy for any time up to twice as long as a receiver looks before it sleeps."""
    until = time.perf_counter() + chance.random() * 100e-6
    while time.perf_counter() < until:
        pass


def echo(ring: RingSocket) -> None:
    """Send everything back, after any time."""
    chance = random.Random(7)
    buffer = memoryview(bytearray(100))
    while count := ring.recv_into(buffer):
        pause(chance)
        ring.sendall(buffer[:count])


def send_bursts(ring: RingSocket, messages: int, seed: int) -> int:
    """Send so many messages of eight bytes, with a pause now and then, and return their checksum."""
    chance = random.Random(seed)
    checksum = 0
    for number in range(messages):
        if chance.random() < 0.02:
            pause(chance)
        message = number.to_bytes(8, "little")
        ring.sendall(message)
        checksum = zlib.crc32(message, checksum)
    ring.sendall(END)
    return checksum


def receive_bursts(ring: RingSocket) -> int:
    """Receive messages up to the last, and return their checksum."""
    chance = random.Random(8)
    buffer = memoryview(bytearray(1 << 16))
    received = bytearray()
    while not received.endswith(END):
        count = ring.recv_into(buffer)
        assert count, "the end came too early"
        received += buffer[:count]
        if chance.random() < 0.02:
            pause(chance)
    return zlib.crc32(received[: -len(END)])


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
        case "echo":
            echo(ring)
        case "count":
            ring.settimeout(30)
            print(receive_bursts(ring), flush=True)
        case "serve":
            BlockingConnection.connect(ring, Endpoint("worker", b"t", timeout=30)).serve(Worker())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        channel = receive(sock)
    main(RingSocket(channel), sys.argv[2])
