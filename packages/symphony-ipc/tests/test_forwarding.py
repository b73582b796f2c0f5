"""What a connection does for a bus: requests passed on, ready frames, and who is told what when."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import encode
from symphony_ipc.payload import answer_of, decode_error, encode_payload
from symphony_sdk.errors import (
    BusError,
    Cancelled,
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    TransportError,
    WorkflowError,
)
from symphony_sdk.messages import ArtifactData, Done, GetArtifact, LogLine, Progress


class Hub:
    """Passes every request on to one connection, and keeps what else it is told."""

    def __init__(self, onward=None):
        self.onward = onward
        self.heard = []
        self.gone = []

    def published(self, connection, envelope):
        self.heard.append((connection, envelope))

    def asked(self, connection, envelope, answered):
        if self.onward is None:
            raise BusError(f"nobody answers to {envelope.to!r}", code="SYM-T021")
        envelope.to = ""  # the worker has no bus: its connection's own handler answers
        return self.onward.forward(envelope, answered)

    def lost(self, connection, reason):
        self.gone.append((connection, reason))


class Worker:
    def __init__(self):
        self.seen = []
        self.ended = asyncio.Event()

    async def __call__(self, message):
        self.seen.append((message, TRACEPARENT.get()))
        match message:
            case Done():
                return Done()
            case LogLine(text="fail"):
                raise WorkflowError("no", details={"node": 3})
            case LogLine():
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ended.set()
            case GetArtifact():
                return self.count(message.length)

    async def count(self, length):
        try:
            for step in range(length):
                yield Progress(float(step))
        finally:
            self.ended.set()


def request(message, to="worker", **fields):
    from symphony_sdk.messages import message_type

    return Envelope(
        Kind.REQUEST, type=message_type(message), to=to, payload=encode_payload(message), **fields
    )


async def ask(connection, envelope):
    """All that is answered; its last one is the final answer."""
    answers, final = [], asyncio.get_running_loop().create_future()

    def answered(answer):
        answers.append(answer)
        if answer.kind is not Kind.ITEM:
            final.set_result(None)

    connection.forward(envelope, answered)
    await final
    return answers


@pytest.fixture
def routed(pair):
    """A client, a hub between, and a worker: the hub, the client's end, the worker's end, the worker."""

    @asynccontextmanager
    async def start():
        worker, hub = Worker(), Hub()
        async with (
            pair(worker) as (working, onward),
            pair(on_open=lambda connection: setattr(connection, "router", hub)) as (_, client),
        ):
            hub.onward = onward
            yield hub, client, working, worker

    return start


def test_a_request_goes_through_a_hub_and_its_answer_comes_back(routed):
    async def main():
        async with routed() as (hub, client, _, worker):
            envelope = request(Done(), deadline=30.0, traceparent="00-ab-cd-01")
            (answer,) = await ask(client, envelope)
            assert answer_of(answer, Done) == Done()
            assert worker.seen == [(Done(), "00-ab-cd-01")]
            assert (client.in_flight, hub.onward.in_flight) == (0, 0)

    asyncio.run(main())


def test_an_error_goes_through_a_hub_with_all_its_fields(routed):
    async def main():
        async with routed() as (_, client, _, _):
            (answer,) = await ask(client, request(LogLine("info", "fail")))
            error = decode_error(answer.payload)
            assert (type(error), error.message, error.details) == (WorkflowError, "no", {"node": 3})

    asyncio.run(main())


def test_a_stream_goes_through_a_hub_within_its_credit(routed):
    async def main():
        async with routed() as (hub, client, _, _):
            came, final = [], asyncio.get_running_loop().create_future()

            def answered(answer):
                came.append(answer.kind)
                if answer.kind is Kind.ITEM:
                    forwarded.credit(1)
                else:
                    final.set_result(None)

            forwarded = client.forward(request(GetArtifact("x", length=100), credit=2), answered)
            await final
            assert came == [Kind.ITEM] * 100 + [Kind.RESPONSE]
            forwarded.cancel()
            forwarded.credit(5)
            assert await client.ping(20) and await hub.onward.ping(20)

    asyncio.run(main())


def test_a_cancel_goes_through_a_hub_and_is_answered_once(routed, eventually):
    async def main():
        async with routed() as (hub, client, _, worker):
            answers = []
            forwarded = client.forward(request(LogLine("info", "hang")), answers.append)
            await eventually(lambda: worker.seen)
            forwarded.cancel()
            forwarded.cancel()
            await eventually(lambda: answers)
            assert [type(decode_error(answer.payload)) for answer in answers] == [Cancelled]
            assert worker.ended.is_set()
            assert (client.in_flight, hub.onward.in_flight) == (0, 0)

    asyncio.run(main())


def test_a_deadline_is_answered_here_and_cancels_there(routed, eventually):
    async def main():
        async with routed() as (hub, client, _, worker):
            answers = await ask(client, request(LogLine("info", "hang"), deadline=0.02))
            assert [type(decode_error(answer.payload)) for answer in answers] == [DeadlineExceeded]
            await eventually(lambda: client.in_flight == hub.onward.in_flight == 0)
            assert worker.ended.is_set()

    asyncio.run(main())


def test_who_asked_is_told_when_the_other_end_is_gone(routed, eventually):
    async def main():
        async with routed() as (_, client, working, worker):
            answers = []
            client.forward(request(LogLine("info", "hang")), answers.append)
            await eventually(lambda: worker.seen)
            await working.close()
            await eventually(lambda: answers)
            assert isinstance(decode_error(answers[0].payload), PeerGone)
            (answer,) = await ask(client, request(Done()))
            assert isinstance(decode_error(answer.payload), PeerGone)
            assert client.is_open

    asyncio.run(main())


def test_the_work_ends_when_the_one_who_asked_is_gone(routed, eventually):
    async def main():
        async with routed() as (hub, client, _, worker):
            asking = asyncio.create_task(ask(client, request(LogLine("info", "hang"))))
            await eventually(lambda: worker.seen)
            await client.close()
            await asking
            await worker.ended.wait()
            await eventually(lambda: hub.onward.in_flight == 0)
            ((_, reason),) = hub.gone
            assert isinstance(reason, PeerGone)

    asyncio.run(main())


def test_a_request_to_somebody_needs_a_router(raw):
    async def main():
        async with raw(Worker()) as (connection, peer):
            envelope = request(Done(), to="acme.count")
            envelope.id = 3
            await peer.send(envelope)
            answer = await peer.receive()
            assert answer.id == 3
            error = decode_error(answer.payload)
            assert (type(error), error.code) == (BusError, "SYM-T021")
            assert "acme.count" in error.message
            connection.router = Hub()
            await peer.send(envelope)
            assert "nobody answers" in decode_error((await peer.receive()).payload).message

    asyncio.run(main())


def test_what_is_published_goes_to_the_router_in_order(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            log = encode_payload(LogLine("info", "x"))
            await peer.send(Envelope(Kind.PUBLISH, type="worker.log/1", to="a.b", payload=log))
            await eventually(lambda: connection.counters.notifications == 1)
            connection.router = hub = Hub()
            for n in range(1, 4):
                await peer.send(
                    Envelope(Kind.PUBLISH, type="worker.log/1", to=f"t.{n}", group="g", payload=log)
                )
            await eventually(lambda: len(hub.heard) == 3)
            assert [(e.to, e.group) for _, e in hub.heard] == [("t.1", "g"), ("t.2", "g"), ("t.3", "g")]

    asyncio.run(main())


def test_a_frame_is_encoded_once_and_sent_to_many(raw):
    async def main():
        async with raw() as (one, first), raw() as (other, second):
            for size in (10, 100_000):
                payload = encode_payload(ArtifactData(bytes(size), size))
                frame = encode(Envelope(Kind.PUBLISH, type="artifact.data/1", to="t", payload=payload))
                one.send(frame)
                other.send(frame)
                assert (await first.receive()) == (await second.receive())
            await one.close()
            with pytest.raises(TransportError) as caught:
                one.send(frame)
            assert caught.value.code == "SYM-T009"
            with pytest.raises(TransportError):
                one.notify(Done())

    asyncio.run(main())


def test_a_connection_says_whether_its_peer_reads_too_slowly(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            drained = []
            connection.on_drained = lambda: drained.append(connection.congested)
            frame = encode(Envelope(Kind.PUBLISH, to="t", payload=memoryview(bytes(60_000))))
            sent = 0
            while not connection.congested:
                connection.send(frame)
                sent += 1
            for _ in range(sent):
                assert (await peer.receive()).to == "t"
            await eventually(lambda: drained == [False])
            assert not connection.congested

    asyncio.run(main())


def test_what_a_batch_of_frames_causes_leaves_in_one_piece(raw):
    async def main():
        async with raw() as (connection, peer):
            written = []
            write = connection._outbox.transport.write

            class Transport:
                def write(self, data):
                    written.append(bytes(data))
                    write(data)

            connection._outbox.transport = Transport()
            pings = b"".join(b"".join(encode(Envelope(Kind.PING, n))) for n in range(1, 101))
            await peer.send_bytes(pings)
            assert [(await peer.receive()).id for _ in range(100)] == list(range(1, 101))
            assert len(written) == 1

    asyncio.run(main())


def test_a_router_is_in_place_before_the_first_frame_after_the_handshake():
    import socket

    from symphony_ipc.handshake import HANDSHAKE_LIMIT, Endpoint, hello
    from symphony_ipc.sockets import from_socket

    async def main():
        hub = Hub()
        ours, theirs = socket.socketpair()
        with theirs:
            both = encode(hello(Endpoint("raw")), HANDSHAKE_LIMIT) + encode(Envelope(Kind.PUBLISH, to="t"))
            theirs.sendall(b"".join(both))
            connection = await from_socket(
                ours,
                Endpoint("host"),
                accepts=True,
                on_open=lambda connection: setattr(connection, "router", hub),
            )
            assert [(c, e.to) for c, e in hub.heard] == [(connection, "t")]
            await connection.close()
            assert hub.gone == [(connection, None)]

    asyncio.run(main())


def test_a_connection_knows_when_it_heard_its_peer_and_what_it_carried(pair):
    async def main():
        async with pair(Worker()) as (server, client):
            before = client.last_heard
            assert await client.request(Done(), Done) == Done()
            assert client.last_heard > before
            ours, theirs = client.counters, server.counters
            assert (ours.frames_out, ours.frames_in) == (2, 2), "HELLO and REQUEST, WELCOME and RESPONSE"
            assert (ours.frames_in, ours.bytes_in) == (theirs.frames_out, theirs.bytes_out)
            assert (ours.frames_out, ours.bytes_out) == (theirs.frames_in, theirs.bytes_in)

    asyncio.run(main())


def test_an_answer_that_is_too_large_for_the_one_who_asked_is_said():
    import socket

    from symphony_ipc.handshake import Endpoint
    from symphony_ipc.sockets import from_socket

    async def handler(message):
        return ArtifactData(bytes(2 << 20), 1)

    async def main():
        ours, theirs = socket.socketpair()
        accepting = asyncio.create_task(from_socket(ours, Endpoint("host"), accepts=True, handler=handler))
        client = await from_socket(theirs, Endpoint("client", max_frame=1 << 20), accepts=False)
        with pytest.raises(TransportError) as caught:
            await client.request(Done(), ArtifactData)
        assert caught.value.code == "SYM-T005"
        await client.close()
        assert not isinstance(await (await accepting).wait_closed(), MalformedMessage)

    asyncio.run(main())
