"""The bus between real processes that are killed, stopped and kept busy."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_ipc.bus.send_queue import FRAMES_LIMIT
from symphony_sdk.errors import PeerGone
from symphony_sdk.messages import Done, LogLine


@asynccontextmanager
async def hub_with(*names, pids=True):
    """A hub in this process, and a process below it of each name."""
    hub = Bus("hub")
    processes = {}
    ready = {name: asyncio.Event() for name in names}

    async def say_ready(message):
        ready[message.level].set()
        return Done()

    async with await hub.register("hub.ready", say_ready):
        try:
            for name in names:
                ours, theirs = socket.socketpair()
                with theirs:
                    script = str(Path(__file__).with_name("bus_process.py"))
                    processes[name] = subprocess.Popen(  # noqa: ASYNC220 - it does not wait
                        [sys.executable, script, str(theirs.fileno()), name], pass_fds=[theirs.fileno()]
                    )
                pid = processes[name].pid if pids else None
                await from_socket(
                    ours,
                    Endpoint("hub", timeout=60),
                    accepts=True,
                    on_open=lambda connection, pid=pid: hub.attach(connection, pid=pid),
                )
            async with asyncio.timeout(60):
                for name in names:
                    await ready[name].wait()
            yield hub, processes
        finally:
            for process in processes.values():
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
            await hub.close()


async def tell(hub, name, verb, text="", response=Done, timeout=60):
    return await hub.request(name, LogLine(verb, text), response, timeout=timeout)


async def health_of(subscription, process, health):
    """Wait until a process is said to be in a state; returns the states that it was said to be in before."""
    seen = []
    async with asyncio.timeout(30):
        async for delivery in subscription:
            if delivery.message.process == process:
                if delivery.message.health == health:
                    break
                seen.append(delivery.message.health)
    return seen


@pytest.fixture
def patient(monkeypatch):
    """Lets nobody be suspect who is only slow: no machine is so busy that a process does not run for a second."""
    monkeypatch.setattr("symphony_ipc.bus.health.SILENCE", 1.0)


def rss():
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("pids", [True, False])
def test_a_killed_process_fails_its_requests_and_its_group_goes_on(patient, pids):
    async def main():
        async with (
            hub_with("one", "two", pids=pids) as (hub, processes),
            await hub.subscribe("_bus.health") as health,
            await hub.subscribe("hanging") as hanging,
        ):
            requests = [asyncio.create_task(tell(hub, "one", "hang", str(n))) for n in range(20)]
            async with asyncio.timeout(30):
                for _ in range(20):
                    await anext(hanging)
            processes["one"].kill()
            async with asyncio.timeout(20):
                for request in requests:
                    with pytest.raises(PeerGone):
                        await request
            assert await health_of(health, "one", "dead") == []
            assert {info.process for info in await hub.endpoints("shared")} == {"two"}
            for n in range(20):
                answer = await tell(hub, "shared", "echo", str(n), LogLine)
                assert answer == LogLine("echo", str(n))
            assert [one.process for one in hub.metrics().neighbours] == ["two"]

    asyncio.run(main())


def test_the_work_of_a_queue_group_goes_on_with_those_who_live():
    async def main():
        async with hub_with("one", "two", "three") as (hub, processes):
            for name in processes:
                await tell(hub, name, "subscribe", "job.* workers")
            async with await hub.subscribe("_bus.health") as health:
                for n in range(30):
                    hub.publish("job.x", LogLine("info", f"a{n}"))
                processes["two"].kill()
                await health_of(health, "two", "dead")
            for n in range(30):
                hub.publish("job.x", LogLine("info", f"b{n}"))
            texts = []
            async with asyncio.timeout(20):
                while (
                    sum(text[0] == "b" for text in texts) < 30
                ):  # a process may answer before it has taken all
                    texts = [
                        text
                        for name in ("one", "three")
                        for text in (await tell(hub, name, "texts", "", LogLine)).text.split()
                    ]
            assert sorted(t for t in texts if t[0] == "b") == sorted(f"b{n}" for n in range(30))
            assert len(texts) == len(set(texts))

    asyncio.run(main())


def test_a_stopped_process_is_suspect_and_passed_over_and_alive_when_it_goes_on(patient):
    async def main():
        async with hub_with("one", "two") as (hub, processes), await hub.subscribe("_bus.health") as health:
            for name in processes:
                await tell(hub, name, "subscribe", "job.* workers")
            processes["one"].send_signal(signal.SIGSTOP)
            assert await health_of(health, "one", "suspect") == []
            states = {info.process: info.health for info in await hub.endpoints("shared")}
            assert states == {"one": "suspect", "two": "alive"}
            for n in range(10):
                assert await tell(hub, "shared", "echo", str(n), LogLine) == LogLine("echo", str(n))
                hub.publish("job.x", LogLine("info", str(n)))
            async with asyncio.timeout(20):
                while (await tell(hub, "two", "received", "", LogLine)).text != "10":
                    pass
            processes["one"].send_signal(signal.SIGCONT)
            assert await health_of(health, "one", "alive") == []
            assert processes["one"].poll() is None, "it was not ended"
            assert await tell(hub, "one", "echo", "x", LogLine) == LogLine("echo", "x")

    asyncio.run(main())


def test_a_process_that_is_busy_in_c_is_never_dead():
    async def main():
        async with hub_with("one") as (hub, processes), await hub.subscribe("_bus.health") as health:
            await tell(hub, "one", "busy", str(150 << 20))
            assert await tell(hub, "one", "echo", "x", LogLine) == LogLine("echo", "x")
            assert processes["one"].poll() is None
            processes["one"].kill()
            assert "dead" not in await health_of(health, "one", "dead")

    asyncio.run(main())


def test_a_stopped_subscriber_costs_the_hub_a_bounded_queue_and_every_message_is_accounted_for():
    async def main():
        published = 100_000
        async with hub_with("slow", "quick") as (hub, processes):
            for name in processes:
                await tell(hub, name, "subscribe", "flood")
            message = LogLine("info", "x" * 500)
            processes["slow"].send_signal(signal.SIGSTOP)
            before = rss()
            for number in range(published):
                hub.publish("flood", message)
                if number % 200 == 0:
                    await asyncio.sleep(0)
                    slow = hub.metrics().neighbours[0]
                    assert slow.waiting <= FRAMES_LIMIT
            assert rss() - before < 48 << 20
            processes["slow"].send_signal(signal.SIGCONT)
            for name in processes:
                answer = await tell(hub, name, "received", "", LogLine)
                lost, received = int(answer.level), int(answer.text)
                while lost + received < published:
                    answer = await tell(hub, name, "received", "", LogLine)
                    lost, received = int(answer.level), int(answer.text)
                assert lost + received == published
                assert (name == "slow") <= (lost > published // 2)
            assert hub.metrics().lost >= published // 2

    asyncio.run(main())
