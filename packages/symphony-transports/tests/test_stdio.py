"""Programs that are talked to over their standard streams: how they start, how they end, what they say."""

import asyncio
import gc
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_sdk.errors import PeerGone, TransportError
from symphony_sdk.messages import Done, GetArtifact
from symphony_transports import StdioTransport

SCRIPT = Path(__file__).with_name("stdio_program.py")


def address(*words):
    return f"stdio:{shlex.join([sys.executable, str(SCRIPT), *words])}"


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def gone(pid):
    async with asyncio.timeout(30):
        while not is_gone(pid):  # noqa: ASYNC110 - a process of another has no event
            await asyncio.sleep(0.001)


def test_a_program_ends_by_itself_when_the_connection_is_closed(tmp_path):
    async def main():
        connection = await StdioTransport("host").connect(address("ends", str(tmp_path / "how")))
        assert await connection.request(Done(), Done, timeout=30) == Done()
        assert connection.session.peer == "program"
        await connection.close()
        await gone(connection.session.pid)

    asyncio.run(main())
    assert (tmp_path / "how").read_text() == "by itself"


def test_a_program_that_stays_is_told_to_end_and_then_killed(tmp_path):
    async def main():
        connection = await StdioTransport("host").connect(address("stays", str(tmp_path / "how")))
        await connection.close()
        await gone(connection.session.pid)

    asyncio.run(main())
    assert (tmp_path / "how").read_text() == "SIGTERM, and stayed"


def test_a_program_does_not_outlive_the_event_loop(tmp_path):
    async def main():
        connection = await StdioTransport("host").connect(address("ends", str(tmp_path / "how")))
        return connection.session.pid

    pid = asyncio.run(main())
    asyncio.run(gone(pid))
    gc.collect()  # pipes that nobody closed would be told here


def test_a_program_that_is_killed_fails_what_it_was_asked():
    async def main():
        connection = await StdioTransport("host").connect(address("ends", os.devnull))
        held = asyncio.create_task(connection.request(GetArtifact("hold"), Done))
        await connection.ping(30)
        os.kill(connection.session.pid, signal.SIGKILL)
        with pytest.raises(PeerGone):
            await held
        assert isinstance(await connection.wait_closed(), PeerGone)
        await gone(connection.session.pid)

    asyncio.run(main())


def test_many_connections_leave_no_descriptor_and_no_process(descriptors):
    async def main():
        transport = StdioTransport("host")

        async def one():
            connection = await transport.connect(address("ends", os.devnull))
            await connection.close()
            return connection.session.pid

        await gone(await one())  # what the first one imports stays open
        before = descriptors()
        for pid in await asyncio.gather(*(one() for _ in range(4))):
            await gone(pid)
        async with asyncio.timeout(30):
            while descriptors() > before:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    asyncio.run(main())


def test_what_a_program_says_on_its_standard_error_comes_out_of_ours(capfd):
    async def main():
        connection = await StdioTransport("host").connect(address("ends", os.devnull))
        await connection.close()
        await gone(connection.session.pid)

    asyncio.run(main())
    assert "printed by the program" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("mode", "fate", "words"),
    [
        ("fails", "ended with code 3", "ValueError: no such model"),
        ("dies", "was ended by signal 9", ""),
    ],
)
def test_a_program_that_ends_instead_of_answering_is_quoted(mode, fate, words, capfd):
    async def main():
        with pytest.raises(PeerGone, match=fate) as caught:
            await StdioTransport("host").connect(address(mode))
        assert caught.value.code == "SYM-T033"
        assert words in caught.value.message
        assert str(SCRIPT) in caught.value.message
        assert len(caught.value.details["last_words"]) <= 4096
        return caught.value.details

    details = asyncio.run(main())
    assert details["exit_code"] == {"fails": 3, "dies": -9}[mode]
    assert len(capfd.readouterr().err) >= (100_000 if mode == "fails" else 0)


def test_a_program_that_talks_something_else_is_malformed_and_ended():
    async def main():
        with pytest.raises(TransportError) as caught:
            await StdioTransport("host").connect(address("babbles"))
        assert caught.value.code == "SYM-T002"

    asyncio.run(main())


def test_giving_up_while_a_program_starts_ends_it(tmp_path):
    async def main():
        how = tmp_path / "pid"
        task = asyncio.create_task(StdioTransport("host").connect(address("silent", str(how))))
        async with asyncio.timeout(30):
            while not how.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone(int(how.read_text()))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("stdio:/no/such/program", "SYM-T031"),
        (f"stdio:{SCRIPT}", "SYM-T031"),
        ("stdio:'unbalanced", "SYM-T031"),
        ("stdio:with\0nul", "SYM-T031"),
        ("stdio:", "SYM-T010"),
        ("unix:/a/path", "SYM-T010"),
    ],
)
def test_an_address_that_starts_nothing_is_refused_and_nothing_leaks(wrong, code, descriptors):
    async def main():
        before = descriptors()
        with pytest.raises(TransportError) as caught:
            await StdioTransport("host").connect(wrong)
        assert caught.value.code == code
        assert descriptors() <= before

    asyncio.run(main())


def test_a_program_listens_at_the_bare_scheme_only():
    async def main():
        with pytest.raises(TransportError, match="nothing to listen at") as caught:
            await StdioTransport("program").listen("stdio:python", lambda connection: None)
        assert caught.value.code == "SYM-T010"

    asyncio.run(main())


def test_a_program_that_is_started_by_hand_says_what_it_is_for():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "ends", os.devnull],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "descriptor 0 is neither a pipe nor a socket" in done.stderr


def test_a_listener_that_is_closed_before_anybody_spoke_takes_nothing():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "closes"], input=b"", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"stdio: closed" in done.stderr
