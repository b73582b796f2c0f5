r"""Connections over Windows named pipes.

Untested on Windows: what is here was checked by types for that platform, and by tests on another one with pipes
that behave as those of Windows are documented to.

What protects such a pipe is the token alone, so one is demanded. asyncio makes the pipe with Windows' default
access: full for this user, administrators and the system, to read for everyone else; and it does not refuse
clients on other machines.

asyncio makes the listening end a pipe of messages, and reads at most 64 KiB of it at a time: Windows answers with
an error (ERROR_MORE_DATA) where a message is longer, and the connection would end. So that end is told to give
bytes instead, before anything is read; the connecting end does so from the start.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol, cast

from symphony_ipc import AnsweredRequests, Connection, Endpoint
from symphony_sdk.errors import SymphonyError, TransportError
from symphony_sdk.ports import ConnectionPort, RequestHandler

from symphony_transports.systems import not_here

PREFIX: Final = "\\\\.\\pipe\\"
"""What the path of every pipe of this machine begins with."""

_READ_BYTES: Final = 0  # PIPE_READMODE_BYTE
_BUSY_TIMEOUT: Final = 1.0  # seconds to wait for a listener that greets many others


class PipeServer(Protocol):
    """What `start_serving_pipe` gives."""

    def close(self) -> None:
        """Take no further connection."""


class PipeLoop(Protocol):
    """What `asyncio.ProactorEventLoop` does beside what every loop does; it is not documented."""

    async def create_pipe_connection(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], address: str
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to a pipe."""

    async def start_serving_pipe(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], address: str
    ) -> list[PipeServer]:
        """Take connections to a pipe."""


class NamedPipeTransport:
    r"""Connections over Windows named pipes; adapter of `TransportPort`.

    An address is `npipe:` and the path of a pipe of this machine, such as `npipe:\\.\pipe\symphony-host`.

    Args:
        name: What this end is called in errors and logs.
    """

    scheme = "npipe"

    def __init__(self, name: str) -> None:
        self._name = name

    async def connect(
        self, address: str, *, token: bytes = b"", handler: RequestHandler | None = None
    ) -> Connection:
        """Connect to a listener and shake hands.

        Args:
            address: Where it listens.
            token: The secret that it expects.
            handler: Answers what the other side asks.

        Raises:
            TransportError: Nobody listens (`SYM-T010`), this is not Windows (`SYM-T030`), or the handshake failed.
        """
        path, loop = _path_of(address), pipe_loop()
        connection = Connection(
            Endpoint(self._name, token), accepts=False, handler=handler, answered=AnsweredRequests()
        )
        try:
            async with asyncio.timeout(_BUSY_TIMEOUT):
                await loop.create_pipe_connection(lambda: connection, path)
        except OSError as error:  # TimeoutError is one
            raise _unusable(address, error) from error
        await connection.opened()
        return connection

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], None],
        *,
        token: bytes = b"",
        handler: RequestHandler | None = None,
    ) -> "NamedPipeListener":
        """Take connections to a pipe.

        Args:
            address: Where to listen.
            on_connection: Takes each connection that shook hands, before anything else of it is read.
            token: The secret to expect; it may not be empty.
            handler: Answers what the other sides ask.

        Raises:
            TransportError: Somebody listens there already (`SYM-T010`), this is not Windows (`SYM-T030`), or
                there is no token (`SYM-T034`).
        """
        path, loop = _path_of(address), pipe_loop()
        if not token:
            raise TransportError(
                f"{address} would be open to every process that can reach it",
                code="SYM-T034",
                hint="Give a token: a named pipe has nothing else that says who may connect.",
            )
        listener = NamedPipeListener(address, Endpoint(self._name, token), on_connection, handler)
        try:
            listener.servers = await loop.start_serving_pipe(listener.arrival, path)
        except OSError as error:
            raise _unusable(address, error) from error
        return listener


class NamedPipeListener:
    """Takes connections to a pipe; adapter of `ListenerPort`.

    Args:
        address: Where it listens.
        endpoint: This end of each connection.
        on_connection: Takes each connection that shook hands.
        handler: Answers what the other sides ask.

    Attributes:
        servers: What listens.
    """

    def __init__(
        self,
        address: str,
        endpoint: Endpoint,
        on_connection: Callable[[ConnectionPort], None],
        handler: RequestHandler | None,
    ) -> None:
        self.servers: list[PipeServer] = []
        self._address = address
        self._endpoint = endpoint
        self._on_connection = on_connection
        self._handler = handler
        self._answered = AnsweredRequests()
        self._welcoming: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._address

    async def close(self) -> None:
        """Take no further connection; those that are open stay."""
        for server in self.servers:
            server.close()
        for task in self._welcoming:
            task.cancel()
        if self._welcoming:
            await asyncio.wait(self._welcoming)

    def arrival(self) -> asyncio.BaseProtocol:
        """The protocol for one who connects."""
        connection = Connection(
            self._endpoint,
            accepts=True,
            handler=self._handler,
            on_open=self._on_connection,
            answered=self._answered,
        )
        task = asyncio.get_running_loop().create_task(_welcome(connection))
        self._welcoming.add(task)
        task.add_done_callback(self._welcoming.discard)
        return Arrival(connection)


class Arrival(asyncio.Protocol):
    """Makes the listening end of a pipe one of bytes, and hands it to a connection.

    Args:
        connection: What takes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called before asyncio reads for the first time."""
        transport.set_protocol(self._connection)
        self._connection.connection_made(transport)
        try:
            read_bytes(transport.get_extra_info("pipe").fileno())
        except OSError:  # the peer was quicker
            cast("asyncio.Transport", transport).abort()


def read_bytes(handle: int) -> None:
    """Have a pipe give bytes and not messages.

    Args:
        handle: Handle of one end of it.

    Raises:
        OSError: It is closed.
    """
    windows: Any = import_module("_winapi")
    windows.SetNamedPipeHandleState(handle, _READ_BYTES, None, None)


def pipe_loop() -> PipeLoop:
    """The running event loop, which must be one that has pipes.

    Raises:
        TransportError: It has none (`SYM-T030`).
    """
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "start_serving_pipe"):
        raise not_here("named pipes", "unix")
    return cast("PipeLoop", loop)


async def _welcome(connection: Connection) -> None:
    try:
        await connection.opened()
    except SymphonyError:
        return  # the peer has been told why


def _path_of(address: str) -> str:
    scheme, _, path = address.partition(":")
    if scheme != NamedPipeTransport.scheme or not path.startswith(PREFIX) or path == PREFIX:
        raise TransportError(
            f"{address!r} is not the address of a named pipe of this machine",
            code="SYM-T010",
            hint=f"Write `npipe:` and its path, such as `npipe:{PREFIX}symphony-host`.",
        )
    return path


def _unusable(address: str, error: OSError) -> TransportError:
    reason = "it is busy" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return TransportError(
        f"{address} cannot be used: {reason}",
        code="SYM-T010",
        hint="One process listens there, and is of this user.",
    )
