"""Answers of many messages: credit, order, errors, and the end of the work when nobody wants the rest."""

import asyncio
from contextlib import aclosing

import pytest
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_error, encode_payload
from symphony_sdk.errors import (
    Cancelled,
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
    WorkflowError,
)
from symphony_sdk.messages import ArtifactData, Done, GetArtifact, Progress


class Counting:
    """Answers `GetArtifact(id, length=n)` with n items, and keeps what happens to the generator."""

    def __init__(self):
        self.made = 0
        self.closed = asyncio.Event()

    async def __call__(self, message):
        return self.count(message)

    async def count(self, message):
        try:
            for step in range(message.length):
                self.made += 1
                yield Progress(float(step))
                if message.id == "slowly":
                    await asyncio.sleep(0)
            if message.id == "fails":
                raise WorkflowError("after the items")
            if message.id == "hangs":
                await asyncio.Event().wait()
        finally:
            self.closed.set()


def done(number, **fields):
    return Envelope(Kind.REQUEST, number, "worker.done/1", payload=encode_payload(Done()), **fields)


def item(number):
    return Envelope(Kind.ITEM, number, "worker.progress/1", payload=encode_payload(Progress(0.5)))


@pytest.mark.parametrize("window", [1, 2, 3, 32, 1000])
@pytest.mark.parametrize("style", ["at once", "slowly"])
def test_items_come_in_order_and_whole_whatever_the_window(pair, window, style):
    async def main():
        async with pair(Counting()) as (server, client):
            asked = client.stream(GetArtifact(style, length=200), Progress, window=window)
            assert [step.fraction async for step in asked] == [float(n) for n in range(200)]
            empty = client.stream(GetArtifact("none", length=0), Progress, window=window)
            assert [step async for step in empty] == []
            assert (client.in_flight, server._serving._window._requests) == (0, 0)

    asyncio.run(main())


def test_the_other_side_is_never_further_ahead_than_the_window(pair, eventually):
    async def main():
        counting = Counting()
        async with pair(counting) as (_, client):
            asked = client.stream(GetArtifact("x", length=100), Progress, window=8)
            for taken in range(1, 50):
                await anext(asked)
                await client.ping(20)
                assert counting.made <= taken + 8
            await asked.aclose()

    asyncio.run(main())


def test_many_streams_and_requests_share_a_connection(pair):
    async def main():
        counting = Counting()

        async def handler(message):
            return Done() if message == Done() else await counting(message)

        async def taken(client, count):
            return [item async for item in client.stream(GetArtifact("x", length=count), Progress, window=4)]

        async with pair(handler) as (_, client):
            streams = [asyncio.create_task(taken(client, count)) for count in range(60)]
            requests = [asyncio.create_task(client.request(Done(), Done)) for _ in range(60)]
            assert [len(items) for items in await asyncio.gather(*streams)] == list(range(60))
            assert set(await asyncio.gather(*requests)) == {Done()}

    asyncio.run(main())


def test_an_error_comes_after_the_items_in_front_of_it(pair):
    async def main():
        async with pair(Counting()) as (_, client):
            came = []
            with pytest.raises(WorkflowError, match="after the items"):
                async for step in client.stream(GetArtifact("fails", length=50), Progress):
                    came.append(step.fraction)  # noqa: PERF401 - what came before the error is kept
            assert came == [float(n) for n in range(50)]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["close", "cancel", "deadline"])
def test_a_stream_that_is_given_up_closes_the_generator_at_the_other_side(pair, eventually, way):
    async def main():
        counting = Counting()
        async with pair(counting) as (server, client):
            came = []

            async def take(timeout=None):
                asked = client.stream(GetArtifact("hangs", length=3), Progress, timeout=timeout)
                async with aclosing(asked):
                    async for step in asked:
                        came.append(step)
                        if way == "close":
                            break

            if way == "deadline":
                timeout = 0.05
                while len(came) < 3:  # on a busy machine the time is over before they are there
                    came.clear()
                    with pytest.raises(DeadlineExceeded):
                        await take(timeout)
                    timeout *= 2
                assert len(came) == 3
            else:
                taking = asyncio.create_task(take())
                await eventually(lambda: came)
            if way == "cancel":
                taking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await taking
            await counting.closed.wait()
            await eventually(lambda: client.in_flight == 0)
            assert server._serving._window._requests == 0
            assert client.is_open

    asyncio.run(main())


