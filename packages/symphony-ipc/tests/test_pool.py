"""The pool of connections, with peers whose every step the test decides."""

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest
from symphony_ipc import pool as pool_module
from symphony_ipc.pool import ConnectionPool
from symphony_ipc.reconnect import Reconnecting
from symphony_sdk.errors import DeadlineExceeded, PeerGone, TransportError
from symphony_sdk.messages import CallOperation, OperationResult


@pytest.fixture
def pooled(scripted, eventually):
    """A pool, its peer, and what asks it in a task of its own."""

    @asynccontextmanager
    async def start(**options):
        peer = scripted()
        pool = ConnectionPool(peer.connect, **options)

        def ask(name, address="fake:a", **arguments):
            return asyncio.create_task(
                pool.request(address, CallOperation(name), OperationResult, **arguments)
            )

        async def connect(attempts):
            """Wait until so many were made in all, and let them succeed."""
            await eventually(lambda: len(peer.attempts) == attempts)
            for attempt in peer.attempts:
                if not attempt.done():
                    attempt.set_result(None)
            await eventually(lambda: len(peer.connections) == attempts)

        try:
            yield pool, peer, ask, connect
        finally:
            await pool.close()
            assert not any(connection.is_open for connection in peer.connections)

    return start


def asked(peer):
    return [sorted(connection.asked) for connection in peer.connections]


def test_a_connection_is_opened_when_it_is_needed_and_used_again(pooled, eventually):
    async def main():
        async with pooled() as (_, peer, ask, connect):
            first = ask("one")
            await connect(1)
            await eventually(lambda: asked(peer) == [["one"]])
            peer.connections[0].asked["one"].set_result(OperationResult(seconds=1))
            assert (await first).seconds == 1
            second = ask("two", idempotency_key="k")
            await eventually(lambda: asked(peer) == [["two"]])
            assert peer.connections[0].keys["two"] == "k"
            peer.connections[0].asked["two"].set_result(OperationResult())
            await second
            assert len(peer.attempts) == 1

    asyncio.run(main())


def test_requests_spread_over_as_many_connections_as_there_may_be_fewest_in_flight_first(pooled, eventually):
    async def main():
        async with pooled(size=2) as (pool, peer, ask, connect):
            tasks = [ask(str(n)) for n in range(5)]
            await connect(2)
            await eventually(lambda: asked(peer) == [["0", "2", "4"], ["1", "3"]])
            assert pool.in_flight("fake:a") == (3, 2)
            for name in "024":
                peer.connections[0].asked[name].set_result(OperationResult())
            await asyncio.gather(tasks[0], tasks[2], tasks[4])
            ask("5")
            await eventually(lambda: asked(peer) == [["5"], ["1", "3"]])
            assert len(peer.attempts) == 2

    asyncio.run(main())


def test_each_address_has_connections_of_its_own(pooled, eventually):
    async def main():
        async with pooled(size=1) as (pool, peer, ask, connect):
            tasks = [ask("x", "fake:a"), ask("y", "fake:b")]
            await connect(2)
            await eventually(lambda: asked(peer) == [["x"], ["y"]])
            assert [c.address for c in peer.connections] == ["fake:a", "fake:b"]
            assert pool.in_flight("fake:b") == (1,)
            assert pool.in_flight("fake:c") == ()
            assert not any(task.done() for task in tasks)

    asyncio.run(main())


def test_a_connection_that_ended_is_replaced(pooled, eventually):
    async def main():
        async with pooled(size=1) as (_, peer, ask, connect):
            lost = ask("one")
            await connect(1)
            await eventually(lambda: asked(peer) == [["one"]])
            peer.connections[0].end(PeerGone("killed"))
            with pytest.raises(PeerGone, match="killed"):
                await lost
            ask("two")
            await connect(2)
            await eventually(lambda: asked(peer) == [[], ["two"]])

    asyncio.run(main())


