"""How soon a hub knows that a process below it was killed, and that one hangs.

    uv run benchmarks/health_detection.py [ROUNDS]

Each round kills a process that holds a request, and takes the time until the request has failed and `_bus.health` says
`dead`; before that it stops it with SIGSTOP, and takes the time until it is `suspect`. The floor of the first is the
time until a bare socket to a killed process of the same imports is readable: its memory is given back first.
"""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from statistics import median, quantiles

from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.errors import PeerGone
from symphony_sdk.messages import Done, LogLine

ROUNDS = int(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else 50
SLEEPER = "import symphony_ipc.bus, time; print(flush=True); time.sleep(600)"


async def below(fd: str) -> None:
    """A process below the hub that takes a request and never answers it."""
    bus = Bus(f"process-{os.getpid()}")

    async def hang(message: object) -> Done:
        bus.publish("hanging", LogLine("info", bus.name))
        await asyncio.Event().wait()
        return Done()

    async with await bus.register(bus.name, hang):
        connection = await from_socket(
            socket.socket(fileno=int(fd)), Endpoint(bus.name, timeout=60), accepts=False
        )
        await bus.join(connection)
        bus.publish("ready", LogLine("info", bus.name))
        await connection.wait_closed()


def spawned() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, "below", str(theirs.fileno())]
        return ours, subprocess.Popen(command, pass_fds=[theirs.fileno()])


async def one_round(hub: Bus) -> tuple[float, float, float]:
    """Seconds until a request has failed, until its process is dead, and until a stopped one is suspect."""
    sock, process = spawned()
    name = f"process-{process.pid}"
    async with (
        await hub.subscribe("_bus.health") as health,
        await hub.subscribe("ready") as ready,
        await hub.subscribe("hanging") as hanging,
    ):
        await from_socket(
            sock,
            Endpoint("hub", timeout=60),
            accepts=True,
            on_open=lambda connection: hub.attach(connection, pid=process.pid),
        )
        await anext(ready)
        request = asyncio.create_task(hub.request(name, Done(), Done))
        await anext(hanging)

        async def said(state: str) -> float:
            async for delivery in health:
                if (delivery.message.process, delivery.message.health) == (name, state):  # type: ignore[attr-defined]
                    return time.perf_counter()
            raise AssertionError("the hub was closed")

        process.send_signal(signal.SIGSTOP)
        stopped = time.perf_counter()
        suspect = await said("suspect") - stopped
        process.send_signal(signal.SIGCONT)
        await said("alive")
        process.kill()
        killed = time.perf_counter()
        try:
            await request
        except PeerGone:
            gone = time.perf_counter() - killed
        dead = await said("dead") - killed
    process.wait()
    return gone, dead, suspect


def floor() -> float:
    """Seconds until a bare socket to a killed process is readable."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", SLEEPER],
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
            )
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        killed = time.perf_counter()
        select.select([ours], [], [])
        seconds = time.perf_counter() - killed
        process.communicate()
        return seconds


async def rounds() -> list[tuple[float, float, float]]:
    hub = Bus("hub")
    taken = [await one_round(hub) for _ in range(ROUNDS)]
    await hub.close()
    return taken


def main() -> None:
    if sys.argv[1:2] == ["below"]:
        asyncio.run(below(sys.argv[2]))
        return
    bare = [floor() for _ in range(ROUNDS)]
    gone, dead, suspect = zip(*asyncio.run(rounds()), strict=True)
    print(f"{'ms':>52} {'median':>8} {'p99':>8}")
    for what, taken in (
        ("killed, until a bare socket is readable (floor)", bare),
        ("killed, until its request has failed", gone),
        ("killed, until it is dead", dead),
        ("stopped, until it is suspect", suspect),
    ):
        print(f"{what:>52} {median(taken) * 1e3:8.1f} {quantiles(taken, n=100)[98] * 1e3:8.1f}")
    print(f"{'killed: ours / floor':>52} {median(gone) / median(bare):8.2f}")


if __name__ == "__main__":
    main()
