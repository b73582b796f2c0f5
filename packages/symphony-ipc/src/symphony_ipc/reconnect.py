"""A connection that is made again when it is lost: what may be asked twice is, the rest is told."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Final, cast

import msgspec
from symphony_sdk.errors import DeadlineExceeded, PeerGone, SymphonyError, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import ConnectionPort

from symphony_ipc.asking import NotifyCallback
from symphony_ipc.payload import MessageT

ATTEMPTS: Final = 5
"""Attempts to connect before it is given up, and times that one request is sent."""

PROVEN_AFTER: Final = 1.0
"""Seconds after which a connection counts as made, though nothing was answered over it."""

_FIRST_WAIT: Final = 0.02  # seconds before the second attempt
_LONGEST_WAIT: Final = 0.5
_GROWTH: Final = 4.0  # four waits are about a second: a process that starts anew listens by then
_JITTER: Final = 0.05  # so that the many clients of a server do not come back all at once

Connect = Callable[[str], Awaitable[ConnectionPort]]
"""Connects to an address; `transport.connect`, with its other arguments bound."""


class ConnectionState(StrEnum):
    """How a connection that is made again stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class Reconnecting:
    """A connection that outlives its transport; adapter of `ConnectionPort`.

    It connects at once. While it is not connected, requests wait. When the connection is lost, five attempts
    are made to get another, with growing waits between them; one that ends before anything was answered over
    it, and within a second, counts as an attempt that failed. A request with an idempotency key that was in
    flight is sent again; one without a key fails, because nobody knows whether it was carried out. Deadlines
    run all the while.

    Args:
        address: Where to connect.
        connect: Connects there.
        on_reconnected: Prepares each connection but the first before a request is sent over it, such as by
            subscribing again.
        on_state: Takes each change of `state`, and what was lost or why it was given up.

    Attributes:
        address: Where it connects.
        state: How it stands.
    """

    def __init__(
        self,
        address: str,
        connect: Connect,
        *,
        on_reconnected: Callable[[ConnectionPort], Awaitable[None]] | None = None,
        on_state: Callable[[ConnectionState, SymphonyError | None], None] | None = None,
    ) -> None:
        self.address = address
        self.state = ConnectionState.CONNECTING
        self._connect = connect
        self._on_reconnected = on_reconnected
        self._on_state = on_state
        self._loop = asyncio.get_running_loop()
        self._connection: ConnectionPort | None = None
        self._proven: ConnectionPort | None = None
        self._connected_before = False
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()
        self._closing = False
        self._reason: SymphonyError | None = None
        self._given_up: set[asyncio.Task[None]] = set()
        self._keeping = self._loop.create_task(self._keep())

    async def opened(self) -> None:
        """Wait until it is connected.

        Raises:
            SymphonyError: It cannot be connected; says why.
        """
        await self._current(None, "the opening")

    async def request(
        self,
        message: msgspec.Struct,
        response: type[MessageT],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: NotifyCallback | None = None,
    ) -> MessageT:
        """Ask, and wait for the answer, over this connection or the next.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound. It runs on while the connection is made again.
            idempotency_key: Equal for requests that the other side must not carry out twice. With one, the
                request is sent again where the connection is lost.
            on_notify: Takes the messages that the other side sends while it works on this request.

        Raises:
            SymphonyError: What the other side raised.
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection was lost and the request has no key (`SYM-T046`), the connection was lost
                each of five times (`SYM-T047`), or it cannot be made again (`SYM-T045`).
            MalformedMessage: The answer is not of that type.
        """
        what = message_type(message)
        deadline = None if timeout is None else self._loop.time() + timeout
        sent = 0
        while True:
            connection = await self._current(deadline, what)
            try:
                answer = await connection.request(
                    message,
                    response,
                    timeout=self._left(deadline),
                    idempotency_key=idempotency_key,
                    on_notify=on_notify,
                )
            except DeadlineExceeded:
                raise
            except TransportError as error:
                if connection.is_open or self._closing:
                    raise  # the answer, or our own doing
                if error.details.get("sent") is False:
                    continue
                sent += 1
                if not idempotency_key:
                    if isinstance(error, PeerGone):
                        raise self._in_flight(what, error) from error
                    raise
                if sent == ATTEMPTS:
                    raise self._always_lost(what, error) from error
            else:
                self._proven = connection
                return answer

    async def stream(
        self, message: msgspec.Struct, item: type[MessageT], *, timeout: float | None = None, window: int = 32
    ) -> AsyncIterator[MessageT]:
        """Ask for many messages; a stream that was begun ends with the connection.

        Args:
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.
            window: Items that the other side may be ahead of the one who takes them.

        Raises:
            SymphonyError: What the other side raised, after the items that came before.
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection was lost: ask again for what is missing.
            MalformedMessage: An item is not of that type.
        """
        deadline = None if timeout is None else self._loop.time() + timeout
        connection = await self._current(deadline, message_type(message))
        stream = connection.stream(message, item, timeout=self._left(deadline), window=window)
        items = cast("AsyncGenerator[MessageT, None]", stream)  # by its contract it can be closed
        async with aclosing(items):
            async for each in items:
                self._proven = connection
                yield each

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the other side something that has no answer.

        Args:
            message: A registered message.

        Raises:
            PeerGone: It is not connected at the moment, or is closed: what has no answer is not kept.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            if self.state is ConnectionState.CLOSED:
                raise self._gone()
            raise PeerGone(
                f"{message_type(message)!r} cannot be told: {self.address} is being connected to",
                hint="Wait for `opened`, or use a request: those wait for the connection.",
            )
        connection.notify(message)

    async def ping(self, timeout: float) -> float:
        """Seconds until the other side answered, over this connection or the next.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection cannot be made again.
        """
        started = self._loop.time()
        while True:
            connection = await self._current(started + timeout, "a PING")
            try:
                await connection.ping(self._left(started + timeout) or 0.0)
            except DeadlineExceeded:
                raise
            except TransportError:
                if connection.is_open or self._closing:
                    raise
            else:
                self._proven = connection
                return self._loop.time() - started

    @property
    def is_open(self) -> bool:
        """Whether it can be asked: until it is closed or given up."""
        return self.state is not ConnectionState.CLOSED and not self._closing

    async def wait_closed(self) -> SymphonyError | None:
        """Wait until it is closed or given up, and say why; None where this side closed."""
        await self._closed.wait()
        return self._reason

    async def close(self) -> None:
        """Fail what is under way and what waits, and close."""
        if not self._closing:
            self._closing = True
            self._keeping.cancel()
        await asyncio.wait([self._keeping, *self._given_up])
        if not self._closed.is_set():  # it was closed before it had begun
            self._end(None)

    # -- the connections, one after the other --------------------------------------------------------

    async def _keep(self) -> None:
        reason: SymphonyError | None = None
        try:
            while await self._next_proven():
                pass
        except asyncio.CancelledError:
            pass  # by `close`, or with the event loop
        except SymphonyError as error:
            reason = error
        except Exception as error:  # noqa: BLE001 - `connect` and the hook are foreign: their callers must not wait for ever
            reason = TransportError(
                f"{self.address} cannot be connected to: {_named(error)}",
                hint="The function that connects, or that prepares the connection, failed in itself.",
            )
            reason.__cause__ = error
        self._end(reason)

    def _end(self, reason: SymphonyError | None) -> None:
        self._reason = reason
        self._closed.set()
        self._change(ConnectionState.CLOSED, reason)

    async def _next_proven(self) -> bool:
        """Connect, and stay until the end of a connection that proved itself; False where it is to be the last."""
        # Imported here: only who connects again waits for it, and a worker does not.
        import stamina

        again = False
        failures: list[Exception] = []
        try:
            async for attempt in stamina.retry_context(
                on=may_pass,
                attempts=ATTEMPTS,
                timeout=None,
                wait_initial=_FIRST_WAIT,
                wait_max=_LONGEST_WAIT,
                wait_jitter=_JITTER,
                wait_exp_base=_GROWTH,
            ):
                with attempt:
                    try:
                        again = await self._next()
                    except Exception as error:
                        failures.append(error)
                        raise
        except Exception as error:
            if may_pass(error):
                raise self._exhausted(failures) from error
            raise
        return again

    async def _next(self) -> bool:
        """Connect once, and stay until the end; raises where that was no connection to speak of."""
        connection = await self._connect(self.address)
        try:
            if self._connected_before and self._on_reconnected is not None:
                await self._on_reconnected(connection)
            self._connected_before = True
            since = self._loop.time()
            self._connection = connection
            self._change(ConnectionState.CONNECTED, None)
            reason = await connection.wait_closed()
        except asyncio.CancelledError:
            await connection.close()
            raise
        except Exception:
            # Not waited for: a handler of it may itself wait for the next connection.
            task = self._loop.create_task(connection.close())
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
            raise
        finally:
            self._connection = None
        if reason is None:
            return False
        self._change(ConnectionState.CONNECTING, reason)
        if self._proven is not connection and self._loop.time() - since < PROVEN_AFTER:
            raise reason
        return True

    def _change(self, state: ConnectionState, reason: SymphonyError | None) -> None:
        self.state = state
        if state is ConnectionState.CONNECTING:
            self._changed.clear()
        else:
            self._changed.set()
        if self._on_state is None:
            return
        try:
            self._on_state(state, reason)
        except Exception as error:  # noqa: BLE001 - the observer is foreign here: it must not end the connection
            self._loop.call_exception_handler(
                {"message": f"the observer of {self.address} raised", "exception": error}
            )

    async def _current(self, deadline: float | None, what: str) -> ConnectionPort:
        """The connection, as soon as there is one."""
        while True:
            if not self.is_open:
                raise self._gone()
            connection = self._connection
            if connection is not None and connection.is_open:
                return connection
            self._changed.clear()  # its end may be known here before the task that waits for it
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError as error:
                raise DeadlineExceeded(
                    f"{self.address} was not connected to before the deadline of {what!r}"
                ) from error

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._loop.time(), 0.0)

    # -- what is said --------------------------------------------------------------------------------

    def _gone(self) -> SymphonyError:
        reason = self._reason
        if reason is None:
            return TransportError(
                f"the connection to {self.address} is closed",
                code="SYM-T009",
                hint="It was closed by this process.",
            )
        again = type(reason)(reason.message, code=reason.code, hint=reason.hint, details=reason.details)
        again.__cause__ = reason.__cause__
        return again

    def _exhausted(self, failures: list[Exception]) -> PeerGone:
        tried = "; ".join(f"{number}: {_named(error)}" for number, error in enumerate(failures, 1))
        return PeerGone(
            f"{self.address} could not be connected to in {len(failures)} attempts ({tried})",
            code="SYM-T045",
            hint="Start what listens there, then connect anew.",
            details={"attempts": [_named(error) for error in failures]},
        )

    def _in_flight(self, what: str, error: TransportError) -> PeerGone:
        return PeerGone(
            f"{what!r} was in flight when the connection to {self.address} was lost: {error.message}",
            code="SYM-T046",
            hint="It may have been carried out or not. Give an idempotency_key, and it is sent again.",
            details=error.details,
        )

    def _always_lost(self, what: str, error: TransportError) -> PeerGone:
        return PeerGone(
            f"{what!r} was sent {ATTEMPTS} times to {self.address}, and each time the connection was lost: "
            f"{error.message}",
            code="SYM-T047",
            hint="The request itself may be what ends the process at the other side: see its log.",
            details=error.details,
        )


def may_pass(error: Exception) -> bool:
    """Whether it may help to connect again: nobody is there yet, or the peer went away.

    A refusal is none of these: a wrong token stays wrong.

    Args:
        error: What connecting raised.
    """
    if isinstance(error, PeerGone):
        return True
    if isinstance(error, TransportError):  # silent in the handshake; or what the system said is its cause
        return error.code == "SYM-T012" or isinstance(error.__cause__, _PASSING)
    return isinstance(error, _PASSING)


_PASSING: Final = (ConnectionError, FileNotFoundError, TimeoutError, BlockingIOError)
"""No listener, none yet, one that is too busy: what an operating system says of an address that may be well."""


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
