"""The reconnecting connection over real sockets."""

import asyncio
import subprocess
import sys

import pytest
from symphony_ipc import reconnect
from symphony_ipc.reconnect import ATTEMPTS, ConnectionState, Reconnecting
from symphony_ipc.window import WINDOW_REQUESTS
from symphony_sdk.errors import DeadlineExceeded, PeerGone, TransportError, WorkflowError
from symphony_sdk.messages import CallOperation, Done, OperationResult, Progress
from symphony_sdk.ports.transport import ConnectionPort


async def answer(message):
    return OperationResult(seconds=1.0)


def drop(accepted):
    """Lose the connection that was accepted last, as if its other end had been killed."""
    accepted[-1]._transport.abort()


def test_what_is_asked_before_anybody_listens_is_answered_when_somebody_does(folder, listen_at, connect_to):
    async def main():
        path = f"{folder}/s"
        connection: ConnectionPort = Reconnecting(path, connect_to)
        asking = asyncio.create_task(connection.request(Done(), OperationResult, timeout=20))
        pinging = asyncio.create_task(connection.ping(20))
        await asyncio.sleep(0)
        assert connection.is_open
        assert not asking.done()
        async with listen_at(path, answer):
            assert (await asking).seconds == 1.0
            assert 0 < await pinging < 20
            await connection.close()

    asyncio.run(main())


def test_it_gives_up_after_five_attempts_and_says_what_each_found(folder, connect_to):
    async def main():
        tried, seen = [], []

        async def connect(address):
            tried.append(address)
            if len(tried) == 2:
                raise PeerGone("reset in the handshake")
            return await connect_to(address)

        connection = Reconnecting(f"{folder}/nobody", connect, on_state=lambda *change: seen.append(change))
        with pytest.raises(PeerGone) as caught:
            await connection.request(Done(), Done, idempotency_key="k")
        assert tried == [f"{folder}/nobody"] * ATTEMPTS
        assert caught.value.code == "SYM-T045"
        assert "in 5 attempts (1: FileNotFoundError" in caught.value.message
        assert "2: PeerGone: reset in the handshake; 3: " in caught.value.message
        assert len(caught.value.details["attempts"]) == ATTEMPTS
        reason = await connection.wait_closed()
        assert reason.code == "SYM-T045"
        assert seen == [(ConnectionState.CLOSED, reason)]
        assert not connection.is_open
        for later in (connection.opened(), connection.ping(1)):
            with pytest.raises(PeerGone, match="5 attempts"):
                await later
        with pytest.raises(PeerGone, match="5 attempts"):
            connection.notify(Done())
        await connection.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "code"),
    [({"token": b"wrong"}, "SYM-T008"), ({"protocol_min": 900, "protocol_max": 901}, "SYM-T007")],
)
def test_a_refusal_is_not_asked_for_again(folder, listen_at, connect_to, options, code):
    async def main():
        tried = []

        async def connect(address):
            tried.append(address)
            return await connect_to(address, **{"token": b"t", **options})

        async with listen_at(f"{folder}/s", answer, token=b"t"):
            connection = Reconnecting(f"{folder}/s", connect)
            with pytest.raises(TransportError) as caught:
                await connection.opened()
            assert caught.value.code == code
            assert (await connection.wait_closed()).code == code
            assert len(tried) == 1

    asyncio.run(main())


def test_a_function_that_fails_to_connect_in_itself_is_named(folder):
    async def main():
        async def connect(address):
            raise ZeroDivisionError("by zero")

        connection = Reconnecting("odd:address", connect)
        with pytest.raises(
            TransportError, match="odd:address cannot be connected to: ZeroDivisionError"
        ) as caught:
            await connection.opened()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    asyncio.run(main())


def test_in_flight_a_request_with_a_key_is_sent_again_and_one_without_says_what_to_do(
    folder, listen_at, connect_to
):
    async def main():
        asked = asyncio.Queue()
        release = asyncio.Event()

        async def handler(message):
            asked.put_nowait(message.operation)
            await release.wait()
            return OperationResult(seconds=2.0)

        async with asyncio.timeout(20), listen_at(f"{folder}/s", handler) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)
            keyed = asyncio.create_task(
                connection.request(CallOperation("keyed"), OperationResult, timeout=20, idempotency_key="k")
            )
            plain = asyncio.create_task(
                connection.request(CallOperation("plain"), OperationResult, timeout=20)
            )
            assert {await asked.get(), await asked.get()} == {"keyed", "plain"}
            drop(accepted)
            with pytest.raises(PeerGone, match=r"'worker\.call/1' was in flight") as caught:
                await plain
            assert caught.value.code == "SYM-T046"
            assert "idempotency_key" in caught.value.hint
            await connection.ping(20)
            release.set()
            assert (await keyed).seconds == 2.0
            assert len(accepted) == 2
            assert asked.empty(), "the repeated request joined the one under way"
            await connection.close()

    asyncio.run(main())


