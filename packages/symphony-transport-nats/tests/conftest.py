"""A real NATS server for the tests, and a node of the bus that records what it gets."""

import asyncio
import contextlib
import os
import random
import shutil
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
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_error
from symphony_sdk.errors import SymphonyError
from symphony_transport_nats import NatsSettings, NatsUplink, connect


class ServerProcess:
    """A `nats-server` on loopback that can be killed and started again on its port, with what it kept."""

    def __init__(self, folder: Path, options: str = "") -> None:
        self.port = free_port()
        self.log = folder / "log"
        self.config = folder / "nats.conf"
        self.config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nlog_file: "{self.log}"\n'
            f'jetstream {{ store_dir: "{folder}/kept" }}\n{options}\n'
        )
        self.process: subprocess.Popen[bytes]
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def settings(self) -> NatsSettings:
        return NatsSettings(url=self.url)

    def start(self) -> None:
        self.log.unlink(missing_ok=True)
        self.process = subprocess.Popen([binary(), "-c", str(self.config)], stderr=subprocess.DEVNULL)
        for _ in range(2000):
            if self.log.exists() and b"Server is ready" in self.log.read_bytes():
                return
            try:
                self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            break
        pytest.fail(f"nats-server did not start: {self.log.read_text() if self.log.exists() else ''}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port that nobody uses, and that no connection gets as its own while the server is started again."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)  # below those that are given to connections
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def binary() -> str:
    found = shutil.which("nats-server")
    if found is None:
        reason = "nats-server is not installed: `apt-get install nats-server`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def nats() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers of the test's own."""
    started: list[ServerProcess] = []
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as folder:

        def start(options: str = "") -> ServerProcess:
            place = Path(folder, str(len(started)))
            place.mkdir()
            started.append(ServerProcess(place, options))
            return started[-1]

        yield start
        for server in started:
            server.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server that the tests of a module share; nobody stops it."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as folder:
        started = ServerProcess(Path(folder))
        yield started
        started.kill()


@pytest.fixture(scope="module")
def another_server() -> Iterator[ServerProcess]:
    """One more, which has not yet seen the keys that the tests deliver with."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as folder:
        started = ServerProcess(Path(folder))
        yield started
        started.kill()


class Call:
    """A request that the recording node works on."""

    def __init__(self, envelope: Envelope, answered: Callable[[Envelope], None]) -> None:
        self.envelope = envelope
        self.answered = answered
        self.cancelled = asyncio.Event()
        self.credits: list[int] = []

    def cancel(self) -> None:
        self.cancelled.set()

    def credit(self, items: int) -> None:
        self.credits.append(items)

    def respond(self, data: bytes = b"", kind: Kind = Kind.RESPONSE) -> None:
        self.answered(Envelope(kind, type="t/1", payload=memoryview(data)))


class Node:
    """A node of the bus that keeps whatever its uplink gives it; `Receiver`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[Envelope] = []
        self.kept: list[tuple[str, Envelope, Callable[[], None]]] = []
        self.calls: list[Call] = []
        self.losses: list[tuple[str, str, int]] = []
        self.ends: list[SymphonyError | None] = []

    def published(
        self, envelope: Envelope, durable: str = "", taken: Callable[[], None] | None = None
    ) -> None:
        if taken is None:
            self.messages.append(envelope)
        else:
            self.kept.append((durable, envelope, taken))

    def asked(self, envelope: Envelope, answered: Callable[[Envelope], None]) -> Call:
        self.calls.append(Call(envelope, answered))
        return self.calls[-1]

    def lost(self, pattern: str, group: str, count: int) -> None:
        self.losses.append((pattern, group, count))

    def ended(self, reason: SymphonyError | None) -> None:
        self.ends.append(reason)

    @property
    def texts(self) -> list[str]:
        return [bytes(envelope.payload).decode(errors="replace") for envelope in self.messages]


class Answers:
    """What a request is answered with."""

    def __init__(self) -> None:
        self.all: list[Envelope] = []

    def __call__(self, envelope: Envelope) -> None:
        self.all.append(envelope)

    @property
    def ended(self) -> bool:
        return any(envelope.kind is not Kind.ITEM for envelope in self.all)

    @property
    def error(self) -> SymphonyError:
        assert self.all[-1].kind is Kind.ERROR
        return decode_error(self.all[-1].payload)

    @property
    def texts(self) -> list[str]:
        return [bytes(envelope.payload).decode(errors="replace") for envelope in self.all]


Joined = Callable[..., AbstractAsyncContextManager[tuple[NatsUplink, Node]]]


@pytest.fixture
def joined() -> Joined:
    """Connects a recording node."""

    @asynccontextmanager
    async def join(
        settings: NatsSettings | ServerProcess, name: str = "node", **changes: Any
    ) -> AsyncIterator[tuple[NatsUplink, Node]]:
        if isinstance(settings, ServerProcess):
            settings = settings.settings
        uplink = await connect(msgspec.structs.replace(settings, **changes), name)
        node = Node(name)
        uplink.start(node)
        try:
            yield uplink, node
        finally:
            await uplink.close()

    return join


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nodes on a busy machine say in time which endpoints they have."""
    monkeypatch.setattr("symphony_transport_nats.finding.ANSWERS_WITHIN", 1.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nodes look after each other oftener than once a second."""
    monkeypatch.setattr("symphony_transport_nats.uplink.BEAT", 0.25)


@pytest.fixture
def message() -> Callable[..., Envelope]:
    """Makes a PUBLISH."""

    def make(topic: str, text: str = "", key: str = "") -> Envelope:
        return Envelope(
            Kind.PUBLISH, type="t/1", to=topic, idempotency_key=key, payload=memoryview(text.encode())
        )

    return make


@pytest.fixture
def ask() -> Callable[..., tuple[Answers, Any]]:
    """Sends a REQUEST, and gives what it is answered with and what stands for it."""

    def send(
        uplink: NatsUplink, to: str, text: str = "", deadline: float | None = None, credit: int = 0
    ) -> tuple[Answers, Any]:
        answers = Answers()
        payload = memoryview(text.encode())
        envelope = Envelope(
            Kind.REQUEST, type="t/1", to=to, deadline=deadline, credit=credit, payload=payload
        )
        return answers, uplink.request(envelope, answers)

    return send


class NodeProcess:
    """A node in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 30)).decode().strip()

    async def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@pytest.fixture
def process() -> Callable[..., AbstractAsyncContextManager[NodeProcess]]:
    """Starts a process with a node; it is ready when it is given out."""

    @asynccontextmanager
    async def start(server: ServerProcess, *arguments: str) -> AsyncIterator[NodeProcess]:
        script = str(Path(__file__).with_name("node_process.py"))
        node = NodeProcess(
            await asyncio.create_subprocess_exec(
                sys.executable, script, server.url, *arguments, stdout=subprocess.PIPE
            )
        )
        try:
            assert await node.line() == "ready"
            yield node
        finally:
            await node.kill()

    return start


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Waits until something is true, with a deadline."""

    async def wait(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - conditions of foreign objects have no event
                await asyncio.sleep(0.001)

    return wait
