"""The transport over two pipes: bytes, pressure, the end, and a process's own standard streams."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.connection import Connection
from symphony_ipc.handshake import Endpoint
from symphony_ipc.pipes import PipeTransport, open_pipes
from symphony_sdk.errors import TransportError
from symphony_sdk.messages import Done


class Recorder(asyncio.BufferedProtocol):
    """Keeps what it is told."""

    def __init__(self):
        self.buffer = bytearray(1 << 10)
        self.data = b""
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.events.append("made")

    def get_buffer(self, sizehint):
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes):
        self.data += self.buffer[:nbytes]

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, error):
        self.lost.set_result(error)


async def pair():
    """Two transports, each connected to the other."""
    (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
    return await open_pipes(Recorder, read_a, write_a), await open_pipes(Recorder, read_b, write_b)


async def lost(recorder):
    async with asyncio.timeout(20):
        return await recorder.lost


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=200_000), min_size=1, max_size=5), max_size=8), st.booleans())
def test_what_is_written_in_any_pieces_arrives_in_order_before_the_end(batches, together):
    async def main():
        (writer, _), (_, reader) = await pair()
        for batch in batches:
            if together:
                writer.writelines(batch)
            else:
                for data in batch:
                    writer.write(data)
        writer.close()
        assert await lost(reader) is None
        assert reader.data == b"".join(b"".join(batch) for batch in batches)

    asyncio.run(main())


def test_a_reader_that_pauses_makes_the_writer_pause_until_it_goes_on(eventually):
    async def main():
        (writer, told), (paused, reader) = await pair()
        paused.pause_reading()
        assert not paused.is_reading()
        data = os.urandom(1 << 20)
        writer.write(data)
        assert told.events == ["made", "pause"]
        assert writer.get_write_buffer_size() > writer.get_write_buffer_limits()[1]
        paused.resume_reading()
        await eventually(lambda: reader.data == data)
        assert told.events == ["made", "pause", "resume"]
        assert writer.get_write_buffer_size() == 0
        writer.abort()
        await lost(told)
        await lost(reader)

    asyncio.run(main())


def test_the_limits_of_the_write_buffer_are_those_that_were_set():
    async def main():
        (writer, told), (other, _) = await pair()
        other.pause_reading()
        writer.set_write_buffer_limits(high=1 << 20)
        assert writer.get_write_buffer_limits() == (1 << 18, 1 << 20)
        writer.write(bytes(1 << 20))
        assert told.events == ["made"]
        writer.set_write_buffer_limits(low=10)
        assert writer.get_write_buffer_limits() == (10, 40)
        assert told.events == ["made", "pause"]
        writer.set_write_buffer_limits()
        assert writer.get_write_buffer_limits() == (16 << 10, 64 << 10)
        with pytest.raises(ValueError, match="at least low"):
            writer.set_write_buffer_limits(high=1, low=2)
        writer.abort()
        other.abort()

    asyncio.run(main())


def test_closing_writes_what_waits_first_and_aborting_does_not():
    async def main():
        (writer, told), (other, reader) = await pair()
        other.pause_reading()
        writer.write(bytes(1 << 20))
        writer.close()
        assert writer.is_closing()
        writer.write(b"too late")
        writer.writelines([b"too late"])
        assert not told.lost.done()
        other.resume_reading()
        assert await lost(told) is None
        await lost(reader)
        assert len(reader.data) == 1 << 20

        (writer, told), (other, reader) = await pair()
        other.pause_reading()
        writer.write(bytes(1 << 20))
        writer.abort()
        assert await lost(told) is None
        other.resume_reading()
        await lost(reader)
        assert 0 < len(reader.data) < 1 << 20

    asyncio.run(main())


@pytest.mark.parametrize("write", [lambda t: t.write(b"x"), lambda t: t.writelines([b"x", b"y"])])
def test_writing_to_a_reader_that_is_gone_ends_the_transport_with_the_reason(write):
    async def main():
        (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
        transport, recorder = await open_pipes(Recorder, read_a, write_a)
        os.close(read_b)
        write(transport)
        assert isinstance(await lost(recorder), BrokenPipeError)
        os.close(write_b)

    asyncio.run(main())


def test_a_protocol_that_keeps_the_transport_open_at_the_end_may_still_write(eventually):
    class Stays(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async def main():
        (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
        transport, recorder = await open_pipes(Stays, read_a, write_a)
        os.close(write_b)
        await eventually(lambda: "eof" in recorder.events)
        assert not transport.is_closing()
        transport.write(b"still")
        assert os.read(read_b, 10) == b"still"
        transport.close()
        await lost(recorder)
        os.close(read_b)

    asyncio.run(main())


def test_another_protocol_takes_over():
    async def main():
        (writer, _), (reader, first) = await pair()
        second = Recorder()
        reader.set_protocol(second)
        assert reader.get_protocol() is second
        assert not reader.can_write_eof()
        writer.write(b"x")
        writer.close()
        await lost(second)
        assert (first.data, second.data) == (b"", b"x")

    asyncio.run(main())


def test_a_file_is_refused_and_no_descriptor_stays_open():
    async def main():
        with tempfile.TemporaryFile() as file:
            read_fd, write_fd = os.dup(file.fileno()), os.dup(file.fileno())
            with pytest.raises(TransportError, match="neither a pipe nor a socket") as caught:
                await open_pipes(Recorder, read_fd, write_fd)
            assert caught.value.code == "SYM-T032"
            for descriptor in (read_fd, write_fd):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(descriptor)

    asyncio.run(main())


def test_a_connection_works_over_pipes():
    async def answer(message):
        return message

    async def main():
        (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
        ends = [
            Connection(Endpoint(name), accepts=accepts, handler=answer)
            for name, accepts in (("a", False), ("b", True))
        ]
        for end, read_fd, write_fd in ((ends[0], read_a, write_a), (ends[1], read_b, write_b)):
            transport, _ = await open_pipes(lambda end=end: end, read_fd, write_fd)
            assert isinstance(transport, PipeTransport)
        await asyncio.gather(*(end.opened() for end in ends))
        for end in ends:
            assert await end.request(Done(), Done, timeout=20) == Done()
        await ends[0].close()
        assert await ends[1].wait_closed() is not None

    asyncio.run(main())


def run_child(*, stdin, stdout, stderr=subprocess.PIPE):
    script = Path(__file__).with_name("stdio_child.py")
    return subprocess.Popen([sys.executable, str(script)], stdin=stdin, stdout=stdout, stderr=stderr)


def test_what_a_program_prints_after_it_gave_its_streams_away_breaks_nothing():
    child = run_child(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, error = child.communicate(b"hello", timeout=60)
    assert (child.returncode, out) == (0, b"HELLO")
    said = error.decode().splitlines()
    assert said == ["from python", "from a child", "read: ''", "SYM-T032 they have been taken already"]


def test_a_program_without_standard_error_talks_all_the_same():
    script = Path(__file__).with_name("stdio_child.py")
    child = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$0" "$1" 2>&-', sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.communicate(b"hello", timeout=60) == (b"HELLO", None)


def test_a_program_whose_standard_input_is_closed_is_told_so():
    script = Path(__file__).with_name("stdio_child.py")
    child = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$1" <&-', sys.executable, str(script)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 1
    assert b"they were closed when the program began" in child.stderr


@pytest.mark.parametrize("stdout", [subprocess.DEVNULL, "file"])
def test_a_program_that_does_not_write_to_a_program_is_told_so(stdout, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        child = run_child(stdin=subprocess.PIPE, stdout=file if stdout == "file" else stdout)
        _, error = child.communicate(b"", timeout=60)
    assert child.returncode == 1
    assert b"descriptor 1 is neither a pipe nor a socket" in error
    assert (tmp_path / "out").read_bytes() == b""
