"""The contract of every transport."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec
import pytest

from symphony_sdk.errors import (
    DeadlineExceeded,
    ErrorPayload,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
)
from symphony_sdk.ports import ConnectionPort, RequestHandler, TransportPort
from symphony_sdk.testing.contracts.contract import Contract
from symphony_sdk.testing.contracts.transport_peer import (
    MODULE,
    AskBack,
    Blob,
    Count,
    Echo,
    Fail,
    Go,
    Hold,
    Look,
    Number,
    Once,
    Peer,
    State,
    Vanish,
    made_by,
)

ResultT = TypeVar("ResultT")

PATIENCE: Final = 30.0  # seconds until a rule counts as broken; none is a matter of speed
TOKEN: Final = b"a secret"
TOO_LARGE: Final = 17 << 20
ERROR: Final = ErrorPayload(
    code="SYM-W001",
    message="no such node: ünï",
    hint="add it",
    details={"node": 3, "known": ["a", "b"]},
    file="flow.json",
    line=7,
    column=9,
    traceback="Traceback ...",
)


class TransportContract(Contract):
    """What every transport keeps. Subclass it in your tests:

    ```python
    class TestMyTransport(TransportContract):
        factory = "acme_wire:PigeonTransport"

        @pytest.fixture
        def address(self, tmp_path):
            return f"pigeon:{tmp_path}/loft"
    ```

    Attributes:
        factory: What makes the transport, called with the name of an end; imported in another process too. Where
            there is none, give a fixture `transport`: both sides are then in one process.
        starts_listener: Whether connecting starts the process that listens, as with stdio: such a listener has
            one connection, and its address to connect to is a command line.
    """

    factory: ClassVar[str] = ""
    starts_listener: ClassVar[bool] = False

    @pytest.fixture
    def transport(self) -> Any:
        """The transport."""
        assert self.factory, "set `factory`, or give a fixture `transport`"
        return self.factory

    @pytest.fixture
    def address(self) -> str:
        """An address at which nobody listens."""
        assert self.starts_listener, "give a fixture `address`"
        return ""

    # -- asking --------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, (1 << 20) + 1, 8 << 20])
    def test_a_message_of_any_size_that_is_allowed_comes_back(
        self, transport: Any, address: str, size: int
    ) -> None:
        """A message of any size that is allowed comes back."""

        async def rule(connection: ConnectionPort) -> None:
            message = Echo(os.urandom(size))
            assert await connection.request(message, Echo, timeout=PATIENCE) == message

        self._connected(transport, address, rule)

    def test_both_sides_ask(self, transport: Any, address: str) -> None:
        """Both sides ask."""

        async def answer(message: msgspec.Struct) -> msgspec.Struct:
            assert isinstance(message, Echo)
            return Echo(message.data[::-1])

        async def rule(connection: ConnectionPort) -> None:
            answers = await asyncio.gather(
                *(connection.request(AskBack(bytes([n, 0])), Echo, timeout=PATIENCE) for n in range(20))
            )
            assert [each.data for each in answers] == [bytes([0, n]) for n in range(20)]

        self._connected(transport, address, rule, handler=answer)

    def test_many_requests_are_under_way_at_once_and_each_gets_its_own_answer(
        self, transport: Any, address: str
    ) -> None:
        """Many requests are under way at once and each gets its own answer."""

        async def rule(connection: ConnectionPort) -> None:
            sent = [Echo(f"{n}".encode() * (n % 7 + 1)) for n in range(500)]
            answers = await asyncio.gather(
                *(connection.request(each, Echo, timeout=PATIENCE) for each in sent)
            )
            assert answers == sent

        self._connected(transport, address, rule)

    def test_an_error_keeps_every_field(self, transport: Any, address: str) -> None:
        """An error keeps every field."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(SymphonyError) as caught:
                await connection.request(Fail(ERROR), Echo, timeout=PATIENCE)
            assert caught.value.payload() == ERROR

        self._connected(transport, address, rule)

    def test_a_handler_that_breaks_fails_its_request_and_no_other(self, transport: Any, address: str) -> None:
        """A handler that breaks fails its request and no other."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(SymphonyError):
                await connection.request(Fail(), Echo, timeout=PATIENCE)
            assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()

        self._connected(transport, address, rule)

    def test_an_answer_of_another_type_is_malformed(self, transport: Any, address: str) -> None:
        """An answer of another type is malformed."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(MalformedMessage):
                await connection.request(Look(), Echo, timeout=PATIENCE)
            assert connection.is_open

        self._connected(transport, address, rule)

    def test_what_is_too_large_is_refused_and_the_connection_lives(
        self, transport: Any, address: str
    ) -> None:
        """What is too large is refused and the connection lives, whichever side it comes from."""

        async def rule(connection: ConnectionPort) -> None:
            for message in (Echo(bytes(TOO_LARGE)), Blob(TOO_LARGE)):
                with pytest.raises(TransportError) as caught:
                    await connection.request(message, Echo, timeout=PATIENCE)
                assert caught.value.code == "SYM-T005"
            assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()

        self._connected(transport, address, rule)

    # -- giving up -----------------------------------------------------------------------------------

    def test_a_deadline_ends_the_request_and_the_work_at_the_other_side(
        self, transport: Any, address: str
    ) -> None:
        """A deadline ends the request and the work at the other side."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(DeadlineExceeded):
                await connection.request(Hold(), Echo, timeout=0.05)
            await _until(connection, lambda state: state.held == 0)
            assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()

        self._connected(transport, address, rule)

    def test_cancelling_reaches_the_other_side(self, transport: Any, address: str) -> None:
        """Cancelling reaches the other side."""

        async def rule(connection: ConnectionPort) -> None:
            tasks = [asyncio.create_task(connection.request(Hold(), Echo)) for _ in range(3)]
            await _until(connection, lambda state: state.held == 3)
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
            await _until(connection, lambda state: (state.held, state.cancelled) == (2, 1))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

        self._connected(transport, address, rule)

    def test_a_ping_overtakes_what_the_other_side_works_on(self, transport: Any, address: str) -> None:
        """A ping overtakes what the other side works on, however much that is."""

        async def rule(connection: ConnectionPort) -> None:
            tasks = [asyncio.create_task(connection.request(Hold(), Echo)) for _ in range(200)]
            assert 0 <= await connection.ping(PATIENCE) < PATIENCE
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert 0 <= await connection.ping(PATIENCE) < PATIENCE

        self._connected(transport, address, rule)

    def test_a_notification_has_no_answer_and_disturbs_nothing(self, transport: Any, address: str) -> None:
        """A notification has no answer and disturbs nothing."""

        async def rule(connection: ConnectionPort) -> None:
            for _ in range(10):
                connection.notify(Echo(b"by the way"))
            assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()

        self._connected(transport, address, rule)

    def test_a_repeated_request_with_the_same_key_is_carried_out_once(
        self, transport: Any, address: str
    ) -> None:
        """A repeated request with the same key is carried out once, during the first and after it."""

        async def rule(connection: ConnectionPort) -> None:
            async def ask(key: str) -> Number:
                return await connection.request(Once(), Number, timeout=PATIENCE, idempotency_key=key)

            first = asyncio.create_task(ask("a"))
            await _until(connection, lambda state: state.carried_out == 1)
            second = asyncio.create_task(ask("a"))
            await connection.request(Go(), State, timeout=PATIENCE)
            assert [await first, await second, await ask("a")] == [Number(1)] * 3
            assert [await ask("b"), await ask("")] == [Number(2), Number(3)]
            assert await ask("") == Number(4)

        self._connected(transport, address, rule)

    # -- streams -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("window", [1, 2, 32])
    def test_a_stream_comes_whole_and_in_order(self, transport: Any, address: str, window: int) -> None:
        """A stream comes whole and in order."""

        async def rule(connection: ConnectionPort) -> None:
            stream = connection.stream(Count(300), Number, timeout=PATIENCE, window=window)
            assert [each.value async for each in stream] == list(range(300))
            assert [each async for each in connection.stream(Count(0), Number, timeout=PATIENCE)] == []

        self._connected(transport, address, rule)

    def test_streams_and_requests_share_a_connection(self, transport: Any, address: str) -> None:
        """Streams and requests share a connection."""

        async def rule(connection: ConnectionPort) -> None:
            async def take(count: int) -> list[int]:
                return [
                    each.value async for each in connection.stream(Count(count), Number, timeout=PATIENCE)
                ]

            async with aclosing(_stream(connection, Count(-1))) as stuck:
                await anext(stuck)
                assert await asyncio.gather(*map(take, range(50))) == [list(range(n)) for n in range(50)]
                assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()
                assert (await anext(stuck)).value == 1

        self._connected(transport, address, rule)

    def test_the_other_side_is_ahead_of_a_slow_taker_by_the_window_and_no_more(
        self, transport: Any, address: str
    ) -> None:
        """The other side is ahead of a slow taker by the window and no more."""

        async def rule(connection: ConnectionPort) -> None:
            async with aclosing(_stream(connection, Count(-1), window=4)) as stream:
                for taken in range(1, 20):
                    assert (await anext(stream)).value == taken - 1
                    await connection.ping(PATIENCE)  # what was sent before has come in
                    state = await connection.request(Look(), State, timeout=PATIENCE)
                    assert state.made <= taken + 4 + 1  # one more is made, and waits to be sent

        self._connected(transport, address, rule)

    def test_closing_a_stream_ends_the_work_at_the_other_side(self, transport: Any, address: str) -> None:
        """Closing a stream ends the work at the other side."""

        async def rule(connection: ConnectionPort) -> None:
            async with aclosing(_stream(connection, Count(-1))) as stream:
                await anext(stream)
                await _until(connection, lambda state: state.streams == 1)
            await _until(connection, lambda state: state.streams == 0)

        self._connected(transport, address, rule)

    def test_an_error_ends_a_stream_after_what_came_before_it(self, transport: Any, address: str) -> None:
        """An error ends a stream after what came before it."""

        async def rule(connection: ConnectionPort) -> None:
            seen = []
            with pytest.raises(SymphonyError) as caught:
                async for each in connection.stream(Count(5, ERROR), Number, timeout=PATIENCE, window=2):
                    seen.append(each.value)  # noqa: PERF401 - the error must not lose them
            assert seen == [0, 1, 2, 3, 4]
            assert caught.value.payload() == ERROR

        self._connected(transport, address, rule)

    def test_a_deadline_ends_a_stream(self, transport: Any, address: str) -> None:
        """A deadline ends a stream, however many items came."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(DeadlineExceeded):
                async for _ in connection.stream(Count(-1), Number, timeout=0.05):
                    await asyncio.sleep(0)
            await _until(connection, lambda state: state.streams == 0)

        self._connected(transport, address, rule)

    def test_a_stream_is_not_an_answer_nor_an_answer_a_stream(self, transport: Any, address: str) -> None:
        """A stream is not an answer nor an answer a stream, and the connection lives."""

        async def rule(connection: ConnectionPort) -> None:
            with pytest.raises(TransportError):
                await connection.request(Count(3), Number, timeout=PATIENCE)
            with pytest.raises(TransportError):
                await anext(_stream(connection, Echo(), Echo))
            await _until(connection, lambda state: state.streams == 0)

        self._connected(transport, address, rule)

    # -- coming and going ----------------------------------------------------------------------------

    def test_a_connection_is_given_out_before_its_first_request_is_answered(
        self, transport: Any, address: str
    ) -> None:
        """A connection is given out before its first request is answered."""

        async def rule(connection: ConnectionPort) -> None:
            state = await connection.request(Look(), State, timeout=PATIENCE)
            assert (state.connections, state.early) == (1, False)

        self._connected(transport, address, rule)

    def test_a_wrong_token_is_refused_and_the_right_one_is_not(self, transport: Any, address: str) -> None:
        """A wrong token is refused and the right one is not."""

        async def rule(made: TransportPort, at: str) -> None:
            for wrong in (b"", b"a secret?", b"another"):
                with pytest.raises(TransportError) as caught:
                    await made.connect(at, token=wrong)
                assert caught.value.code == "SYM-T008"
            connection = await made.connect(at, token=TOKEN)
            assert connection.is_open
            await connection.close()

        self._listening(transport, address, rule)

    def test_closing_fails_what_is_under_way_and_what_comes_later(self, transport: Any, address: str) -> None:
        """Closing fails what is under way and what comes later."""

        async def rule(connection: ConnectionPort) -> None:
            held = asyncio.create_task(connection.request(Hold(), Echo))
            await _until(connection, lambda state: state.held == 1)
            assert connection.is_open
            await connection.close()
            assert not connection.is_open
            with pytest.raises(TransportError):
                await held
            with pytest.raises(TransportError):
                await connection.request(Echo(), Echo)
            with pytest.raises(TransportError):
                await anext(_stream(connection, Count(1)))
            with pytest.raises(TransportError):
                await connection.ping(PATIENCE)
            with pytest.raises(TransportError):
                connection.notify(Echo())
            assert await connection.wait_closed() is None
            await connection.close()

        self._connected(transport, address, rule)

    def test_the_other_side_learns_that_a_connection_was_closed(self, transport: Any, address: str) -> None:
        """The other side learns that a connection was closed, and its own requests fail."""
        if self.starts_listener:
            pytest.skip("the side that was started is in another process")

        async def answer(message: msgspec.Struct) -> msgspec.Struct:
            await asyncio.Event().wait()
            return message

        async def main() -> None:
            made, peer = self._made(transport), Peer()
            listener = await made.listen(address, peer.connected, token=TOKEN, handler=peer.answer)
            ours = await made.connect(address, token=TOKEN, handler=answer)
            await ours.request(Look(), State, timeout=PATIENCE)
            (theirs,) = peer.connections
            held = asyncio.create_task(theirs.request(Echo(), Echo))
            await theirs.ping(PATIENCE)
            await ours.close()
            with pytest.raises(PeerGone):
                await held
            assert isinstance(await theirs.wait_closed(), PeerGone)
            assert not theirs.is_open
            await listener.close()

        _run(main())

    def test_a_process_that_vanishes_fails_what_is_under_way(self, transport: Any, address: str) -> None:
        """A process that vanishes fails what is under way, and says so to whoever waits for the end."""
        if not self.factory:
            pytest.skip("both sides are in this process")

        async def rule(connection: ConnectionPort) -> None:
            held = asyncio.create_task(connection.request(Hold(), Echo))
            stream = _stream(connection, Count(-1), window=2)
            await anext(stream)
            with pytest.raises(PeerGone):
                await connection.request(Vanish(), State)
            with pytest.raises(PeerGone):
                await held
            with pytest.raises(PeerGone):
                for _ in range(10):  # what came before the end may still be taken
                    await anext(stream)
            assert isinstance(await connection.wait_closed(), PeerGone)
            assert not connection.is_open

        async def main() -> None:
            made = self._made(transport)
            async with self._elsewhere(made, address) as at:
                connection = await made.connect(at, token=TOKEN)
                try:
                    await rule(connection)
                finally:
                    await connection.close()

        _run(main())

    def test_nobody_listens_at_a_wrong_address(self, transport: Any, address: str) -> None:
        """Nobody listens at a wrong address."""

        async def main() -> None:
            made = self._made(transport)
            for wrong in (address or f"{made.scheme}:/no/such/program", "", "nothing", f"{made.scheme}x:y"):
                with pytest.raises(TransportError):
                    await made.connect(wrong)

        _run(main())

    def test_an_address_has_one_listener_at_a_time(self, transport: Any, address: str) -> None:
        """An address has one listener at a time."""
        if self.starts_listener:
            pytest.skip("a process has one standard input")

        async def main() -> None:
            made, other = self._made(transport), Peer()
            for _ in range(2):
                peer = Peer()
                listener = await made.listen(address, peer.connected, token=TOKEN, handler=peer.answer)
                assert listener.address == address
                with pytest.raises(TransportError):
                    await made.listen(address, other.connected, token=TOKEN)
                connection = await made.connect(address, token=TOKEN)
                assert await connection.request(Echo(), Echo, timeout=PATIENCE) == Echo()
                await connection.close()
                await listener.close()
                with pytest.raises(TransportError):
                    await made.connect(address, token=TOKEN)
            assert not other.connections

        _run(main())

    def test_a_listener_has_many_connections_and_closing_it_closes_none(
        self, transport: Any, address: str
    ) -> None:
        """A listener has many connections and closing it closes none."""
        if self.starts_listener:
            pytest.skip("each process that is started has one connection")

        async def main() -> None:
            made, peer = self._made(transport), Peer()
            listener = await made.listen(address, peer.connected, token=TOKEN, handler=peer.answer)
            ours = await asyncio.gather(*(made.connect(address, token=TOKEN) for _ in range(20)))
            states = await asyncio.gather(*(each.request(Look(), State, timeout=PATIENCE) for each in ours))
            assert {state.connections for state in states} == {20}
            await listener.close()
            echoes = await asyncio.gather(*(each.request(Echo(), Echo, timeout=PATIENCE) for each in ours))
            assert echoes == [Echo()] * 20
            await asyncio.gather(*(each.close() for each in ours))
            await peer.close()

        _run(main())

    # -- how the rules are run -----------------------------------------------------------------------

    def _made(self, transport: Any) -> TransportPort:
        """The transport, made in the event loop that uses it."""
        return made_by(transport) if isinstance(transport, str) else cast("TransportPort", transport)

    def _listening(
        self, transport: Any, address: str, rule: Callable[[TransportPort, str], Awaitable[None]]
    ) -> None:
        """Run a rule with an address to connect to."""

        async def main() -> None:
            made = self._made(transport)
            if self.starts_listener:
                await rule(made, self._command(made))
                return
            peer = Peer()
            listener = await made.listen(address, peer.connected, token=TOKEN, handler=peer.answer)
            try:
                await rule(made, address)
            finally:
                await listener.close()
                await peer.close()

        _run(main())

    def _connected(
        self,
        transport: Any,
        address: str,
        rule: Callable[[ConnectionPort], Awaitable[None]],
        handler: RequestHandler | None = None,
    ) -> None:
        """Run a rule with an open connection."""

        async def connect(made: TransportPort, at: str) -> None:
            connection = await made.connect(at, token=TOKEN, handler=handler)
            try:
                await rule(connection)
            finally:
                await connection.close()

        self._listening(transport, address, connect)

    def _command(self, made: TransportPort) -> str:
        words = [sys.executable, "-m", MODULE, self.factory, f"{made.scheme}:", TOKEN.decode(), "-1"]
        return f"{made.scheme}:{shlex.join(words)}"

    @asynccontextmanager
    async def _elsewhere(self, made: TransportPort, address: str) -> AsyncIterator[str]:
        """An address at which another process listens."""
        if self.starts_listener:
            yield self._command(made)
            return
        ready, its_ready = os.pipe()
        words = [sys.executable, "-m", MODULE, self.factory, address, TOKEN.decode(), str(its_ready)]
        process = subprocess.Popen(words, pass_fds=[its_ready])  # noqa: ASYNC220 - it does not wait
        os.close(its_ready)
        try:
            assert await asyncio.to_thread(os.read, ready, 1) == b"", "it closes the pipe when it listens"
            yield address
        finally:
            os.close(ready)
            process.kill()
            await asyncio.to_thread(process.wait)


def _run(main: Awaitable[ResultT]) -> ResultT:
    async def bounded() -> ResultT:
        async with asyncio.timeout(2 * PATIENCE):
            return await main

    return asyncio.run(bounded())


async def _until(connection: ConnectionPort, condition: Callable[[State], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition(await connection.request(Look(), State)):
            pass


def _stream(
    connection: ConnectionPort, message: msgspec.Struct, item: Any = Number, window: int = 32
) -> Any:  # an AsyncGenerator in fact: it can be closed
    return connection.stream(message, item, timeout=PATIENCE, window=window)
