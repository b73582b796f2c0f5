"""A connection of the host against a peer that says what it likes."""

import asyncio
import logging
import struct

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import encode
from symphony_ipc.payload import decode_error, encode_payload
from symphony_ipc.window import WINDOW_BYTES, WINDOW_REQUESTS
from symphony_ipc.working import SERVED_AT_ONCE
from symphony_sdk.errors import Cancelled, DeadlineExceeded, MalformedMessage, PeerGone, SymphonyError
from symphony_sdk.messages import ArtifactData, Done, LogLine, Progress

DONE = encode_payload(Done())


def request(number, **fields):
    return Envelope(Kind.REQUEST, number, "worker.done/1", payload=DONE, **fields)


async def done(message):
    return Done()


def test_a_malformed_frame_closes_the_connection_with_its_reason_and_fails_what_is_pending(raw):
    async def main():
        async with raw() as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done))
            assert (await peer.receive()).kind is Kind.REQUEST
            await peer.send_bytes(struct.pack("<I", 3) + b"\xc1\xc1\xc1")
            with pytest.raises(MalformedMessage, match="3 bytes"):
                await asked
            last = await peer.receive()
            assert (last.kind, last.id) == (Kind.ERROR, 0)
            assert decode_error(last.payload).code == "SYM-T002"
            assert await peer.receive() is None
            assert isinstance(await connection.wait_closed(), MalformedMessage)

    asyncio.run(main())


def test_a_valid_answer_in_front_of_a_malformed_frame_is_delivered(raw):
    async def main():
        async with raw() as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done))
            await peer.receive()
            body = msgspec.msgpack.encode([4, 1, "worker.done/1", None, "", "", None, "", "", 0, bytes(DONE)])
            await peer.send_bytes(struct.pack("<I", len(body)) + body + b"\xff\xff\xff\xff")
            assert await asked == Done()
            assert isinstance(await connection.wait_closed(), MalformedMessage)

    asyncio.run(main())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_foreign_bytes_never_break_anything_but_their_connection(raw, data, framed):
    async def main():
        async with raw(done) as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done))
            await peer.receive()
            await peer.send_bytes(struct.pack("<I", len(data)) + data if framed else data)
            peer.sock.shutdown(1)
            with pytest.raises((MalformedMessage, PeerGone)):
                await asked
            await connection.wait_closed()

    asyncio.run(main())


def test_answers_that_nobody_waits_for_are_counted(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            answer = Envelope(Kind.RESPONSE, 1, "worker.done/1", payload=DONE)
            asked = asyncio.create_task(connection.request(Done(), Done))
            await peer.receive()
            await peer.send(answer, answer, Envelope(Kind.RESPONSE, 99), Envelope(Kind.ERROR, 98))
            await peer.send(Envelope(Kind.PONG, 7), Envelope(Kind.CANCEL, 5))
            assert await asked == Done()
            await eventually(lambda: connection.counters.unknown == 4)
            late = asyncio.create_task(connection.request(Done(), Done))
            await peer.receive()
            late.cancel()
            assert (await peer.receive()).kind is Kind.CANCEL
            await peer.send(Envelope(Kind.RESPONSE, 2, "worker.done/1", payload=DONE))
            await eventually(lambda: connection.counters.late == 1)

    asyncio.run(main())


def test_notifications_that_nobody_listens_to_are_counted(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            log = encode_payload(LogLine("info", "x"))
            await peer.send(Envelope(Kind.NOTIFY, 0, "worker.log/1", payload=log))
            await peer.send(Envelope(Kind.NOTIFY, 4, "worker.log/1", payload=log))
            heard = []
            asked = asyncio.create_task(connection.request(Done(), Done, on_notify=heard.append))
            await peer.receive()
            await peer.send(Envelope(Kind.NOTIFY, 1, "from.the-future/1", payload=log))
            await eventually(lambda: connection.counters.notifications == 3)
            await peer.send(Envelope(Kind.NOTIFY, 1, "worker.log/1", payload=log))
            await eventually(lambda: heard == [LogLine("info", "x")])
            await peer.send(Envelope(Kind.NOTIFY, 1, "worker.log/1", payload=memoryview(b"\xc1")))
            with pytest.raises(MalformedMessage, match=r"worker\.log/1"):
                await asked

    asyncio.run(main())


def test_a_request_that_was_given_up_is_owed_until_the_peer_answers_it(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            assert connection.abandoned_since is None
            for number in (1, 2):
                asked = asyncio.create_task(connection.request(Done(), Done))
                await peer.receive()
                assert connection.is_open
                asked.cancel()
                assert (await peer.receive()).id == number
            first = connection.abandoned_since
            await peer.send(Envelope(Kind.RESPONSE, 1, "worker.done/1", payload=DONE))
            await eventually(lambda: connection.abandoned_since != first)
            assert connection.abandoned_since > first
            await peer.send(Envelope(Kind.RESPONSE, 2, "worker.done/1", payload=DONE))
            await eventually(lambda: connection.abandoned_since is None)
        assert not connection.is_open

    asyncio.run(main())


def test_a_peer_that_sends_more_than_it_was_asked_for_is_read_slowly_and_loses_nothing(
    raw, eventually, monkeypatch
):
    monkeypatch.setattr("symphony_ipc.connection.UNASKED_PER_SECOND", 1000)

    async def main():
        async with raw() as (connection, peer):
            frame = encode(
                Envelope(Kind.NOTIFY, 0, "worker.log/1", payload=encode_payload(LogLine("info", "x")))
            )
            sending = asyncio.create_task(peer.send_bytes(b"".join(frame) * 5000))
            await eventually(lambda: connection.counters.notifications > 0)
            assert connection.counters.notifications < 5000
            await eventually(lambda: connection.counters.notifications == 5000)
            await sending

    asyncio.run(main())


def test_a_late_pong_is_no_lie_and_one_that_was_never_asked_for_is(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            with pytest.raises(DeadlineExceeded):
                await connection.ping(0.01)
            asked = await peer.receive()
            for id in (asked.id, asked.id + 1):
                await peer.send(Envelope(Kind.PONG, id))
            await eventually(lambda: connection.counters.unknown)
            assert (connection.counters.late, connection.counters.unknown) == (1, 1)

    asyncio.run(main())


def test_a_listener_that_raises_is_reported_and_the_request_goes_on(raw, caplog):
    async def main():
        def listener(message):
            raise KeyError("listener")

        async with raw() as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done, on_notify=listener))
            await peer.receive()
            progress = encode_payload(Progress(0.5))
            await peer.send(Envelope(Kind.NOTIFY, 1, "worker.progress/1", payload=progress))
            await peer.send(Envelope(Kind.RESPONSE, 1, "worker.done/1", payload=DONE))
            assert await asked == Done()

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the listener to 'worker.progress/1' raised" in caplog.text


def test_a_handler_that_breaks_answers_with_an_internal_error_and_leaks_nothing(raw, caplog):
    async def main():
        async def handler(message):
            raise KeyError("secret")

        async with raw(handler) as (_, peer):
            await peer.send(request(1))
            error = decode_error((await peer.receive()).payload)
            assert error.code == "SYM-X001"
            assert "secret" not in repr(error.payload())

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "secret" in caplog.text


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.WELCOME])
def test_a_second_handshake_is_a_breach(raw, kind):
    async def main():
        async with raw() as (connection, peer):
            await peer.send(Envelope(kind))
            assert isinstance(await connection.wait_closed(), MalformedMessage)

    asyncio.run(main())