def test_requests_that_waited_for_room_in_the_window_are_sent_later_though_they_have_no_key(
    folder, listen_at, connect_to, eventually
):
    async def main():
        async def handler(message):
            if len(accepted) == 1:
                await asyncio.Event().wait()
            return OperationResult()

        async with asyncio.timeout(60), listen_at(f"{folder}/s", handler) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)
            tasks = [
                asyncio.create_task(connection.request(Done(), OperationResult))
                for _ in range(WINDOW_REQUESTS + 10)
            ]
            await connection.opened()
            await connection.ping(20)
            drop(accepted)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [getattr(r, "code", "") for r in results] == ["SYM-T046"] * WINDOW_REQUESTS + [""] * 10
            await connection.close()

    asyncio.run(main())


def test_a_request_that_ends_its_connection_each_time_is_sent_five_times_and_others_go_on(
    folder, listen_at, connect_to, eventually
):
    async def main():
        sent = []
        others = 0

        async def handler(message):
            if message.operation == "poison":
                sent.append(message.operation)
                before = others
                await eventually(lambda: others > before)  # something is answered over each connection
                drop(accepted)
                raise PeerGone("the process died: nothing is kept")
            return OperationResult()

        async with asyncio.timeout(20), listen_at(f"{folder}/s", handler) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)

            async def go_on():
                nonlocal others
                while True:
                    await connection.request(
                        CallOperation("fine"), OperationResult, idempotency_key=f"{others}"
                    )
                    others += 1

            going = asyncio.create_task(go_on())
            with pytest.raises(PeerGone, match="sent 5 times") as caught:
                await connection.request(CallOperation("poison"), OperationResult, idempotency_key="p")
            assert caught.value.code == "SYM-T047"
            assert len(sent) == ATTEMPTS
            before = others
            await connection.request(CallOperation("fine"), OperationResult)
            assert not going.done()
            assert others >= before > 0
            going.cancel()
            await connection.close()

    asyncio.run(main())


def test_each_new_connection_is_prepared_before_a_request_is_sent_over_it(folder, listen_at, connect_to):
    async def main():
        order, seen = [], []

        async def handler(message):
            order.append(message.operation)
            return OperationResult()

        async def prepare(connection):
            await connection.request(CallOperation("prepare"), OperationResult, timeout=20)

        async with asyncio.timeout(20), listen_at(f"{folder}/s", handler) as accepted:
            connection = Reconnecting(
                f"{folder}/s",
                connect_to,
                on_reconnected=prepare,
                on_state=lambda state, reason: seen.append((str(state), type(reason))),
            )
            await connection.request(CallOperation("one"), OperationResult)
            drop(accepted)
            await connection.request(CallOperation("two"), OperationResult, idempotency_key="k")
            assert order == ["one", "prepare", "two"]
            assert connection.state is ConnectionState.CONNECTED
            await connection.close()
            assert seen == [
                ("connected", type(None)),
                ("connecting", PeerGone),
                ("connected", type(None)),
                ("closed", type(None)),
            ]

    asyncio.run(main())


def test_connections_that_last_count_as_made_though_nothing_was_answered_over_them(
    folder, listen_at, connect_to, eventually, monkeypatch
):
    async def main():
        monkeypatch.setattr(reconnect, "PROVEN_AFTER", 0.0)
        async with listen_at(f"{folder}/s", answer) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)
            for lost in range(1, ATTEMPTS + 3):
                await eventually(lambda lost=lost: len(accepted) == lost and connection.state == "connected")
                drop(accepted)
            assert await connection.request(Done(), OperationResult, timeout=20, idempotency_key="k")
            await connection.close()

    asyncio.run(main())


def test_connections_that_end_at_once_count_as_failed_attempts(folder, connect_to):
    async def main():
        accepted = []

        async def hang_up(reader, writer):
            accepted.append(writer)
            writer.close()

        server = await asyncio.start_unix_server(hang_up, f"{folder}/s")
        connection = Reconnecting(f"{folder}/s", connect_to)
        reason = await connection.wait_closed()
        assert reason.code == "SYM-T045"
        assert len(accepted) == ATTEMPTS
        server.close()

    asyncio.run(main())


def test_a_stream_ends_with_its_connection_and_the_next_one_begins_anew(folder, listen_at, connect_to):
    async def main():
        closed = asyncio.Queue()

        async def items():
            try:
                for n in range(1_000):
                    yield Progress(float(n))
            finally:
                closed.put_nowait("closed")

        async def handler(message):
            return items()

        async with asyncio.timeout(20), listen_at(f"{folder}/s", handler) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)
            stream = connection.stream(Done(), Progress, timeout=20, window=4)
            assert [(await anext(stream)).fraction for _ in range(3)] == [0.0, 1.0, 2.0]
            drop(accepted)
            with pytest.raises(PeerGone):
                async for _ in stream:
                    pass
            await closed.get()
            again = connection.stream(Done(), Progress, window=4)
            assert (await anext(again)).fraction == 0.0
            await again.aclose()
            assert await closed.get(), "leaving it early ends the work there"
            await connection.close()

    asyncio.run(main())


