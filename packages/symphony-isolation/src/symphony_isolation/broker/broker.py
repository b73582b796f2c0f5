"""Answers what a worker asks of its host: each request for itself, checked first, in bounded memory and time.

What an extension may do is decided here and not in its process. `METHODS` is all that can be asked for.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from symphony_sdk.broker_messages import (
    Connect,
    Connected,
    DirectoryEntries,
    FileOpened,
    FileStatus,
    ListDirectory,
    MakeDirectory,
    OpenFile,
    RemoveFile,
    RenameFile,
    StatFile,
)
from symphony_sdk.errors import AccessFailed, MalformedMessage, TransportError
from symphony_sdk.messages import Done, GetArtifact, PutArtifact, message_type
from symphony_sdk.model_messages import (
    DescribeModel,
    ListModels,
    ModelDescription,
    ModelNames,
    ModelRan,
    RunModel,
)
from symphony_sdk.permissions import Access, PermissionSet, Scope
from symphony_sdk.ports import ArtifactStore

from symphony_isolation.broker.addresses import plain, resource
from symphony_isolation.broker.artifact_requests import ArtifactRequests
from symphony_isolation.broker.descriptors import DescriptorSocket
from symphony_isolation.broker.files import Check, FileAccess
from symphony_isolation.broker.models import ModelAccess, ModelProvider
from symphony_isolation.broker.network import NetworkAccess, SocketAddress
from symphony_isolation.broker.proxy import Proxy
from symphony_isolation.call import Call
from symphony_isolation.permissions.compiling import is_hidden, own_directories
from symphony_isolation.spec import WorkerSpec

FILES_AT_ONCE: Final = 4
"""Requests of one worker that wait for a disk at the same time; further ones wait for them."""

LOOKUPS_AT_ONCE: Final = 4
"""Names that are looked up for one worker at the same time."""

ResultT = TypeVar("ResultT")


class Method(NamedTuple):
    """One thing that a worker may ask for.

    Args:
        answer: Does it.
        needs: The accesses that it is; each is checked before. None where it needs no permission.
        because: Why it needs none.
    """

    answer: "Callable[[Broker, Any], Awaitable[msgspec.Struct]]"
    needs: Callable[[Any], tuple[Access, ...]] | None
    because: str = ""


class Broker:
    """What one worker may ask, and the descriptors that it gets.

    Args:
        spec: Its extension.
        artifacts: Gives the Artifact Store.
        declared: What the extension may be allowed while it runs; what it is started with, unless given.
        check: Says whether a single access is allowed, and may ask somebody for long: it is called in threads. Without
            it, what is declared is allowed.
        models: Has the models of all extensions; there are none without it.

    Attributes:
        artifacts: The Artifact Store as the worker reaches it.
        descriptors: The socket on which it gets descriptors.
        network: The network as it reaches it.
        models: The models as it reaches them.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        artifacts: Callable[[], ArtifactStore],
        *,
        declared: PermissionSet | None = None,
        check: Check | None = None,
        models: ModelProvider | None = None,
    ) -> None:
        permissions = declared or PermissionSet.parse(spec.permissions, roots=spec.roots)
        self.artifacts = ArtifactRequests(spec.id, spec.version, artifacts)
        self.descriptors = DescriptorSocket(spec.id)
        self._extension = spec.id
        self._check = check or partial(permissions.check, extension=spec.id)
        self._asks = check is not None
        hidden, own = [os.path.realpath(path) for path in spec.hidden], own_directories(spec)
        self._files = FileAccess(permissions, self._check, hidden=partial(is_hidden, hidden=hidden, own=own))
        self.network = NetworkAccess(spec.id, permissions, self._allow, self._resolve)
        self.models = ModelAccess(spec.id, permissions, self._allow, models)
        self._disk = ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="broker-files")
        self._names = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="broker-names")
        self._proxy: Proxy | None = None
        self._on_breach: Callable[[MalformedMessage], None] = _unheard
        self._call_of: Callable[[int], Call | None] = _no_call

    def attach(
        self, on_breach: Callable[[MalformedMessage], None], call_of: Callable[[int], Call | None]
    ) -> None:
        """The worker has shaken hands.

        Args:
            on_breach: Told what it does that no worker does; ends it.
            call_of: Gives its call of a number; None where it has none of it.
        """
        self._on_breach = on_breach
        self._call_of = call_of

    async def open_proxy(self) -> None:
        """Serve the proxy of a worker in a network of its own, whose sandbox has sent the listener before HELLO.

        Raises:
            MalformedMessage: SYM-P037, it has sent something else.
        """
        listener = self.descriptors.take_listener()
        if listener is not None:
            self._proxy = Proxy(self._reach)
            await self._proxy.serve(listener)

    async def answer(self, message: msgspec.Struct) -> msgspec.Struct:
        """Answer a request of the worker.

        Args:
            message: What it asks.

        Raises:
            PermissionDenied: It may not.
            TransportError: SYM-E035, it asks for what no worker may.
            SymphonyError: It may, and it failed.
        """
        method = METHODS.get(type(message))
        if method is None:
            raise TransportError(
                f"{self._extension!r} asks the host with {message_type(message)!r}, which workers may not",
                code="SYM-E035",
            )
        if method.needs is not None:
            for access in method.needs(message):
                await self._allow(access)
        return await method.answer(self, message)

    def close(self) -> None:
        """The worker has ended: nothing is done for it any more."""
        self.descriptors.close()
        if self._proxy is not None:
            self._proxy.close()
        for pool in (self._disk, self._names):
            pool.shutdown(wait=False, cancel_futures=True)

    # -- methods --------------------------------------------------------------------------------------

    async def put_artifact(self, message: PutArtifact) -> msgspec.Struct:
        """Store an artifact, or a part of one."""
        return await self.artifacts.answer(message)

    async def get_artifact(self, message: GetArtifact) -> msgspec.Struct:
        """Read bytes of an artifact."""
        return await self.artifacts.answer(message)

    async def open_file(self, message: OpenFile) -> FileOpened:
        """Open a regular file."""
        opened = await self._on_disk(self._files.open, message.path, message.mode)
        return FileOpened(await self._send(opened.number))

    async def stat_file(self, message: StatFile) -> FileStatus:
        """Say what is at a path."""
        return await self._on_disk(self._files.status, message.path)

    async def list_directory(self, message: ListDirectory) -> DirectoryEntries:
        """Say what is in a directory."""
        return await self._on_disk(self._files.entries, message.path, message.after)

    async def make_directory(self, message: MakeDirectory) -> Done:
        """Make a directory."""
        await self._on_disk(self._files.make_directory, message.path)
        return Done()

    async def remove_file(self, message: RemoveFile) -> Done:
        """Remove a file or an empty directory."""
        await self._on_disk(self._files.remove, message.path)
        return Done()

    async def rename_file(self, message: RenameFile) -> Done:
        """Give a file another path."""
        await self._on_disk(self._files.rename, message.path, os.fsdecode(message.target))
        return Done()

    async def connect(self, message: Connect) -> Connected:
        """Connect to a server."""
        connection, address = await self.network.connect(message.host, message.port, message.timeout)
        try:
            if self._proxy is not None:
                connection = await self._proxy.tunnel(connection)
            return Connected(await self._send(connection.fileno()), address)
        finally:
            connection.close()

    async def describe_model(self, message: DescribeModel) -> ModelDescription:
        """Say what a model takes and gives."""
        return await self.models.describe(message)

    async def list_models(self, message: ListModels) -> ModelNames:
        """Say which models there are."""
        return await self.models.list(message)

    async def run_model(self, message: RunModel) -> ModelRan:
        """Run a model in the worker of its own extension."""
        return await self.models.run(message, self._call_of(message.call))

    # -- how ------------------------------------------------------------------------------------------

    async def _reach(self, host: str, port: int) -> socket.socket:
        for access in _connecting(Connect(host, port)):
            await self._allow(access)
        connection, _ = await self.network.connect(host, port)
        return connection

    async def _allow(self, access: Access) -> None:
        if self._asks:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._check, access)
        else:
            self._check(access)

    async def _on_disk(self, work: Callable[..., ResultT], path: bytes, *rest: Any) -> ResultT:
        """Do work on a path in a thread: a disk may take its time, one of the network for ever."""
        loop = asyncio.get_running_loop()
        text = os.fsdecode(path)
        try:
            return await loop.run_in_executor(self._disk, partial(work, text, *rest))
        except OSError as error:
            shown = text.encode(errors="backslashreplace").decode()
            raise AccessFailed(
                f"{shown!r} cannot be reached for {self._extension!r}: {error.strerror or error}",
                details={"errno": error.errno or errno.EIO, "path": shown},
            ) from None

    async def _resolve(self, host: str, port: int) -> list[SocketAddress]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._names, look_up)
        return [(int(family), address) for family, _, _, _, address in found if isinstance(address[0], str)]

    async def _send(self, descriptor: int) -> int:
        return await self.descriptors.send(descriptor, self._on_breach)


