"""Hours of traffic in a few minutes: is anything lost, and does any process grow?

    uv run benchmarks/soak.py [--minutes 10] [--rate 5000]

A hub, a publisher and two subscribers, each a process: half of the messages go to a plain subscriber, half to a queue
group of two, and one in ten is a request. Every two seconds, and at the end, the resident memory of each is read; the slope is
that of a straight line through the second half of the run. Without arguments it runs for 20 seconds.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.messages import LogLine

PAGE = os.sysconf("SC_PAGE_SIZE")
TURNS = 200  # a second


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def slope(samples: list[tuple[float, int]]) -> float:
    """Bytes a minute, by least squares."""
    half = samples[len(samples) // 2 :]
    times, sizes = [t for t, _ in half], [s for _, s in half]
    mean_time, mean_size = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((t - mean_time) ** 2 for t in times)
    return 60 * sum((t - mean_time) * (s - mean_size) for t, s in half) / spread if spread else 0.0


async def joined(name: str, fd: str) -> Bus:
    bus = Bus(name)
    await bus.join(
        await from_socket(socket.socket(fileno=int(fd)), Endpoint(name, timeout=60), accepts=False)
    )
    return bus


async def subscriber(fd: str, name: str) -> None:
    """Counts what it gets, and tells it when asked."""
    bus, received = await joined(name, fd), 0
    done = asyncio.Event()

    async def answer(message: LogLine) -> LogLine:
        if message.level == "count":
            lost = sum(subscription.lost for subscription in subscriptions)
            return LogLine(str(lost), str(received))
        return message

    async def take(subscription: object) -> None:
        nonlocal received
        async for _ in subscription:  # type: ignore[attr-defined]
            received += 1

    subscriptions = [
        await bus.subscribe("plain.*", limit=100_000) if name == "one" else await bus.subscribe("never"),
        await bus.subscribe("shared.>", group="g", limit=100_000),
    ]
    async with (
        await bus.register(name, answer),  # type: ignore[arg-type]
        await bus.listen("end", lambda delivery: done.set()),
    ):
        tasks = [asyncio.create_task(take(subscription)) for subscription in subscriptions]
        bus.publish("ready", LogLine("info", name))
        await done.wait()
    await bus.close()
    await asyncio.gather(*tasks)


async def publisher(fd: str, minutes: str, rate: str) -> None:
    """Publishes and asks at a steady rate, and prints how much it was."""
    bus = await joined("publisher", fd)
    begun, published, asked = time.monotonic(), 0, 0
    end = begun + 60 * float(minutes)
    text = "x" * 200
    while time.monotonic() < end:
        for number in range(int(rate) // TURNS):
            if number % 10 == 9:
                message = LogLine("info", text)
                assert await bus.request("two", message, LogLine, timeout=60) == message
                asked += 1
            else:
                bus.publish(f"plain.{number % 7}" if number % 2 else "shared.x.y", LogLine("info", text))
                published += 1
        due = begun + (published + asked) / float(rate)
        await asyncio.sleep(max(due - time.monotonic(), 0))
    seconds = time.monotonic() - begun
    print(published, asked, (published + asked) / seconds, bus.metrics().lost, flush=True)
    await bus.request("hub.finished", LogLine("info", ""), LogLine)
    await bus.close()


def started(role: str, *arguments: str) -> tuple[socket.socket, subprocess.Popen[str]]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, "--role", role, str(theirs.fileno()), *arguments]
        return ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True)


async def soak(minutes: float, rate: int) -> None:
    hub = Bus("hub")
    processes: dict[str, subprocess.Popen[str]] = {}
    finished = asyncio.Event()

    async def finish(message: LogLine) -> LogLine:
        finished.set()
        return message

    async def start(name: str, role: str, *arguments: str) -> None:
        sock, processes[name] = started(role, *arguments)
        await from_socket(sock, Endpoint("hub", timeout=60), accepts=True, on_open=hub.attach)

    async with (
        await hub.subscribe("ready") as ready,
        await hub.register("hub.finished", finish),  # type: ignore[arg-type]
    ):
        for name in ("one", "two"):
            await start(name, "subscriber", name)
            await anext(ready)
        await start("publisher", "publisher", str(minutes), str(rate))
        samples: dict[str, list[tuple[float, int]]] = {name: [] for name in ("hub", *processes)}
        begun = time.monotonic()
        while not finished.is_set():
            for name, taken in samples.items():
                pid = os.getpid() if name == "hub" else processes[name].pid
                taken.append((time.monotonic() - begun, resident(pid)))
            try:
                await asyncio.wait_for(finished.wait(), 2)
            except TimeoutError:
                continue
        counts = [await hub.request(name, LogLine("count", ""), LogLine) for name in ("one", "two")]
    hub.publish("end", LogLine("info", ""))
    printed, _ = await asyncio.to_thread(processes["publisher"].communicate)
    published, asked, reached, lost_above = printed.split()
    for process in processes.values():
        await asyncio.to_thread(process.wait)
    received = sum(int(count.text) for count in counts)
    lost = sum(int(count.level) for count in counts)
    print(f"{int(published):,} messages and {int(asked):,} requests, {float(reached):,.0f} a second")
    print(f"received {received:,}, lost {lost + hub.metrics().lost + int(lost_above):,}")
    print(f"\n{'MiB':>10} {'first':>8} {'half way':>9} {'last':>8} {'KiB a minute':>13}")
    for name, taken in samples.items():
        first, half, last = (taken[place][1] / (1 << 20) for place in (0, len(taken) // 2, -1))
        print(f"{name:>10} {first:8.1f} {half:9.1f} {last:8.1f} {slope(taken) / 1024:13.1f}")
    await hub.close()
    if received != int(published):
        raise SystemExit("messages are missing")


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        role, *arguments = sys.argv[2:]
        asyncio.run({"publisher": publisher, "subscriber": subscriber}[role](*arguments))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1 / 3)
    parser.add_argument("--rate", type=int, default=5000)
    options = parser.parse_args()
    asyncio.run(soak(options.minutes, options.rate))


if __name__ == "__main__":
    main()