def test_what_has_no_answer_is_told_while_it_is_connected_and_refused_else(folder, listen_at, connect_to):
    async def main():
        async with asyncio.timeout(20), listen_at(f"{folder}/s", answer) as accepted:
            connection = Reconnecting(f"{folder}/s", connect_to)
            with pytest.raises(PeerGone, match=r"worker\.progress/1.*being connected to"):
                connection.notify(Progress(0.5))
            await connection.opened()
            connection.notify(Progress(0.5))
            await connection.ping(20)
            assert accepted[0].counters.notifications == 1
            await connection.close()
            with pytest.raises(TransportError) as caught:
                connection.notify(Progress(0.5))
            assert caught.value.code == "SYM-T009"

    asyncio.run(main())


def test_an_error_that_the_other_side_answers_with_is_raised_and_nothing_is_sent_again(
    folder, listen_at, connect_to
):
    async def main():
        asked = []

        async def handler(message):
            asked.append(message.operation)
            if message.operation == "gone":
                raise PeerGone("a process behind this one died")
            raise WorkflowError("no such node", details={"node": 3})

        async with listen_at(f"{folder}/s", handler):
            connection = Reconnecting(f"{folder}/s", connect_to)
            with pytest.raises(PeerGone, match="behind this one") as caught:
                await connection.request(CallOperation("gone"), OperationResult, idempotency_key="k")
            assert caught.value.code == "SYM-T003"
            with pytest.raises(WorkflowError) as failed:
                await connection.request(CallOperation("wrong"), OperationResult, idempotency_key="l")
            assert failed.value.details == {"node": 3}
            assert asked == ["gone", "wrong"]
            await connection.close()

    asyncio.run(main())


def test_a_deadline_runs_while_it_is_not_connected_and_while_a_request_is_repeated(scripted, eventually):
    async def main():
        peer = scripted()
        connection = Reconnecting("fake:peer", peer.connect)
        with pytest.raises(DeadlineExceeded, match=r"fake:peer was not connected to.*worker\.call/1"):
            await connection.request(CallOperation("one"), OperationResult, timeout=0.01)
        asking = asyncio.create_task(
            connection.request(CallOperation("two"), OperationResult, timeout=60, idempotency_key="k")
        )
        pinging = asyncio.create_task(connection.ping(60))
        for number in range(2):
            await eventually(lambda number=number: len(peer.attempts) == number + 1)
            peer.attempts[number].set_result(None)
            await eventually(
                lambda number=number: peer.connections[number:] and peer.connections[number].asked
            )
            await eventually(lambda number=number: peer.connections[number].pings)
            if not number:
                peer.connections[0].end(PeerGone("killed"))
        first, second = (c.timeouts["two"] for c in peer.connections)
        assert 60 > first > second > 0
        peer.connections[1].pings[0].set_result(0.1)
        peer.connections[1].asked["two"].set_exception(DeadlineExceeded("no answer"))
        assert 0 < await pinging < 60, "a PING has no effect: it is repeated"
        with pytest.raises(DeadlineExceeded, match="no answer"):
            await asking
        late = asyncio.create_task(connection.ping(60))
        await eventually(lambda: len(peer.connections[1].pings) == 2)
        peer.connections[1].pings[1].set_exception(DeadlineExceeded("no PONG"))
        with pytest.raises(DeadlineExceeded, match="PONG"):
            await late
        await connection.close()

    asyncio.run(main())


@pytest.mark.parametrize("stage", ["not begun", "connecting", "connected"])
def test_closing_ends_it_at_every_stage(stage, scripted, eventually):
    async def main():
        peer = scripted()
        connection = Reconnecting("fake:peer", peer.connect)
        tasks = []
        if stage != "not begun":
            tasks = [
                asyncio.create_task(
                    connection.request(CallOperation("one"), OperationResult, idempotency_key="k")
                ),
                asyncio.create_task(connection.ping(60)),
            ]
            await eventually(lambda: peer.attempts)
        if stage == "connected":
            peer.attempts[0].set_result(None)
            await eventually(lambda: peer.connections and peer.connections[0].asked)
        await connection.close()
        await connection.close()
        assert connection.state is ConnectionState.CLOSED
        assert await connection.wait_closed() is None
        assert not any(c.is_open for c in peer.connections)
        assert [e.code for e in await asyncio.gather(*tasks, return_exceptions=True)] == ["SYM-T009"] * len(
            tasks
        )
        with pytest.raises(TransportError) as caught:
            await connection.opened()
        assert caught.value.code == "SYM-T009"

    asyncio.run(main())


def test_an_observer_that_raises_is_reported_and_ends_nothing(folder, listen_at, connect_to):
    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

        def observe(state, reason):
            raise ZeroDivisionError(state)

        async with listen_at(f"{folder}/s", answer):
            connection = Reconnecting(f"{folder}/s", connect_to, on_state=observe)
            assert await connection.request(Done(), OperationResult, timeout=20)
            await connection.close()
        assert [str(context["exception"]) for context in reported] == ["connected", "closed"]

    asyncio.run(main())


def test_a_worker_imports_nothing_of_it():
    code = (
        "import sys, symphony_ipc.blocking, symphony_ipc.connection, symphony_ipc.reconnect\n"
        "assert not {'stamina', 'tenacity'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
