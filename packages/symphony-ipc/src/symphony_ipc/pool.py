"""Connections by address: few of each, opened when needed, used again, checked, closed when idle."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Final, cast

import msgspec
from symphony_sdk.errors import DeadlineExceeded, SymphonyError, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import ConnectionPort

from symphony_ipc.asking import NotifyCallback
from symphony_ipc.payload import MessageT
from symphony_ipc.reconnect import Connect

CHECK_AFTER: Final = 10.0
"""Seconds without use after which a connection must answer a PING before it is used again."""

CHECK_TIMEOUT: Final = 1.0
"""Seconds that the PING may take."""


class _Member:
    """A place in the pool; its connection may be used when `ready` is done."""

    __slots__ = ("connection", "in_flight", "ready", "used")

    def __init__(self, now: float) -> None:
        self.connection: ConnectionPort | None = None
        self.ready: asyncio.Task[None]
        self.in_flight = 0
        self.used = now

    @property
    def is_usable(self) -> bool:
        """Whether its connection is open, or on the way there."""
        return not self.ready.done() or (self.connection is not None and self.connection.is_open)


class ConnectionPool:
    """Shares connections among those who ask.

    A request takes the connection with the fewest requests in flight; where each has some and there are
    fewer than `size`, another is opened. A connection that has ended is replaced; one that was not used for
    ten seconds must answer a PING first. Connections answer many requests at once, so more than one of them
    helps only where large messages would wait behind each other.

    Args:
        connect: Connects to an address. Give one that makes a `Reconnecting` where requests with an
            idempotency key are to be sent again.
        size: Connections to one address at most.
        idle: Seconds without use after which a connection is closed.
    """

    def __init__(self, connect: Connect, *, size: int = 4, idle: float = 60.0) -> None:
        if size < 1 or idle <= 0:
            raise ValueError(f"a pool needs a size of at least 1 and idle seconds above 0: {size}, {idle}")
        self._connect = connect
        self._size = size
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._members: dict[str, list[_Member]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    async def request(
        self,
        address: str,
        message: msgspec.Struct,
        response: type[MessageT],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: NotifyCallback | None = None,
    ) -> MessageT:
        """Ask the process at an address, and wait for the answer.

        Args:
            address: Where it listens.
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds, for connecting too; None for no bound.
            idempotency_key: Equal for requests that the other side must not carry out twice.
            on_notify: Takes the messages that the other side sends while it works on this request.

        Raises:
            SymphonyError: What the other side raised.
            TransportError: Nobody listens there, the handshake failed, or the pool is closed (`SYM-T009`).
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
            MalformedMessage: The answer is not of that type.
        """
        deadline = None if timeout is None else self._loop.time() + timeout
        member = self._take(address)
        try:
            connection = await self._ready(member, address, deadline, message)
            return await connection.request(
                message,
                response,
                timeout=self._left(deadline),
                idempotency_key=idempotency_key,
                on_notify=on_notify,
            )
        finally:
            self._give_back(member)

    async def stream(
        self,
        address: str,
        message: msgspec.Struct,
        item: type[MessageT],
        *,
        timeout: float | None = None,
        window: int = 32,
    ) -> AsyncIterator[MessageT]:
        """Ask the process at an address for many messages.

        Args:
            address: Where it listens.
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for connecting and all of them; None for no bound.
            window: Items that the other side may be ahead of the one who takes them.

        Raises:
            SymphonyError: What the other side raised, after the items that came before.
            TransportError: Nobody listens there, the handshake failed, or the pool is closed (`SYM-T009`).
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
            MalformedMessage: An item is not of that type.
        """
        deadline = None if timeout is None else self._loop.time() + timeout
        member = self._take(address)
        try:
            connection = await self._ready(member, address, deadline, message)
            stream = connection.stream(message, item, timeout=self._left(deadline), window=window)
            items = cast("AsyncGenerator[MessageT, None]", stream)  # by its contract it can be closed
            async with aclosing(items):
                async for each in items:
                    yield each
        finally:
            self._give_back(member)

    def in_flight(self, address: str) -> tuple[int, ...]:
        """How many requests each connection to an address has, those that are being opened included.

        Args:
            address: Where they lead.
        """
        return tuple(member.in_flight for member in self._members.get(address, ()) if member.is_usable)

    async def close(self) -> None:
        """Fail what is under way, and close every connection."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for members in self._members.values():
            for member in members:
                self._end(member)
        self._members.clear()
        while self._endings:
            await asyncio.wait(self._endings)

    # -- members -------------------------------------------------------------------------------------

    def _take(self, address: str) -> _Member:
        if self._closed:
            raise _closed()
        now = self._loop.time()
        members = self._members.setdefault(address, [])
        member: _Member | None = None
        for one in members.copy():
            if not one.is_usable:
                members.remove(one)
            elif member is None or one.in_flight < member.in_flight:
                member = one
        if member is None or (member.in_flight and len(members) < self._size):
            member = _Member(now)
            self._prepare(member, self._open(member, address))
            members.append(member)
        elif not member.in_flight and now - member.used >= CHECK_AFTER and member.ready.done():
            self._prepare(member, self._check(member, address))
        member.in_flight += 1
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._idle, self._sweep)
        return member

    def _give_back(self, member: _Member) -> None:
        member.in_flight -= 1
        member.used = self._loop.time()

    async def _ready(
        self, member: _Member, address: str, deadline: float | None, message: msgspec.Struct
    ) -> ConnectionPort:
        ready = member.ready
        if not ready.done():
            # Others may wait for it too: whoever gives up leaves it be.
            await asyncio.wait([ready], timeout=self._left(deadline))
            if not ready.done():
                raise DeadlineExceeded(
                    f"{address} was not connected to before the deadline of {message_type(message)!r}"
                )
        if member.connection is not None:
            return member.connection
        error = None if ready.cancelled() else ready.exception()
        if error is None:
            raise _closed()
        if not isinstance(error, SymphonyError):
            raise error
        again = type(error)(error.message, code=error.code, hint=error.hint, details=error.details)
        raise again from error.__cause__  # each of those who waited gets one of its own

    def _prepare(self, member: _Member, preparing: Coroutine[Any, Any, None]) -> None:
        member.ready = self._loop.create_task(preparing)
        # Those who wait are told how it failed. Where all have given up nobody is.
        member.ready.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _open(self, member: _Member, address: str) -> None:
        member.connection = await self._connect(address)

    async def _check(self, member: _Member, address: str) -> None:
        connection = cast("ConnectionPort", member.connection)  # it was usable
        try:
            await connection.ping(CHECK_TIMEOUT)
        except TransportError:
            member.connection = None
            self._later(connection.close())
            await self._open(member, address)

    # -- endings -------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Close what is idle, and come again when the next may be."""
        now = self._loop.time()
        next_sweep = None
        for address, members in list(self._members.items()):
            kept = []
            for member in members:
                due = member.used + self._idle
                if member.in_flight or (member.is_usable and due > now):
                    kept.append(member)
                    due = now + self._idle if member.in_flight else due
                    next_sweep = due if next_sweep is None else min(next_sweep, due)
                else:
                    self._end(member)
            if kept:
                members[:] = kept
            else:
                del self._members[address]
        self._sweeping = None if next_sweep is None else self._loop.call_at(next_sweep, self._sweep)

    def _end(self, member: _Member) -> None:
        self._later(self._finish(member))

    async def _finish(self, member: _Member) -> None:
        member.ready.cancel()
        await asyncio.wait([member.ready])
        if member.connection is not None:
            await member.connection.close()

    def _later(self, ending: Coroutine[Any, Any, None]) -> None:
        """Nobody waits for it but `close`."""
        task = self._loop.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._loop.time(), 0.0)


def _closed() -> TransportError:
    return TransportError(
        "the pool of connections is closed", code="SYM-T009", hint="It was closed by this process."
    )