def test_a_peer_that_states_its_reason_has_it_in_what_fails(raw):
    async def main():
        async with raw() as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done))
            await peer.receive()
            payload = memoryview(msgspec.msgpack.encode(MalformedMessage("you broke it").payload()))
            await peer.send(Envelope(Kind.ERROR, 0, payload=payload))
            with pytest.raises(PeerGone, match="you broke it") as caught:
                await asked
            assert caught.value.details == {"code": "SYM-T002"}

    asyncio.run(main())


def test_only_so_many_requests_of_a_peer_are_worked_on_at_once(raw):
    async def main():
        running, most, go = 0, 0, asyncio.Event()

        async def handler(message):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await go.wait()
            running -= 1
            return Done()

        async with raw(handler) as (_, peer):
            await peer.send(*(request(n) for n in range(1, 301)))
            await peer.send(Envelope(Kind.PING, 7), Envelope(Kind.CANCEL, 300))
            overtaking = {(await peer.receive()).kind, (await peer.receive()).kind}
            assert overtaking == {Kind.PONG, Kind.ERROR}, "PING and CANCEL overtake requests that wait"
            go.set()
            answers = [await peer.receive() for _ in range(299)]
            assert sorted(answer.id for answer in answers) == list(range(1, 300))
            assert most == SERVED_AT_ONCE

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 8 << 20])
def test_a_peer_that_does_not_keep_to_the_window_is_cut_off(raw, size):
    async def main():
        async def handler(message):
            await asyncio.Event().wait()

        async with raw(handler) as (connection, peer):
            payload = encode_payload(ArtifactData(bytes(size), size))
            number = 0
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                while number <= 2 * WINDOW_REQUESTS:
                    number += 1
                    await peer.send(Envelope(Kind.REQUEST, number, "artifact.data/1", payload=payload))
                await peer.send_bytes(b"\0" * (1 << 20))
            reason = await connection.wait_closed()
            assert isinstance(reason, MalformedMessage)
            assert "window" in reason.message
            assert number * max(size, 1) <= max(WINDOW_BYTES, 2 * WINDOW_REQUESTS) + 2 * size

    asyncio.run(main())


def test_a_number_that_is_in_use_is_a_breach(raw):
    async def main():
        async def handler(message):
            await asyncio.Event().wait()

        async with raw(handler) as (connection, peer):
            await peer.send(request(1), request(1))
            assert "the number 1" in str(await connection.wait_closed())

    asyncio.run(main())


