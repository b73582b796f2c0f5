"""Requests with an idempotency key: asked often, carried out once."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import IDEMPOTENCY_KEY, Envelope, Kind
from symphony_ipc.handshake import Endpoint
from symphony_ipc.payload import decode_error, error_envelope
from symphony_ipc.sockets import from_socket
from symphony_sdk.errors import Cancelled, PeerGone, SymphonyError, TransportError, WorkflowError
from symphony_sdk.messages import ArtifactData, Done, GetArtifact, LogLine, Progress


class Work:
    """Does what `LogLine.text` says, and counts how often it did."""

    def __init__(self):
        self.done = 0
        self.ended = 0
        self.keys = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, message):
        self.done += 1
        self.keys.append(IDEMPOTENCY_KEY.get())
        self.begun.set()
        if message.text == "wait":
            try:
                await self.go.wait()
            finally:
                self.ended += 1
        if message.text == "fail":
            raise WorkflowError("it was done, and badly")
        if message.text == "gone":
            raise PeerGone("nobody knows")
        if message.text == "stream":
            return self.steps()
        return Progress(float(self.done))

    async def steps(self):
        yield Progress(1.0)


class Server:
    """Connections that share a handler and what it has answered, as those of a listener do."""

    def __init__(self, handler, answered):
        self.handler = handler
        self.answered = answered
        self.connections = []

    async def connect(self, name="client") -> Connection:
        ours, theirs = socket.socketpair()
        accepting = asyncio.create_task(
            from_socket(ours, Endpoint("host"), accepts=True, handler=self.handler, answered=self.answered)
        )
        client = await from_socket(theirs, Endpoint(name), accepts=False)
        self.connections += [client, await accepting]
        return client


@asynccontextmanager
async def serving(handler, **limits):
    server = Server(handler, AnsweredRequests(**limits))
    yield server
    for connection in server.connections:
        await connection.close()


def ask(client, text="", key="k", timeout=None):
    return asyncio.create_task(
        client.request(LogLine("info", text), Progress, idempotency_key=key, timeout=timeout)
    )


def test_a_repeated_request_joins_the_one_under_way_and_later_gets_the_kept_answer(eventually):
    async def main():
        work = Work()
        async with serving(work) as server:
            one, other = await server.connect(), await server.connect()
            tasks = [ask(one, "wait"), ask(other, "wait"), ask(one, "wait")]
            await eventually(lambda: len(server.connections[3]._serving._open) == 1)
            work.go.set()
            assert await asyncio.gather(*tasks) == [Progress(1.0)] * 3
            assert await ask(other, "wait") == Progress(1.0)
            assert await ask(await server.connect(), "wait") == Progress(1.0)
            assert (work.done, work.keys) == (1, ["k"])
            assert await ask(one, "wait", key="another") == Progress(2.0)
            assert await ask(await server.connect("stranger"), "wait") == Progress(3.0), (
                "keys are each peer's own"
            )
            assert await ask(one, "", key="") == Progress(4.0)
            assert await ask(one, "", key="") == Progress(5.0), "without a key each is carried out"
            assert work.keys[-1] == ""

    asyncio.run(main())


@pytest.mark.parametrize("answered_before", [True, False], ids=["answered before", "answered after"])
def test_work_goes_on_when_its_connection_dies_and_the_retry_gets_the_answer(eventually, answered_before):
    async def main():
        work = Work()
        async with serving(work) as server:
            client = await server.connect()
            lost, without_key = ask(client, "wait"), ask(client, "wait", key="")
            await eventually(lambda: work.done == 2)
            client._transport.abort()
            for task in (lost, without_key):
                with pytest.raises(PeerGone):
                    await task
            await eventually(lambda: work.ended == 1)
            if answered_before:
                work.go.set()
                await eventually(lambda: work.ended == 2)
            again = ask(await server.connect(), "wait")
            await eventually(lambda: len(server.connections[3]._serving._open) == 1 or again.done())
            work.go.set()
            assert await again == Progress(2.0), "made after both had begun"
            assert work.done == 2

    asyncio.run(main())


def test_work_that_was_not_begun_when_its_connection_died_begins_with_the_retry(eventually):
    async def main():
        work = Work()
        async with serving(work) as server:
            client = await server.connect()
            tasks = [ask(client, "wait", key=str(n)) for n in range(70)]
            await eventually(lambda: work.done == 64)
            client._transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            again = ask(await server.connect(), "wait", key="69")
            await eventually(lambda: work.done == 65)
            work.go.set()
            assert await again == Progress(65.0)

    asyncio.run(main())


def test_work_ends_when_all_who_asked_for_it_have_cancelled(eventually):
    async def main():
        work = Work()
        async with serving(work) as server:
            one, other = await server.connect(), await server.connect()
            first, second = ask(one, "wait"), ask(other, "wait")
            await eventually(lambda: work.done and len(server.connections[3]._serving._open) == 1)
            first.cancel()
            await eventually(lambda: one.in_flight == 0)
            assert work.ended == 0, "the other one waits"
            second.cancel()
            await eventually(lambda: other.in_flight == 0)
            assert work.ended == 1
            work.go.set()
            assert await ask(one, "wait") == Progress(2.0), "what was cancelled is begun anew"

    asyncio.run(main())


def test_an_error_of_the_work_is_kept_and_one_of_the_transport_is_not():
    async def main():
        work = Work()
        async with serving(work) as server:
            client = await server.connect()
            for _ in range(2):
                with pytest.raises(WorkflowError, match="badly"):
                    await ask(client, "fail", key="a")
            assert work.done == 1
            for _ in range(2):
                with pytest.raises(PeerGone):
                    await ask(client, "gone", key="b")
            assert work.done == 3

    asyncio.run(main())


def test_the_deadline_of_work_that_nobody_waits_for_ends_it(eventually):
    async def main():
        work, passed = Work(), 0.0
        loop = asyncio.get_running_loop()
        clock = loop.time
        loop.time = lambda: clock() + passed
        async with serving(work) as server:
            client = await server.connect()
            lost = ask(client, "wait", timeout=60)
            longer = ask(client, "wait", key="longer", timeout=60)
            await eventually(lambda: work.done == 2)
            client._transport.abort()
            await asyncio.gather(lost, longer, return_exceptions=True)
            again = ask(await server.connect(), "wait", key="longer")
            await eventually(lambda: len(server.connections[3]._serving._open) == 1)
            passed = 60.0
            await eventually(lambda: work.ended == 1)
            await asyncio.sleep(0)
            assert work.done == 2, "the one that has no deadline waits on"
            work.go.set()
            assert await again == Progress(2.0)

    asyncio.run(main())


def test_a_key_that_was_used_for_something_else_is_refused():
    async def main():
        async def handler(message):
            return Done()

        async with serving(handler) as server:
            client = await server.connect()
            await client.request(Done(), Done, idempotency_key="k")
            with pytest.raises(TransportError, match=r"worker\.done/1.*artifact\.get/1") as caught:
                await client.request(GetArtifact("x"), Done, idempotency_key="k")
            assert caught.value.code == "SYM-T017"

    asyncio.run(main())


def test_so_many_requests_with_keys_are_under_way_at_most(eventually):
    async def main():
        work = Work()
        async with serving(work, limit=3) as server:
            client = await server.connect()
            tasks = [ask(client, "wait", key=str(n)) for n in range(3)]
            await eventually(lambda: work.done == 3)
            with pytest.raises(TransportError) as caught:
                await ask(client, "wait", key="one too many")
            assert caught.value.code == "SYM-T018"
            work.go.set()
            await asyncio.gather(*tasks)
            assert await ask(client, "wait", key="one too many")

    asyncio.run(main())


def test_streams_are_not_kept():
    async def main():
        work = Work()
        async with serving(work) as server:
            client = await server.connect()
            for _ in range(2):
                steps = client.stream(LogLine("info", "stream"), Progress)
                assert [step async for step in steps] == [Progress(1.0)]
            assert work.done == 2

    asyncio.run(main())


class Doing:
    """Carries out at once; the answer is as large as is asked for."""

    def __init__(self):
        self.done = 0

    def ask(self, envelope, answered):
        self.done += 1
        answered(Envelope(Kind.RESPONSE, type="t/1", payload=memoryview(bytes(int(envelope.type)))))

    def __call__(self, answered, key, size=0):
        got = []
        answered.ask(
            "peer", Envelope(Kind.REQUEST, type=str(size), idempotency_key=key), got.append, self.ask
        )
        assert len(got[0].payload) == size


def test_the_oldest_answers_are_forgotten_first():
    async def main():
        doing, by_number, by_size = Doing(), AnsweredRequests(limit=3), AnsweredRequests(size=4000)
        for n in range(4):
            doing(by_number, str(n))
        assert len(by_number._answered) == 3
        doing(by_number, "1")
        assert doing.done == 4
        doing(by_number, "0")
        assert doing.done == 5
        for n in range(4):
            doing(by_size, str(n), 1000)
        assert len(by_size._answered) == 2
        assert by_size._kept == 2 * 1512
        doing(by_size, "large", 5000)
        assert (by_size._kept, by_size._answered) == (0, {})
        before, expired = doing.done, AnsweredRequests(seconds=0)
        doing(expired, "k")
        doing(expired, "k")
        assert doing.done == before + 2

    asyncio.run(main())


def test_what_cannot_be_begun_leaves_nothing_behind():
    async def main():
        def refuse(envelope, answered):
            raise SymphonyError("no")

        answered = AnsweredRequests(limit=1)
        for _ in range(2):
            with pytest.raises(SymphonyError, match="no"):
                answered.ask("peer", Envelope(Kind.REQUEST, idempotency_key="k"), print, refuse)
        assert answered._under_way == {}

    asyncio.run(main())


def test_each_who_joined_is_answered_once_however_often_it_cancels():
    async def main():
        class Forwarded:
            def cancel(self):
                finish(error_envelope(Cancelled("ended")))

            def credit(self, items):
                raise AssertionError("a single answer needs none")

        def begin(envelope, answered):
            nonlocal finish
            finish = answered
            return Forwarded()

        finish = print
        answered, got = AnsweredRequests(), [[], []]
        request = Envelope(Kind.REQUEST, idempotency_key="k")
        one, other = (answered.ask("peer", request, got[n].append, begin) for n in range(2))
        one.credit(3)
        for joined in (one, one, other, other):
            joined.cancel()
        assert [[type(decode_error(answer.payload)) for answer in each] for each in got] == [[Cancelled]] * 2

    asyncio.run(main())


def test_an_answer_is_kept_whatever_becomes_of_the_one_that_was_sent():
    async def main():
        data = bytes(1000)

        async def handler(message):
            return ArtifactData(data, len(data))

        async with serving(handler) as server:
            client = await server.connect()
            for _ in range(3):
                answer = await client.request(GetArtifact("x"), ArtifactData, idempotency_key="k")
                assert answer.data == data

    asyncio.run(main())
