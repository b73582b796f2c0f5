import asyncio
import contextlib
import gc
import http.server
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from symphony_ipc import BlockingConnection, Endpoint, from_socket
from symphony_isolation import WorkerSpec
from symphony_isolation.broker import Broker
from symphony_sdk.extension import Files
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.worker import Descriptors, HostFiles, HostNetwork

DEADLINE = 60


class Silent:
    """A worker that is asked nothing."""

    def closed(self, reason: object) -> None:
        pass


class Hello(http.server.BaseHTTPRequestHandler):
    """Says hello."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def hello() -> type[Hello]:
    """What a web server is given that says hello."""
    return Hello


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A granted directory beside one that is not: `granted/sub/f`, and `outside/f` with a secret."""
    root = tmp_path_factory.mktemp("place")  # not in the house, which its extensions are imported from
    for name, text in (("granted/sub/f", "ok"), ("outside/f", "SECRET")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., WorkerSpec]:
    """The extension `acme.reach` with these permissions."""

    def spec_of(*permissions: str, **roots: str) -> WorkerSpec:
        return WorkerSpec(
            id="acme.reach",
            version="1.0",
            kind="operator",
            module="acme_reach",
            data_dir="/nonexistent",
            fingerprint="1",
            permissions=permissions,
            roots=roots,
        )

    return spec_of


@pytest.fixture
def reached(spec_of: Callable[..., WorkerSpec]) -> Callable[..., Any]:
    """A worker's end of channel and descriptors, in a thread, and a broker at the other; all of it is closed after.

    Gives the broker, the channel, and files and network as an extension that sees nothing by itself has them.
    """

    @asynccontextmanager
    async def reached(
        *permissions: str, check: Any = None, changes: dict[str, Any] | None = None, **roots: str
    ) -> AsyncIterator[SimpleNamespace]:
        spec = msgspec.structs.replace(spec_of(*permissions, **roots), **(changes or {}))
        broker = Broker(spec, FakeArtifactStore, check=check)
        breaches: list[Any] = []
        broker.attach(breaches.append, lambda number: None)
        near, far = socket.socketpair()
        near.setblocking(False)
        worker_end = socket.socket(fileno=os.dup(broker.descriptors.worker_end.fileno()))
        broker.descriptors.worker_end.close()
        opening = asyncio.create_task(
            from_socket(near, Endpoint("host", b"t" * 16), accepts=True, handler=broker.answer)
        )
        channel = await asyncio.to_thread(BlockingConnection.connect, far, Endpoint("acme.reach", b"t" * 16))
        connection = await opening
        thread = threading.Thread(target=channel.serve, args=(Silent(),))
        thread.start()
        descriptors = Descriptors(worker_end)
        host = HostFiles(channel, descriptors, (), ())
        try:
            async with asyncio.timeout(DEADLINE):
                yield SimpleNamespace(
                    broker=broker,
                    channel=channel,
                    worker_end=worker_end,
                    breaches=breaches,
                    files=Files(PermissionSet.parse(permissions, roots=roots), host),
                    network=HostNetwork(channel, descriptors),
                )
        finally:
            await connection.close()
            await asyncio.to_thread(thread.join)
            broker.close()
            broker._disk.shutdown()  # its threads hold what they had open
            worker_end.close()

    return reached


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """How many descriptors this process has open."""

    def count() -> int:
        gc.collect()  # what tests before this one left is none of its business
        found = 0
        for each in Path("/dev/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # another thread closed it just now
                link = each.readlink() if each.is_symlink() else each
                found += "seccomp" not in str(link)  # the sandbox hears refusals on those
        return found

    return count


@pytest.fixture
def settled(open_descriptors: Callable[[], int]) -> Callable[[int], Any]:
    """Waits until no more are open than before: threads and transports let go of what they had a moment after."""

    async def settled(before: int) -> None:
        async with asyncio.timeout(20):
            while await asyncio.to_thread(open_descriptors) > before:
                pass

    return settled


@pytest.fixture
def server() -> Any:
    """A server on loopback that echoes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

    def echo(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
