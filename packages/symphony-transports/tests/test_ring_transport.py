"""Shared memory as a transport of an event loop."""

import asyncio
import os
import random
from contextlib import asynccontextmanager

import pytest
from symphony_ipc import Connection, Endpoint
from symphony_sdk.errors import MalformedMessage, PeerGone
from symphony_sdk.messages import Done
from symphony_transports.shared_memory import RingSocket, RingTransport

RING = 64 << 10


class Recorder(asyncio.BufferedProtocol):
    """Keeps what it is told."""

    def __init__(self, buffer=1 << 20, keep_open=False):
        self.received = bytearray()
        self.told = []
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()
        self.got_more = asyncio.Event()
        self.error = None
        self._buffer = bytearray(buffer)
        self._keep_open = keep_open

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self._buffer

    def buffer_updated(self, nbytes):
        self.received += self._buffer[:nbytes]
        self.got_more.set()

    def eof_received(self):
        self.told.append("eof")
        self.ended.set()
        return self._keep_open

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, error):
        self.error = error
        self.lost.set()

    async def has(self, count):
        async with asyncio.timeout(20):
            while len(self.received) < count:
                self.got_more.clear()
                await self.got_more.wait()


@asynccontextmanager
async def connected(ends, first=None, second=None):
    """Two protocols, one at each end."""
    first, second = first or Recorder(), second or Recorder()
    transports = RingTransport(first, ends[0]), RingTransport(second, ends[1])
    try:
        yield first, second
    finally:
        for transport in transports:
            transport.abort()
        async with asyncio.timeout(20):
            await asyncio.gather(first.lost.wait(), second.lost.wait())


def test_everything_arrives_in_both_directions_whatever_the_sizes(ends):
    async def main():
        chance = random.Random(1)
        data = chance.randbytes(3 << 20)
        async with connected(ends, Recorder(10_000), Recorder(1 << 20)) as (first, second):
            for end in (first, second):
                start = 0
                while start < len(data):
                    size = chance.choice((1, 100, 5000, 70_000, 300_000))
                    piece = memoryview(data)[start : start + size]
                    if chance.random() < 0.5:
                        end.transport.write(piece)
                    else:
                        end.transport.writelines([piece[:10], b"", bytearray(piece[10:])])
                    start += size
                    if chance.random() < 0.3:
                        await asyncio.sleep(0)
            await first.has(len(data))
            await second.has(len(data))
            assert first.received == second.received == data

    asyncio.run(main())


def test_a_protocol_is_told_to_pause_while_the_peer_does_not_read(ends):
    async def main():
        async with connected(ends) as (first, second):
            second.transport.pause_reading()
            assert not second.transport.is_reading()
            assert first.transport.get_write_buffer_limits() == (16 << 10, 64 << 10)
            first.transport.set_write_buffer_limits(high=1000, low=10)
            first.transport.write(bytes(RING))
            assert first.told == []
            assert first.transport.get_write_buffer_size() == 0, "the ring has room for it"
            first.transport.write(bytes(1001))
            assert first.told == ["pause"]
            assert first.transport.get_write_buffer_size() == 1001
            second.transport.resume_reading()
            await second.has(RING + 1001)
            first.transport.write(b"x")
            await second.has(RING + 1002)
            assert first.told == ["pause", "resume"]
            with pytest.raises(ValueError, match="must be at least"):
                first.transport.set_write_buffer_limits(high=1, low=2)

    asyncio.run(main())


def test_a_protocol_that_pauses_in_the_middle_gets_the_rest_when_it_resumes(ends):
    class Pausing(Recorder):
        def buffer_updated(self, nbytes):
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    async def main():
        async with connected(ends, second=Pausing(100)) as (first, second):
            first.transport.write(bytes(250))
            for count in (100, 200, 250):
                await second.has(count)
                assert len(second.received) == count
                second.transport.resume_reading()

    asyncio.run(main())


def test_close_sends_what_waits_and_then_tells_the_end(ends):
    async def main():
        async with connected(ends) as (first, second):
            data = os.urandom(5 * RING)
            first.transport.write(data)
            first.transport.close()
            first.transport.close()
            assert first.transport.is_closing()
            first.transport.write(b"too late")
            await second.has(len(data))
            await asyncio.wait_for(second.lost.wait(), 20)
            assert second.received == data
            assert second.told == ["eof"]
            assert (first.error, second.error) == (None, None)

    asyncio.run(main())


def test_abort_loses_what_waits(ends):
    async def main():
        async with connected(ends) as (first, second):
            first.transport.write(bytes(5 * RING))
            first.transport.abort()
            assert first.transport.get_write_buffer_size() == 0
            await asyncio.wait_for(first.lost.wait(), 20)
            await asyncio.wait_for(second.lost.wait(), 20)
            assert len(second.received) == RING

    asyncio.run(main())