def test_those_who_wait_for_a_connection_that_fails_each_learn_why_and_the_next_tries_again(
    pooled, eventually
):
    async def main():
        async with pooled(size=1) as (_, peer, ask, _connect):
            tasks = [ask("one"), ask("two")]
            await eventually(lambda: len(peer.attempts) == 1)
            peer.attempts[0].set_exception(TransportError("nobody listens", code="SYM-T010", hint="start it"))
            errors = await asyncio.gather(*tasks, return_exceptions=True)
            assert [(e.code, e.hint) for e in errors] == [("SYM-T010", "start it")] * 2
            assert errors[0] is not errors[1]
            foreign = ask("three")
            await eventually(lambda: len(peer.attempts) == 2)
            peer.attempts[1].set_exception(OSError("out of descriptors"))
            with pytest.raises(OSError, match="descriptors"):
                await foreign
            task = ask("four")
            await eventually(lambda: len(peer.attempts) == 3)
            peer.attempts[2].set_result(None)
            await eventually(lambda: asked(peer) == [["four"]])
            assert not task.done()

    asyncio.run(main())


def test_waiting_for_a_connection_counts_towards_the_deadline_and_leaves_it_to_others(pooled, eventually):
    async def main():
        async with pooled(size=1) as (_, peer, ask, connect):
            patient = ask("patient", timeout=60)
            with pytest.raises(DeadlineExceeded, match=r"fake:a.*worker\.call/1"):
                await ask("hurried", timeout=0.01)
            await connect(1)
            await eventually(lambda: asked(peer) == [["patient"]])
            assert 0 < peer.connections[0].timeouts["patient"] < 60
            assert not patient.done()

    asyncio.run(main())


def test_a_connection_that_fails_when_all_have_given_up_is_nobodys_error(pooled, eventually):
    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with pooled(size=1) as (_, peer, ask, _connect):
            with pytest.raises(DeadlineExceeded):
                await ask("hurried", timeout=0.01)
            peer.attempts[0].set_exception(PeerGone("it died"))
            await asyncio.sleep(0)  # it has failed now
            await asyncio.sleep(0)
            following = ask("next")
            await eventually(lambda: len(peer.attempts) == 2)
            peer.attempts[1].set_result(None)
            await eventually(lambda: asked(peer) == [["next"]])
            peer.connections[0].asked["next"].set_result(OperationResult())
            assert await following
        peer.attempts.clear()  # the error of the first holds on to the task
        gc.collect()
        assert reported == []

    asyncio.run(main())


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(pooled, eventually):
    async def main():
        async with pooled(size=2, idle=0.05) as (pool, peer, ask, connect):
            busy, short = ask("busy"), ask("short")
            await connect(2)
            await eventually(lambda: asked(peer) == [["busy"], ["short"]])
            peer.connections[1].asked["short"].set_result(OperationResult())
            await short
            await eventually(lambda: not peer.connections[1].is_open)
            assert peer.connections[0].is_open
            assert pool.in_flight("fake:a") == (1,)
            peer.connections[0].asked["busy"].set_result(OperationResult())
            await busy
            await eventually(lambda: not peer.connections[0].is_open)
            again = ask("again")
            await connect(3)
            await eventually(lambda: asked(peer) == [[], [], ["again"]])
            assert not again.done()

    asyncio.run(main())


