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
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope
from symphony_ipc.framing import FrameReader, encode
from symphony_ipc.handshake import Endpoint, connect_blocking
from symphony_ipc.sockets import from_socket

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