def test_closing_does_not_wait_for_a_peer_that_has_gone(ends):
    async def main():
        async with connected(ends) as (first, second):
            second.transport.pause_reading()
            first.transport.write(bytes(5 * RING))
            first.transport.close()
            second.transport.abort()
            await asyncio.wait_for(first.lost.wait(), 20)
            assert first.error is None

    asyncio.run(main())


def test_the_last_words_of_a_peer_that_has_gone_are_read_though_nothing_can_be_sent_to_it(ends):
    async def main():
        async with connected(ends) as (first, second):
            second.transport.write(b"last words")
            second.transport.abort()
            await asyncio.wait_for(second.lost.wait(), 20)
            first.transport.write(b"x")
            first.transport.write(bytes(RING))
            assert first.transport.get_write_buffer_size() == 0
            await asyncio.wait_for(first.lost.wait(), 20)
            assert first.received == b"last words"
            assert first.told == ["eof"]

    asyncio.run(main())


def test_a_protocol_may_keep_its_end_open_after_the_end_of_the_peer(ends):
    async def main():
        async with connected(ends, first=Recorder(keep_open=True)) as (first, second):
            second.transport.close()
            await asyncio.wait_for(second.lost.wait(), 20)
            await asyncio.wait_for(first.ended.wait(), 20)
            assert not first.transport.is_closing()
            assert not first.transport.is_reading()
            assert not first.transport.can_write_eof()

    asyncio.run(main())


def test_another_protocol_may_take_over(ends):
    async def main():
        async with connected(ends) as (first, second):
            other = Recorder()
            second.transport.set_protocol(other)
            assert second.transport.get_protocol() is other
            first.transport.write(b"for the other")
            await other.has(13)
            second.transport.set_protocol(second)

    asyncio.run(main())


def open_with_blocking_peer(ends, misbehave):
    """What ends a connection whose peer misbehaves after the handshake."""

    async def main():
        connection = Connection(Endpoint("host", timeout=30), accepts=True)
        RingTransport(connection, ends[0])

        def peer():
            from symphony_ipc.handshake import connect_blocking

            connect_blocking(RingSocket(ends[1]), Endpoint("raw", timeout=30))

        await asyncio.gather(connection.opened(), asyncio.to_thread(peer))
        misbehave(connection)
        async with asyncio.timeout(20):
            return await connection.wait_closed()

    return asyncio.run(main())


def test_a_peer_that_announces_what_cannot_be_is_cut_off(ends):
    reason = open_with_blocking_peer(
        ends, lambda connection: os.write(ends[1]._announce.fileno(), (1 << 40).to_bytes(8, "little"))
    )
    assert isinstance(reason, MalformedMessage)
    assert reason.code == "SYM-T041"


def test_a_peer_that_acknowledges_what_cannot_be_is_cut_off(ends):
    reason = open_with_blocking_peer(
        ends, lambda connection: os.write(ends[1]._acknowledge.fileno(), b"\xff" * 16)
    )
    assert isinstance(reason, MalformedMessage)
    assert reason.code == "SYM-T041"


def test_an_event_loop_does_not_look_at_what_a_peer_claims_in_memory(ends):
    async def main():
        async with connected(ends) as (first, second):
            second.transport.write(b"one")
            ends[1]._put[0] = 1 << 63
            await first.has(3)
            second.transport.write(b"two")
            await first.has(6)
            assert first.received == b"onetwo"

    asyncio.run(main())


def test_a_peer_that_claims_to_be_awake_and_sleeps_does_not_stop_the_event_loop(ends):
    async def main():
        async with connected(ends) as (first, second):
            ends[1]._awake[0] = 1
            first.transport.write(bytes(5 * RING))
            assert first.transport.get_write_buffer_size() == 4 * RING
            second.transport.write(b"still here")
            await first.has(10)
            assert not second.received

    asyncio.run(main())


def test_a_peer_that_fills_the_pipe_and_makes_it_blocking_cannot_stop_the_event_loop(ends):
    opened = []

    def misbehave(connection):
        theirs = ends[1].announcements.fileno()
        opened.append(os.open(f"/proc/self/fd/{theirs}", os.O_WRONLY | os.O_NONBLOCK))
        os.write(opened[0], bytes(1 << 20))
        os.set_blocking(theirs, True)
        os.set_blocking(opened[0], True)
        connection.notify(Done())

    reason = open_with_blocking_peer(ends, misbehave)
    os.close(opened[0])
    assert isinstance(reason, MalformedMessage)
    assert reason.code == "SYM-T041"


def test_a_peer_that_hangs_up_is_gone(ends):
    reason = open_with_blocking_peer(ends, lambda connection: ends[1].close())
    assert isinstance(reason, PeerGone)