@pytest.mark.parametrize("alive", [True, False])
def test_a_connection_that_was_not_used_for_long_must_answer_a_ping_first(
    pooled, eventually, alive, monkeypatch
):
    async def main():
        async with pooled(size=1) as (_, peer, ask, connect):
            first = ask("one")
            await connect(1)
            await eventually(lambda: asked(peer) == [["one"]])
            peer.connections[0].asked["one"].set_result(OperationResult())
            await first
            monkeypatch.setattr(pool_module, "CHECK_AFTER", 0.0)
            second = ask("two")
            third = ask("three")
            await eventually(lambda: len(peer.connections[0].pings) == 1)
            assert asked(peer) == [[]], "nothing is sent before the answer"
            if alive:
                peer.connections[0].pings[0].set_result(0.001)
                await eventually(lambda: asked(peer) == [["three", "two"]])
            else:
                peer.connections[0].pings[0].set_exception(DeadlineExceeded("no PONG"))
                await connect(2)
                await eventually(lambda: asked(peer) == [[], ["three", "two"]])
                assert not peer.connections[0].is_open
            assert not second.done()
            assert not third.done()

    asyncio.run(main())


def test_closing_the_pool_fails_what_is_under_way_and_refuses_what_comes(pooled, eventually, monkeypatch):
    async def main():
        async with pooled(size=1) as (pool, peer, ask, connect):
            used = ask("used", "fake:used")
            await connect(1)
            await eventually(lambda: asked(peer) == [["used"]])
            peer.connections[0].asked["used"].set_result(OperationResult())
            await used
            monkeypatch.setattr(pool_module, "CHECK_AFTER", 0.0)
            tasks = [ask("one"), ask("two", "fake:b"), ask("checked", "fake:used")]
            await eventually(lambda: len(peer.attempts) == 3 and peer.connections[0].pings)
            peer.attempts[1].set_result(None)
            await eventually(lambda: asked(peer) == [[], ["one"]])
            await pool.close()
            errors = await asyncio.gather(*tasks, return_exceptions=True)
            assert [e.code for e in errors] == ["SYM-T009"] * 3
            with pytest.raises(TransportError, match="pool") as caught:
                await ask("late")
            assert caught.value.code == "SYM-T009"

    asyncio.run(main())


def test_a_stream_holds_its_place_until_it_is_left(pooled, eventually):
    async def main():
        async with pooled(size=2) as (pool, peer, ask, connect):
            items = pool.stream("fake:a", CallOperation("many"), OperationResult, timeout=60)
            first = asyncio.ensure_future(anext(items))
            await connect(1)
            await eventually(lambda: asked(peer) == [["many"]])
            peer.connections[0].asked["many"].set_result(OperationResult(seconds=1))
            assert (await first).seconds == 1
            assert pool.in_flight("fake:a") == (1,)
            other = ask("one")
            await connect(2)
            await eventually(lambda: asked(peer) == [[], ["one"]])
            await items.aclose()
            assert pool.in_flight("fake:a") == (0, 1)
            assert not other.done()

    asyncio.run(main())


@pytest.mark.parametrize("options", [{"size": 0}, {"idle": 0}])
def test_a_pool_that_could_hold_nothing_is_refused(options):
    async def main():
        with pytest.raises(ValueError, match="size of at least 1"):
            ConnectionPool(lambda address: None, **options)

    asyncio.run(main())


def test_a_pool_of_connections_that_are_made_again_survives_the_loss_of_each(
    folder, listen_at, connect_to, eventually
):
    async def main():
        async def answer(message):
            await asyncio.sleep(0)
            return OperationResult(seconds=float(message.operation))

        async def lasting(address):
            return Reconnecting(address, connect_to)

        async with listen_at(f"{folder}/s", answer) as accepted:
            pool = ConnectionPool(lasting, size=3)
            for turn in range(5):
                asking = [
                    asyncio.create_task(
                        pool.request(
                            f"{folder}/s",
                            CallOperation(str(n)),
                            OperationResult,
                            timeout=30,
                            idempotency_key=f"{turn}-{n}",
                        )
                    )
                    for n in range(20)
                ]
                await eventually(lambda turn=turn: len(accepted) == 3 * (turn + 1))
                for connection in accepted[-3:]:
                    connection._transport.abort()
                assert [a.seconds for a in await asyncio.gather(*asking)] == [float(n) for n in range(20)]
            await pool.close()

    asyncio.run(main())
