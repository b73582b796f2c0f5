"""The asynchronous end of a JSON-RPC conversation, over any asyncio transport."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, TypeVar, cast

from symphony_sdk.errors import DeadlineExceeded, PeerGone, SymphonyError, TransportError

from symphony_ipc.jsonrpc.dialogue import Answer, Dialogue, Faults, Id, Methods, result_of
from symphony_ipc.jsonrpc.failures import rpc_error
from symphony_ipc.jsonrpc.lines import LINE_LIMIT, LineReader

T = TypeVar("T")

_READ_BUFFER: Final = 64 << 10
_UNREAD: Final = 64 << 20  # bytes that the peer may leave unread
_OPEN_CALLS: Final = 1024  # requests of the peer that may wait for their results
_BUSY: Final = -32001


class JsonRpcPeer(asyncio.BufferedProtocol):
    """One end of a conversation; a protocol for any asyncio transport, such as those of `symphony_ipc.pipes`.

    Lines are dispatched in the order in which they come. A method that returns at once is answered before
    the next line; one that returns an awaitable is answered when that is done.

    Args:
        methods: What the other end may ask for and tell.
        max_line: Bytes that a line may have.
    """

    def __init__(self, methods: Methods | None = None, *, max_line: int = LINE_LIMIT) -> None:
        self._dialogue = Dialogue(methods or {}, self._write, later=self._await, max_line=max_line)
        self._reader = LineReader(max_line)
        self._view = memoryview(bytearray(_READ_BUFFER))
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._reason: SymphonyError | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def faults(self) -> Faults:
        """What came in and could not be used."""
        return self._dialogue.faults

    @property
    def is_open(self) -> bool:
        """Whether the other end can be asked."""
        return self._transport is not None and not self._closed.done()

    async def request(self, method: str, params: Any, result: type[T], *, timeout: float | None = None) -> T:
        """Ask, and wait for the answer.

        Args:
            method: What for.
            params: Its parameters; None for none.
            result: Type of the answer.
            timeout: Seconds; None for no bound.

        Raises:
            SymphonyError: What the other side raised.
            TransportError: It answered with an error of its own (`SYM-T050`), or the request is too long
                (`SYM-T051`).
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
            MalformedMessage: The answer is not of that type.
        """
        self._check_open()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def answered(found: Answer) -> None:
            if not answer.done():
                answer.set_result(found)

        id = self._dialogue.ask(method, params, answered)
        timer = None if timeout is None else loop.call_later(timeout, answered, _too_late(method, timeout))
        try:
            found: T = result_of(await answer, result, method)
            return found
        finally:
            self._dialogue.forget(id)
            if timer is not None:
                timer.cancel()

    def notify(self, method: str, params: Any = None) -> None:
        """Tell the other side something that has no answer.

        Args:
            method: What.
            params: Its parameters; None for none.

        Raises:
            PeerGone: The connection has ended.
            TransportError: It is too long or cannot be encoded.
        """
        self._check_open()
        self._dialogue.tell(method, params)

    async def wait_closed(self) -> SymphonyError | None:
        """Wait for the end, and say why it came; None where this side closed."""
        await asyncio.shield(self._closed)
        return self._reason

    async def close(self) -> None:
        """Send what was written, fail what is under way, and close."""
        self._end(None)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to talk."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes are received."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were received into the buffer."""
        for line in self._reader.received(bytes(self._view[:nbytes])):
            if self._closed.done():
                return
            self._dialogue.take(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits for the other side."""
        self._end(PeerGone("the other end closed the connection" if exc is None else f"it broke: {exc}"))

    def _write(self, line: bytes) -> None:
        if self._transport is None or self._closed.done():
            return
        self._transport.write(line)
        if self._transport.get_write_buffer_size() > _UNREAD:
            self._end(
                TransportError(
                    f"the other end left {self._transport.get_write_buffer_size():,} bytes unread",
                    code="SYM-T052",
                    hint="It hangs; start it anew.",
                ),
                abort=True,
            )

    def _await(self, method: str, id: Id | None, result: Awaitable[Any]) -> None:
        if len(self._tasks) >= _OPEN_CALLS:
            if asyncio.iscoroutine(result):
                result.close()
            raise rpc_error(_BUSY, f"{_OPEN_CALLS:,} requests wait for their results; ask again later")
        task = asyncio.ensure_future(result)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, method, id))

    def _finish(self, method: str, id: Id | None, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._closed.done():
            return
        if error is not None:
            self._dialogue.raised(method, id, error)
        elif id is not None:
            self._dialogue.succeed(id, task.result())

    def _check_open(self) -> None:
        if not self.is_open:
            if self._reason is None:
                raise TransportError(
                    "the connection is closed", code="SYM-T009", hint="It was closed by this process."
                )
            raise type(self._reason)(self._reason.message, code=self._reason.code, hint=self._reason.hint)

    def _end(self, reason: SymphonyError | None, *, abort: bool = False) -> None:
        if self._closed.done():
            return
        self._reason = reason
        self._closed.set_result(None)
        if self._transport is not None:
            if abort:
                self._transport.abort()
            else:
                self._transport.close()
        for task in self._tasks:
            task.cancel()
        self._dialogue.end(reason or PeerGone("the connection was closed while the request was under way"))


def _too_late(method: str, timeout: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"no answer to {method} came within {timeout:g} s")