def test_a_request_and_its_cancel_in_one_read_give_one_answer(raw):
    async def main():
        async def handler(message):
            await asyncio.sleep(0)
            return Done()

        async with raw(handler) as (_, peer):
            both = [request(1), Envelope(Kind.CANCEL, 1), Envelope(Kind.CANCEL, 1), request(2)]
            await peer.send_bytes(b"".join(b"".join(encode(one)) for one in both))
            first, second = await peer.receive(), await peer.receive()
            assert (first.kind, first.id, second.kind, second.id) == (Kind.ERROR, 1, Kind.RESPONSE, 2)
            assert isinstance(decode_error(first.payload), Cancelled)

    asyncio.run(main())


def test_a_cancelled_handler_is_told_and_answers_cancelled(raw):
    async def main():
        told = asyncio.Event()

        async def handler(message):
            try:
                await asyncio.Event().wait()
            finally:
                told.set()

        async with raw(handler) as (_, peer):
            await peer.send(request(1), Envelope(Kind.PING, 1))
            assert (await peer.receive()).kind is Kind.PONG
            await peer.send(Envelope(Kind.CANCEL, 1))
            assert isinstance(decode_error((await peer.receive()).payload), Cancelled)
            assert told.is_set()

    asyncio.run(main())


def test_a_request_whose_deadline_has_passed_is_not_begun(raw):
    async def main():
        async with raw(done) as (_, peer):
            await peer.send(request(1, deadline=0.0))
            assert isinstance(decode_error((await peer.receive()).payload), DeadlineExceeded)

    asyncio.run(main())


def test_requests_wait_while_the_window_is_full_and_their_deadline_runs(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            tasks = [asyncio.create_task(connection.request(Done(), Done)) for _ in range(WINDOW_REQUESTS)]
            for number in range(1, WINDOW_REQUESTS + 1):
                assert (await peer.receive()).id == number
            with pytest.raises(DeadlineExceeded):
                await connection.request(Done(), Done, timeout=0.01)
            after = asyncio.create_task(connection.request(Done(), Done))
            await asyncio.sleep(0)
            await peer.send(Envelope(Kind.RESPONSE, 1, "worker.done/1", payload=DONE))
            following = await peer.receive()
            assert following.id == WINDOW_REQUESTS + 2, "what expired while it waited was never sent"
            await peer.send(Envelope(Kind.RESPONSE, following.id, "worker.done/1", payload=DONE))
            assert await after == Done()
            await connection.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results[0] == Done()
            assert all(isinstance(result, SymphonyError) for result in results[1:])

    asyncio.run(main())


def test_a_peer_that_reads_nothing_costs_bounded_memory(raw):
    async def main():
        async def handler(message):
            return LogLine("info", "x" * 500_000)

        async with raw(handler) as (connection, peer):
            for number in range(1, 500):
                await peer.send(request(number), Envelope(Kind.PING, number))
            buffered = connection._transport.get_write_buffer_size()
            assert buffered <= (SERVED_AT_ONCE + 1) * 500_100
            kinds = []
            for _ in range(499):
                while (envelope := await peer.receive()).kind is not Kind.RESPONSE:
                    kinds.append(envelope)
                assert len(envelope.payload) > 500_000
            assert kinds, "the PONG that is owed comes once the peer reads"

    asyncio.run(main())


def test_a_key_of_idempotency_and_a_deadline_travel_with_the_request(raw):
    async def main():
        async with raw() as (connection, peer):
            asked = asyncio.create_task(connection.request(Done(), Done, timeout=30, idempotency_key="k"))
            envelope = await peer.receive()
            assert envelope.idempotency_key == "k"
            assert 0 < envelope.deadline <= 30
            asked.cancel()

    asyncio.run(main())


def test_a_message_that_cannot_be_encoded_fails_before_anything_is_sent(raw):
    class Unencodable(msgspec.Struct):
        __message_type__ = "test.unencodable/1"
        value: object

    async def main():
        async with raw() as (connection, peer):
            with pytest.raises(SymphonyError) as caught:
                await connection.request(Unencodable(object()), Done)
            assert caught.value.code == "SYM-T011"
            with pytest.raises(SymphonyError) as caught:
                await connection.request(Done(), Done, idempotency_key="\ud800")
            assert caught.value.code == "SYM-T011"
            asked = asyncio.create_task(connection.request(Done(), Done))
            assert (await peer.receive()).kind is Kind.REQUEST
            asked.cancel()

    asyncio.run(main())


def test_a_handler_may_close_its_own_connection(raw):
    async def main():
        async def handler(message):
            await holder[0].close()
            return Done()

        holder = []
        async with raw(handler) as (connection, peer):
            holder.append(connection)
            await peer.send(request(1))
            async with asyncio.timeout(20):
                assert await connection.wait_closed() is None
            assert await peer.receive() is None

    asyncio.run(main())
