"""Connections to a program over its standard input and output, at both ends of them.

The one that connects starts the program, and ends it when the connection ends. The program listens: it takes
its own standard streams, once, as the connection.
"""

import asyncio
import shlex
from collections.abc import Callable
from typing import Final, Literal

from symphony_ipc import AnsweredRequests, Connection, Endpoint
from symphony_ipc.pipes import open_pipes, open_stdio
from symphony_sdk.errors import PeerGone, SymphonyError, TransportError
from symphony_sdk.ports import ConnectionPort, RequestHandler

from symphony_transports.program import GRACE, Program

START_TIMEOUT: Final = 30.0
"""Seconds that a program may take from its start until it has shaken hands."""


class StdioTransport:
    """Connections over standard input and output; adapter of `TransportPort`.

    An address to connect to is `stdio:` and a command line, quoted as for a shell but run without one, such as
    `stdio:python -m acme.server --root 'my files'`. The address to listen at is `stdio:`.

    Args:
        name: What this end is called in errors and logs.
    """

    scheme = "stdio"

    def __init__(self, name: str) -> None:
        self._name = name
        self._following: set[asyncio.Task[Literal[True]]] = set()

    async def connect(
        self, address: str, *, token: bytes = b"", handler: RequestHandler | None = None
    ) -> Connection:
        """Start a program and shake hands with it; it is ended when the connection ends.

        Args:
            address: `stdio:` and its command line.
            token: The secret that it expects.
            handler: Answers what it asks.

        Raises:
            TransportError: It cannot be started (`SYM-T031`), or the handshake failed.
            PeerGone: It ended instead of shaking hands (`SYM-T033`).
        """
        program = Program(_argv_of(address))
        try:
            connection = Connection(
                Endpoint(self._name, token, timeout=START_TIMEOUT),
                accepts=False,
                handler=handler,
                answered=AnsweredRequests(),
            )
            await open_pipes(lambda: connection, program.output, program.input)
            await connection.opened()
        except BaseException as error:
            program.end(patience=GRACE if isinstance(error, PeerGone) else 0)
            if isinstance(error, PeerGone):
                await program.ended.wait()
                raise program.ended_early() from error
            raise
        self._follow(program, connection)
        return connection

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], None],
        *,
        token: bytes = b"",
        handler: RequestHandler | None = None,
    ) -> "StdioListener":
        """Take this process's standard input and output as the one connection.

        From then on nothing is read from standard input, and what is printed goes to standard error.

        Args:
            address: `stdio:`.
            on_connection: Takes the connection when it has shaken hands, before anything else of it is read.
            token: The secret to expect.
            handler: Answers what the other side asks.

        Raises:
            TransportError: They are not pipes, or have been taken already (`SYM-T032`).
        """
        return StdioListener(await self._open(address, token, handler, on_connection))

    async def accept(self, *, token: bytes = b"", handler: RequestHandler | None = None) -> Connection:
        """Take this process's standard input and output, and shake hands: for a program that does nothing else.

        Args:
            token: The secret to expect.
            handler: Answers what the other side asks.

        Raises:
            TransportError: They are not pipes, or have been taken already (`SYM-T032`); or the handshake failed.
        """
        connection = await self._open(f"{self.scheme}:", token, handler, None)
        await connection.opened()
        return connection

    def _follow(self, program: Program, connection: Connection) -> None:
        """End the program after its connection, or with the event loop."""

        def over(task: asyncio.Task[Literal[True]]) -> None:
            self._following.discard(task)
            program.end(patience=0 if task.cancelled() else GRACE)

        task = asyncio.get_running_loop().create_task(connection.closed.wait())
        self._following.add(task)
        task.add_done_callback(over)  # not in a coroutine, which could be cancelled before it begins

    async def _open(
        self,
        address: str,
        token: bytes,
        handler: RequestHandler | None,
        on_open: Callable[[Connection], None] | None,
    ) -> Connection:
        if address != f"{self.scheme}:":
            raise TransportError(
                f"{address!r} is nothing to listen at",
                code="SYM-T010",
                hint=f"A program listens at `{self.scheme}:`; a command line follows where one connects.",
            )
        connection = Connection(
            Endpoint(self._name, token),
            accepts=True,
            handler=handler,
            on_open=on_open,
            answered=AnsweredRequests(),
        )
        await open_stdio(lambda: connection)
        return connection


class StdioListener:
    """Takes the one connection over standard input and output; adapter of `ListenerPort`.

    Args:
        connection: It, before the handshake.
    """

    def __init__(self, connection: Connection) -> None:
        self._welcoming = asyncio.get_running_loop().create_task(_welcome(connection))

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{StdioTransport.scheme}:"

    async def close(self) -> None:
        """Take no connection; if it is open, it stays."""
        self._welcoming.cancel()
        await asyncio.wait([self._welcoming])


async def _welcome(connection: Connection) -> None:
    try:
        await connection.opened()
    except SymphonyError:
        return  # the peer has been told why


def _argv_of(address: str) -> list[str]:
    scheme, _, command = address.partition(":")
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise TransportError(
            f"the command line of {address!r} cannot be read: {error}",
            code="SYM-T031",
            hint="Quote it as for a shell.",
        ) from error
    if scheme != StdioTransport.scheme or not argv:
        raise TransportError(
            f"{address!r} is not the address of a program",
            code="SYM-T010",
            hint="Write `stdio:` and its command line, such as `stdio:python -m acme.server`.",
        )
    return argv
