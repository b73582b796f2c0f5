"""The bus over NATS beside plain nats-py on the same server in the same run.

    uv run benchmarks/nats_bus.py

Prints medians of passes that alternate. The other end is a process of its own in both cases. Plain nats-py carries
the bytes alone; the bus adds types, validation, deadlines, cancellation and the end of requests whose node is gone.
"""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from symphony_ipc.bus import Bus
from symphony_sdk.messages import Done, LogLine
from symphony_transport_nats import NatsSettings, connect

PASSES = 7
SEQUENTIAL = 1_000
AT_ONCE = 64
REQUESTS = 6_400
MESSAGES = 20_000
LINE = LogLine("info", "x" * 200)
DATA = b"x" * 210


async def serve(role: str, url: str) -> None:
    """The other end: answers requests, and says when it has got all messages of a pass."""
    got = 0
    if role == "plain":
        client = Client()
        await client.connect(url)

        async def answer(message):
            await client.publish(message.reply, message.data)

        async def count(message):
            nonlocal got
            got += 1
            if got % MESSAGES == 0:
                await client.publish("plain.all", b"")

        await client.subscribe("plain.echo", cb=answer)
        await client.subscribe("plain.topic", cb=count)
        await client.flush()
    else:
        bus = Bus("other")
        await bus.join(await connect(NatsSettings(url=url), "other"))

        async def echo(message):
            return message

        def counted(_):
            nonlocal got
            got += 1
            if got % MESSAGES == 0:
                bus.publish("ours.all", Done())

        await bus.register("ours.echo", echo)
        await bus.listen("ours.topic", counted)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def sequential(ask: Callable[[], Awaitable[object]]) -> float:
    """Median microseconds of a round trip."""
    times = []
    for _ in range(SEQUENTIAL):
        start = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


async def at_once(ask: Callable[[], Awaitable[object]]) -> float:
    """Microseconds a request, with many under way."""

    async def some() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            await ask()

    start = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.perf_counter() - start) / REQUESTS * 1e6


async def one_way(publish: Callable[[], Awaitable[None]], finished: asyncio.Event) -> float:
    """Microseconds a message, until the subscriber has said that it has the last one."""
    finished.clear()
    start = time.perf_counter()
    for sent in range(MESSAGES):
        await publish()
        if sent % 200 == 0:
            await asyncio.sleep(0)  # both have a bounded queue: neither is asked to hold everything at once
    await asyncio.wait_for(finished.wait(), 60)
    return (time.perf_counter() - start) / MESSAGES * 1e6


async def measure(url: str) -> None:
    finished = asyncio.Event()
    client = Client()
    await client.connect(url)
    bus = Bus("here")
    await bus.join(await connect(NatsSettings(url=url), "here"))

    async def all_came(_):
        finished.set()

    await client.subscribe("plain.all", cb=all_came)
    await client.flush()
    await bus.listen("ours.all", lambda _: finished.set())

    async def ask_plain():
        return await client.request("plain.echo", DATA, timeout=20)

    async def ask_ours():
        return await bus.request("ours.echo", LINE, LogLine, timeout=20)

    async def tell_plain():
        await client.publish("plain.topic", DATA)

    async def tell_ours():
        bus.publish("ours.topic", LINE)

    rows = {
        "request, one after the other (p50)": lambda ask, _: sequential(ask),
        f"request, {AT_ONCE} at once": lambda ask, _: at_once(ask),
        "publish 200 B to one subscriber": lambda _, tell: one_way(tell, finished),
    }
    print(f"{'microseconds each, medians':<40}{'ours':>10}{'nats-py':>10}{'ratio':>8}")
    for name, run in rows.items():
        ours, plain = [], []
        for _ in range(PASSES):
            ours.append(await run(ask_ours, tell_ours))
            plain.append(await run(ask_plain, tell_plain))
        mine, peer = statistics.median(ours), statistics.median(plain)
        print(f"{name:<40}{mine:>10.1f}{peer:>10.1f}{mine / peer:>8.2f}")
    deliveries = []
    async with await bus.subscribe("ours.kept", durable="benchmark") as kept:
        for _ in range(300):
            start = time.perf_counter()
            await bus.deliver("ours.kept", LINE)
            deliveries.append(time.perf_counter() - start)
            await anext(aiter(kept))
    print(f"{'deliver (kept in a file), p50':<40}{statistics.median(deliveries) * 1e6:>10.1f}")
    await bus.close()
    await client.close()


def main() -> None:
    binary = shutil.which("nats-server")
    if binary is None:
        print("nats-server is not installed: nothing to measure (`apt-get install nats-server`)")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"nats://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [binary, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", folder],
                stderr=subprocess.PIPE,
                text=True,
            )
        ]
        try:
            assert started[0].stderr is not None
            assert any("Server is ready" in line for line in started[0].stderr)
            for role in ("plain", "ours"):
                other = subprocess.Popen(
                    [sys.executable, __file__, role, url], stdout=subprocess.PIPE, text=True
                )
                started.append(other)
                assert other.stdout is not None
                assert other.stdout.readline() == "ready\n"
            asyncio.run(measure(url))
        finally:
            for process in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(serve(*sys.argv[1:]))
    else:
        main()