def _unheard(breach: MalformedMessage) -> None:
    """Before the worker has shaken hands, it can ask for nothing."""


def _no_call(number: int) -> None:
    """Before the worker has shaken hands, it has no call."""


def _model(scope: Scope) -> Callable[[Any], tuple[Access, ...]]:
    """The access of a message about a model."""
    return lambda message: (Access("model", scope, message.name),)


def _file(scope: Any, *fields: str) -> Callable[[Any], tuple[Access, ...]]:
    """The accesses of a message about files: one to each of its paths."""
    return lambda message: tuple(
        Access("file", scope, os.fsdecode(getattr(message, field))) for field in fields
    )


def _opening(message: OpenFile) -> tuple[Access, ...]:
    return _file("read" if message.mode == "read" else "write", "path")(message)


def _renaming(message: RenameFile) -> tuple[Access, ...]:
    # Who may not read a file must not move it to where it may.
    return (*_file("read", "path")(message), *_file("write", "path", "target")(message))


def _connecting(message: Connect) -> tuple[Access, ...]:
    try:
        there = resource(plain(message.host.strip("[]")), message.port)
    except ValueError:  # a name, or nothing that could be allowed
        there = f"{message.host}:{message.port}"
    return (Access("network", "read", there),)


METHODS: Final[Mapping[type[msgspec.Struct], Method]] = {
    PutArtifact: Method(
        Broker.put_artifact, None, "what it stores is its own, made for a call that it works on"
    ),
    GetArtifact: Method(
        Broker.get_artifact, None, "an id is the secret name of a content, known to those who were given it"
    ),
    OpenFile: Method(Broker.open_file, _opening),
    StatFile: Method(Broker.stat_file, _file("read", "path")),
    ListDirectory: Method(Broker.list_directory, _file("read", "path")),
    MakeDirectory: Method(Broker.make_directory, _file("write", "path")),
    RemoveFile: Method(Broker.remove_file, _file("write", "path")),
    RenameFile: Method(Broker.rename_file, _renaming),
    Connect: Method(Broker.connect, _connecting),
    DescribeModel: Method(Broker.describe_model, _model("read")),
    ListModels: Method(
        Broker.list_models, None, "each name is checked by itself, and left out where refused"
    ),
    RunModel: Method(Broker.run_model, _model("execute")),
}
"""All that a worker may ask its host for, by the type of the message: what does it, and what it needs."""