def test_a_generator_that_waits_for_credit_is_closed_by_a_cancel(raw, eventually):
    async def main():
        counting = Counting()
        async with raw(counting) as (_, peer):
            payload = encode_payload(GetArtifact("x", length=10))
            await peer.send(Envelope(Kind.REQUEST, 1, "artifact.get/1", credit=2, payload=payload))
            assert [(await peer.receive()).kind for _ in range(2)] == [Kind.ITEM, Kind.ITEM]
            await peer.send(Envelope(Kind.CREDIT, 1, credit=1), Envelope(Kind.CREDIT, 9, credit=1))
            assert (await peer.receive()).kind is Kind.ITEM
            await peer.send(Envelope(Kind.CANCEL, 1))
            assert isinstance(decode_error((await peer.receive()).payload), Cancelled)
            assert counting.closed.is_set()
            assert counting.made == 3

    asyncio.run(main())


def test_a_stream_ends_with_the_connection(pair, eventually):
    async def main():
        counting = Counting()
        async with pair(counting) as (server, client):
            asked = client.stream(GetArtifact("hangs", length=3), Progress)
            assert [(await anext(asked)).fraction for _ in range(3)] == [0.0, 1.0, 2.0]
            await server.close()
            with pytest.raises(PeerGone):
                await anext(asked)
            assert counting.closed.is_set()
            with pytest.raises(SymphonyError):
                await anext(client.stream(GetArtifact("x"), Progress))

    asyncio.run(main())


def test_asking_for_one_answer_where_there_are_many_is_said(pair):
    async def main():
        counting = Counting()
        async with pair(counting) as (_, client):
            with pytest.raises(TransportError, match=r"artifact\.get/1") as caught:
                await client.request(GetArtifact("x"), Progress)
            assert caught.value.code == "SYM-T015"
            assert counting.made == 0

    asyncio.run(main())


def test_asking_for_many_answers_where_there_is_one_is_said(pair):
    async def handler(message):
        return Done()

    async def main():
        async with pair(handler) as (_, client):
            with pytest.raises(TransportError, match=r"worker\.done/1") as caught:
                await anext(client.stream(Done(), Progress))
            assert caught.value.code == "SYM-T016"

    asyncio.run(main())


def test_an_item_of_another_type_ends_the_stream(pair, eventually):
    async def main():
        counting = Counting()
        async with pair(counting) as (_, client):
            with pytest.raises(MalformedMessage, match=r"worker\.done/1"):
                await anext(client.stream(GetArtifact("hangs", length=5), Done))
            await counting.closed.wait()

    asyncio.run(main())


def test_an_item_that_is_too_large_fails_the_stream_and_ends_the_work(pair, eventually):
    closed = asyncio.Event()

    async def handler(message):
        async def items():
            try:
                yield ArtifactData(b"x", 1)
                yield ArtifactData(bytes(17 << 20), 1)
                await asyncio.Event().wait()
            finally:
                closed.set()

        return items()

    async def main():
        async with pair(handler) as (_, client):
            asked = client.stream(Done(), ArtifactData)
            assert (await anext(asked)).data == b"x"
            with pytest.raises(TransportError) as caught:
                await anext(asked)
            assert caught.value.code == "SYM-T005"
            await closed.wait()
            assert client.is_open

    asyncio.run(main())


@pytest.mark.parametrize("credit", [0, 2])
def test_a_peer_that_ignores_credit_is_cut_off(raw, credit):
    async def main():
        async with raw() as (connection, peer):
            if credit:
                asking = asyncio.ensure_future(anext(connection.stream(Done(), Progress, window=credit)))
            else:
                asking = asyncio.create_task(connection.request(Done(), Done))
            number = (await peer.receive()).id
            await peer.send(*(item(number) for _ in range(credit + 1)))
            assert "credit" in str(await connection.wait_closed())
            await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(main())


def test_items_that_nobody_waits_for_are_counted(raw, eventually):
    async def main():
        async with raw() as (connection, peer):
            asked = connection.stream(Done(), Progress, window=4)
            first = asyncio.ensure_future(anext(asked))
            number = (await peer.receive()).id
            await peer.send(item(number), item(99))
            assert await first == Progress(0.5)
            await asked.aclose()
            assert (await peer.receive()).kind is Kind.CANCEL
            await peer.send(item(number), Envelope(Kind.RESPONSE, number))
            await eventually(lambda: connection.counters.late == 2)
            assert connection.counters.unknown == 1
            assert connection.in_flight == 0

    asyncio.run(main())


def test_a_peer_that_does_not_read_stops_the_generator(raw):
    async def main():
        made = 0

        async def handler(message):
            async def items():
                nonlocal made
                for _ in range(100):
                    made += 1
                    yield ArtifactData(bytes(1 << 20), 1)

            return items()

        async with raw(handler) as (connection, peer):
            await peer.send(done(1, credit=1000))
            for _ in range(200):
                await asyncio.sleep(0)
            assert 0 < made < 5
            assert connection.congested
            came = 0
            while (await peer.receive()).kind is Kind.ITEM:
                came += 1
            assert came == 100

    asyncio.run(main())
