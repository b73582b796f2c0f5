"""The transport through shared memory: who may connect, what is refused, and what is left behind: nothing."""

import asyncio
import fcntl
import mmap
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from symphony_sdk.errors import PeerGone, TransportError
from symphony_sdk.messages import LogLine
from symphony_transports import SharedMemoryTransport
from symphony_transports.shared_memory import offer, receive

PEER = Path(__file__).with_name("shared_memory_peer.py")
SIZE = 64 << 10


async def echo(message):
    return message


def ignore(connection): ...


# -- what is offered ---------------------------------------------------------------------------------


@pytest.fixture
def pair():
    first, second = socket.socketpair()
    with first, second:
        yield first, second


@contextmanager
def descriptors(count):
    """So many pipes' ends, to be closed by whoever made them."""
    opened = [end for _ in range((count + 1) // 2) for end in os.pipe()]
    try:
        yield opened[:count]
    finally:
        for end in opened:
            os.close(end)


@contextmanager
def memory(size=2 * SIZE + mmap.PAGESIZE, seals=fcntl.F_SEAL_SHRINK):
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def refused(pair, data, descriptors):
    """What `receive` says of an offer; it keeps none of its descriptors."""
    before = open_descriptors()
    socket.send_fds(pair[0], [data], descriptors)
    with pytest.raises(TransportError) as caught:
        receive(pair[1])
    assert caught.value.code == "SYM-T040"
    assert open_descriptors() <= before  # of the others, one may be closed meanwhile
    return caught.value.message


def open_descriptors():
    """The descriptors of this process."""
    return set(Path("/proc/self/fd").iterdir())


def greeting(size=SIZE, magic=b"symshm-3"):
    return struct.pack("<8sQ", magic, size)


def test_memory_that_is_not_sealed_is_refused(pair):
    with memory(seals=fcntl.F_SEAL_GROW) as unsealed, descriptors(4) as pipes:
        assert "cut off" in refused(pair, greeting(), [unsealed, *pipes])


def test_memory_of_another_size_is_refused(pair):
    with memory(2 * SIZE) as small, descriptors(4) as pipes:
        assert f"a file of {2 * SIZE:,}" in refused(pair, greeting(), [small, *pipes])


@pytest.mark.parametrize("size", [0, 1, 2048, 3 << 20, 1 << 62])
def test_a_ring_of_an_impossible_size_is_refused(pair, size):
    with memory() as file, descriptors(4) as pipes:
        assert f"two rings of {size:,} bytes" in refused(pair, greeting(size), [file, *pipes])


def test_memory_of_huge_pages_is_refused(pair, monkeypatch):
    class Huge:
        f_bsize = 2 << 20

    monkeypatch.setattr("os.fstatvfs", lambda descriptor: Huge)
    with memory() as file, descriptors(4) as pipes:
        assert "huge pages" in refused(pair, greeting(), [file, *pipes])


def test_a_file_is_no_memory(pair, folder):
    with (folder / "file").open("w+b") as file, descriptors(4) as pipes:
        file.truncate(2 * SIZE + mmap.PAGESIZE)
        assert "cut off" in refused(pair, greeting(), [file.fileno(), *pipes])


def test_something_else_than_pipes_is_refused(pair):
    with memory() as file, descriptors(3) as pipes:
        assert "something else than pipes" in refused(pair, greeting(), [file, *pipes, pair[0].fileno()])


def test_another_greeting_is_refused(pair):
    with memory() as file, descriptors(4) as pipes:
        assert "a greeting of b'symshm-4'" in refused(pair, greeting(magic=b"symshm-4"), [file, *pipes])


@pytest.mark.parametrize("count", [1, 4, 6])
def test_too_few_and_too_many_descriptors_are_refused(pair, count):
    with memory() as file, descriptors(count - 1) as pipes:
        received = refused(pair, greeting(), [file, *pipes])
    assert "descriptors" in received


def test_a_peer_that_goes_before_it_offers_is_gone(pair):
    pair[0].close()
    with pytest.raises(PeerGone):
        receive(pair[1])


def test_a_peer_that_goes_before_it_takes_is_gone(pair):
    before = open_descriptors()
    pair[1].close()
    with pytest.raises(PeerGone):
        offer(pair[0])
    assert open_descriptors() < before


@pytest.mark.parametrize("size", [0, 2048, SIZE + 1, 3 * SIZE, 2 << 30])
def test_only_powers_of_two_are_offered(pair, size):
    with pytest.raises(ValueError, match="a power of two"):
        offer(pair[0], size)


def test_a_process_without_descriptors_says_so_and_keeps_none(pair):
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = os.dup(0)
    os.close(highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
    try:
        with pytest.raises(TransportError, match="Too many open files") as caught:
            offer(pair[0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == "SYM-T042"
    assert "ulimit -n" in caught.value.hint
    assert open_descriptors() <= before


def test_the_peer_cannot_cut_the_memory_off_nor_undo_its_seals_nor_inherit_its_descriptors(pair):
    channel = offer(pair[0], SIZE)
    _, taken, _, _ = socket.recv_fds(pair[1], 16, 5)
    for size in (0, mmap.PAGESIZE, SIZE, 4 * SIZE):
        with pytest.raises(PermissionError):
            os.ftruncate(taken[0], size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(taken[0], fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    for descriptor in taken:
        os.close(descriptor)
    channel.close()
    first = offer(pair[0], SIZE)
    second = receive(pair[1])
    for channel in (first, second):
        pipes = channel.announcements, channel.acknowledgements, channel._announce, channel._acknowledge
        assert not any(os.get_inheritable(pipe.fileno()) for pipe in pipes)
        channel.close()


# -- the transport -----------------------------------------------------------------------------------


def test_elsewhere_than_on_linux_it_says_so(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(TransportError, match="darwin") as caught:
        SharedMemoryTransport("host")
    assert caught.value.code == "SYM-T030"
    assert "unix" in caught.value.hint


@pytest.mark.parametrize("end", [offer, receive])
def test_elsewhere_than_on_linux_there_is_no_channel(pair, end, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(TransportError, match="win32") as caught:
        end(pair[0])
    assert caught.value.code == "SYM-T030"


def test_a_listener_that_offers_nothing_is_not_waited_for(folder):
    async def main():
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(f"{folder}/s")
            silent.listen()
            with pytest.raises(TransportError) as caught:
                await SharedMemoryTransport("worker").connect(f"shm:{folder}/s")
        assert caught.value.code == "SYM-T012"

    asyncio.run(main())


def test_a_listener_of_another_transport_is_recognised(folder):
    async def main():
        async def greet(reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(greet, f"{folder}/s")
        with pytest.raises(TransportError) as caught:
            await SharedMemoryTransport("worker").connect(f"shm:{folder}/s")
        assert caught.value.code == "SYM-T040"
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_stranger_does_not_end_the_listener(folder):
    async def main():
        address = f"shm:{folder}/s"
        listener = await SharedMemoryTransport("host").listen(address, ignore, token=b"t", handler=echo)
        assert listener.address == address
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(f"{folder}/s")
        with pytest.raises(TransportError) as caught:
            await SharedMemoryTransport("worker").connect(address, token=b"wrong")
        assert caught.value.code == "SYM-T008"
        client = await SharedMemoryTransport("worker").connect(address, token=b"t")
        assert await client.request(LogLine("info", "a"), LogLine, timeout=20) == LogLine("info", "a")
        await client.close()
        await listener.close()

    before = open_descriptors()
    asyncio.run(main())
    assert open_descriptors() <= before


# -- killed ------------------------------------------------------------------------------------------

KILLS = 25


def held():
    """Descriptors and mappings of shared memory that this process has, and names of ours in /dev/shm."""
    mapped = sum("memfd:symphony" in line for line in Path("/proc/self/maps").read_text().splitlines())
    return open_descriptors(), mapped, sorted(Path("/dev/shm").glob("*symphony*"))


@contextmanager
def processes(role):
    """A process that starts another one for each address that it is told, when the last one has been killed."""
    process = subprocess.Popen(
        [sys.executable, str(PEER), role], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with process:
        yield process


async def kill_while_it_talks(connection, chance):
    """Kill the other side in the middle of its requests, and ours."""
    message = LogLine("info", "y" * 100_000)
    for _ in range(chance.randrange(20)):
        await connection.request(message, LogLine, timeout=20)
    waiting = [asyncio.ensure_future(connection.request(message, LogLine, timeout=20)) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(connection.session.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        assert isinstance(await connection.wait_closed(), PeerGone)
        await asyncio.gather(*waiting, return_exceptions=True)
    await connection.close()


def test_killed_workers_leave_nothing_behind(folder):
    async def main(chance):
        address = f"shm:{folder}/s"
        connections = asyncio.Queue()
        listener = await SharedMemoryTransport("host").listen(
            address, connections.put_nowait, token=b"t", handler=echo
        )
        with processes("connect") as process:
            before = held()
            for _ in range(KILLS):
                process.stdin.write(f"{address}\n")
                async with asyncio.timeout(20):
                    connection = await connections.get()
                await kill_while_it_talks(connection, chance)
                assert held() == before
        await listener.close()

    asyncio.run(main(random.Random(1)))


def test_killed_hosts_leave_nothing_behind(folder):
    async def main(chance):
        with processes("listen") as process:
            before = held()
            for number in range(KILLS):
                address = f"shm:{folder}/{number}"
                process.stdin.write(f"{address}\n")
                assert process.stdout.readline() == "listening\n"
                connection = await SharedMemoryTransport("worker").connect(address, token=b"t", handler=echo)
                await kill_while_it_talks(connection, chance)
                assert held() == before

    asyncio.run(main(random.Random(2)))
