import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from symphony_host.composition import Host
from symphony_host.configuration import load_settings
from symphony_ipc.bus import Bus
from symphony_sdk.errors import PeerGone, TransportError
from symphony_sdk.messages import Done, LogLine
from symphony_transports import UnixTransport

DEADLINE = 60


@pytest.fixture
def address():
    """An address whose path leaves room for the name of a socket, wherever the tests are run from."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as name:
        yield f"unix:{name}/host.sock"


def start_guest(address, token_file):
    script = Path(__file__).with_name("joining_process.py")
    return subprocess.Popen([sys.executable, str(script), address, str(token_file)])


@pytest.fixture
def joined(symphony, address):
    """A host, and another process that joined its bus with the token from the file."""

    @asynccontextmanager
    async def joined():
        with ExitStack() as processes:
            async with Host.open(load_settings(environ=symphony.environment)) as host:
                token_file = await host.listen(address)
                async with await host.bus.subscribe("guest.*") as guests, asyncio.timeout(DEADLINE):
                    process = processes.enter_context(start_guest(address, token_file))
                    processes.callback(process.kill)
                    assert (await anext(guests)).topic == "guest.ready"
                    yield host, process, token_file
            process.wait(DEADLINE)  # it goes when the host does

    return joined


def test_another_process_joins_the_bus_of_a_host_and_threads_of_the_host_ask_it(joined, address):
    async def main():
        async with joined() as (host, _, token_file):
            assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
            ask = host.bridge.facade(host.bus).request
            answers = await asyncio.gather(
                *(
                    host.bridge.in_thread(ask, "guest.echo", LogLine("info", str(number)), LogLine)
                    for number in range(32)
                )
            )
            assert [answer.text for answer in answers] == [str(number) for number in range(32)]
            with pytest.raises(TransportError) as caught:
                await UnixTransport("stranger").connect(address, token=b"guessed")
            assert caught.value.code == "SYM-T008"
        assert not token_file.exists()

    asyncio.run(main())


def test_threads_that_wait_for_a_process_that_is_killed_get_peer_gone(joined):
    async def main():
        async with joined() as (host, process, _), await host.bus.subscribe("guest.busy") as busy:
            ask = host.bridge.facade(host.bus).request
            waiting = [
                asyncio.create_task(host.bridge.in_thread(ask, "guest.hang", Done(), Done)) for _ in range(8)
            ]
            for _ in waiting:
                await anext(busy)
            os.kill(process.pid, signal.SIGKILL)
            for each in waiting:
                with pytest.raises(PeerGone):
                    await each
            assert await host.bus.endpoints("guest.>") == ()

    asyncio.run(main())


def test_the_end_of_the_host_lets_the_joined_process_go_and_frees_the_address(joined, address):
    async def main():
        async with joined() as (_, process, _):
            pass
        assert process.returncode == 0
        with pytest.raises(TransportError) as caught:
            await UnixTransport("late").connect(address)
        assert caught.value.code == "SYM-T010"

    asyncio.run(main())


def test_a_bus_that_was_joined_hears_of_the_runs_of_the_host(symphony, address):
    async def main():
        async with Host.open(load_settings(environ=symphony.environment)) as host:
            token = (await host.listen(address)).read_bytes()
            guest = Bus("guest")
            await guest.join(await UnixTransport("guest").connect(address, token=token))
            async with await guest.subscribe("run.>") as told, asyncio.timeout(DEADLINE):
                host.bus.publish("run.r1.run-paused", Done())
                assert (await anext(told)).topic == "run.r1.run-paused"
            await guest.close()

    asyncio.run(main())
