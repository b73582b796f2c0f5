"""Peers for the tests: a real worker process, and a raw socket that can say anything."""

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope
from symphony_ipc.framing import FrameReader, encode
from symphony_ipc.handshake import Endpoint, connect_blocking
from symphony_ipc.sockets import from_socket
from symphony_sdk.errors import SymphonyError, TransportError

# How long an example takes is the machine's affair: no verdict depends on it.
settings.register_profile("symphony", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("symphony")

TOKEN = "a-token"
Handler = Callable[[msgspec.Struct], Awaitable[msgspec.Struct | AsyncIterator[msgspec.Struct]]]


class WorkerProcess(msgspec.Struct):
    connection: Connection
    process: subprocess.Popen[str]
    notifications: list[msgspec.Struct]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a socket, wherever the tests are run from."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def worker() -> Callable[..., AbstractAsyncContextManager[WorkerProcess]]:
    """Starts a worker process and connects to it."""

    @asynccontextmanager
    async def start(handler: Handler | None = None) -> AsyncIterator[WorkerProcess]:
        ours, theirs = socket.socketpair()
        script = Path(__file__).with_name("worker_process.py")
        command = [sys.executable, str(script), str(theirs.fileno()), TOKEN]
        process = subprocess.Popen(  # noqa: ASYNC220 - it does not wait
            command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
        )
        theirs.close()
        notifications: list[msgspec.Struct] = []
        try:
            connection = await from_socket(
                ours,
                Endpoint("host", TOKEN.encode(), timeout=30),
                accepts=True,
                handler=handler,
                on_notify=notifications.append,
            )
            try:
                yield WorkerProcess(connection, process, notifications)
            finally:
                await connection.close()
        finally:
            process.kill()
            process.communicate()

    return start


class RawPeer:
    """The other end of a connection, which may send what it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = FrameReader()
        self._envelopes: list[Envelope] = []

    async def send(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            await self.send_bytes(b"".join(encode(envelope)))

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> Envelope | None:
        """The next envelope; None at the end of the stream."""
        loop = asyncio.get_running_loop()
        while not self._envelopes:
            async with asyncio.timeout(20):
                try:
                    count = await loop.sock_recv_into(self.sock, self._reader.get_buffer())
                except ConnectionResetError:
                    return None
            if not count:
                return None
            self._envelopes += self._reader.received(count)
        return self._envelopes.pop(0)


@pytest.fixture
def raw() -> Callable[..., AbstractAsyncContextManager[tuple[Connection, RawPeer]]]:
    """A connection of the host, and a peer that has shaken hands and is free afterwards."""

    @asynccontextmanager
    async def start(handler: Handler | None = None) -> AsyncIterator[tuple[Connection, RawPeer]]:
        ours, theirs = socket.socketpair()
        with theirs:
            shaking = asyncio.create_task(asyncio.to_thread(connect_blocking, theirs, Endpoint("raw", b"t")))
            connection = await from_socket(
                ours, Endpoint("host", b"t", timeout=30), accepts=True, handler=handler
            )
            await shaking
            theirs.setblocking(False)
            try:
                yield connection, RawPeer(theirs)
            finally:
                await connection.close()

    return start


@pytest.fixture
def pair() -> Callable[..., AbstractAsyncContextManager[tuple[Connection, Connection]]]:
    """Two connected ends on one event loop; the first one waits for the HELLO of the second."""

    @asynccontextmanager
    async def start(
        handler: Handler | None = None, **options: Any
    ) -> AsyncIterator[tuple[Connection, Connection]]:
        ours, theirs = socket.socketpair()
        accepting = asyncio.create_task(
            from_socket(ours, Endpoint("host", timeout=30), accepts=True, handler=handler, **options)
        )
        client = await from_socket(theirs, Endpoint("client", timeout=30), accepts=False)
        server = await accepting
        try:
            yield server, client
        finally:
            await client.close()
            await server.close()

    return start


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Waits until something is true, with a deadline."""

    async def wait(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - conditions of foreign objects have no event
                await asyncio.sleep(0.001)

    return wait


class ScriptedConnection:
    """A connection whose peer is the test: `asked` holds what is not answered, `end` loses it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = True
        self.asked: dict[str, asyncio.Future[msgspec.Struct]] = {}
        self.keys: dict[str, str] = {}
        self.timeouts: dict[str, float | None] = {}
        self.told: list[msgspec.Struct] = []
        self.pings: list[asyncio.Future[float]] = []
        self.ended = asyncio.Event()
        self.reason: SymphonyError | None = None

    async def request(
        self,
        message: Any,
        response: type[msgspec.Struct],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: object = None,
    ) -> Any:
        future = self.asked[message.operation] = asyncio.get_running_loop().create_future()
        self.keys[message.operation] = idempotency_key
        self.timeouts[message.operation] = timeout
        try:
            return await future
        finally:
            self.asked.pop(message.operation, None)

    async def stream(
        self, message: Any, item: type[msgspec.Struct], *, timeout: float | None = None, window: int = 32
    ) -> AsyncIterator[Any]:
        while True:
            yield await self.request(message, item, timeout=timeout)

    def notify(self, message: msgspec.Struct) -> None:
        self.told.append(message)

    async def ping(self, timeout: float) -> float:
        self.pings.append(asyncio.get_running_loop().create_future())
        return await self.pings[-1]

    async def wait_closed(self) -> SymphonyError | None:
        await self.ended.wait()
        return self.reason

    async def close(self) -> None:
        self.end(None)

    def end(self, reason: SymphonyError | None) -> None:
        """Lose it: what is in flight fails, as with a real connection."""
        if not self.is_open:
            return
        self.is_open = False
        self.reason = reason
        gone = reason or TransportError("closed", code="SYM-T009")
        for future in (*self.asked.values(), *self.pings):
            if not future.done():
                future.set_exception(type(gone)(gone.message, code=gone.code))
        self.ended.set()


class ScriptedPeer:
    """Who listens at every address: each attempt to connect waits in `attempts` until the test decides."""

    def __init__(self) -> None:
        self.attempts: list[asyncio.Future[None]] = []
        self.connections: list[ScriptedConnection] = []

    async def connect(self, address: str) -> Any:
        attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.attempts.append(attempt)
        await attempt
        connection = ScriptedConnection(address)
        self.connections.append(connection)
        return connection


@pytest.fixture
def scripted() -> type[ScriptedPeer]:
    """A peer without a transport, whose every step the test decides."""
    return ScriptedPeer


@pytest.fixture
def connect_to() -> Callable[..., Awaitable[Connection]]:
    """Connects to a process that listens at a path."""

    async def connect(path: str, name: str = "client", token: bytes = b"", **options: Any) -> Connection:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)  # a listener on this machine: it does not block
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        return await from_socket(sock, Endpoint(name, token, timeout=30, **options), accepts=False)

    return connect


@pytest.fixture
def listen_at() -> Callable[..., AbstractAsyncContextManager[list[Connection]]]:
    """Takes connections at a path, and gives them out as they come."""

    @asynccontextmanager
    async def listen(
        path: str, handler: Handler | None = None, token: bytes = b""
    ) -> AsyncIterator[list[Connection]]:
        accepted: list[Connection] = []
        answered = AnsweredRequests()

        def make() -> Connection:
            return Connection(
                Endpoint("server", token, timeout=30),
                accepts=True,
                handler=handler,
                answered=answered,
                on_open=accepted.append,
            )

        server = await asyncio.get_running_loop().create_unix_server(make, path)
        try:
            yield accepted
        finally:
            server.close()
            for connection in accepted:
                await connection.close()

    return listen


@pytest.fixture(scope="module")
def fork() -> Iterator[Callable[..., int]]:
    """Starts a process of `survivor_processes.py` and gives its process id."""
    script = Path(__file__).with_name("survivor_processes.py")
    forks = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def start(role: str, *arguments: object) -> int:
        print(role, *arguments, file=forks.stdin, flush=True)
        return int(forks.stdout.readline())

    with forks:
        yield start
        forks.stdin.close()
        assert forks.wait(20) == 0
