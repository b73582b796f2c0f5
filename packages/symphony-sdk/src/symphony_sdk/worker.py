"""What runs inside an extension's process: it imports the extension and answers the host's requests.

The runtime knows nothing of sockets. Whoever starts the process gives it a channel to the host and hands
it each request; calls run on threads of their own, coroutines on one event loop, and the thread that reads
the channel is never kept waiting.
"""

import inspect
import itertools
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ExtensionError, SymphonyError, TransportError, foreign_error
from symphony_sdk.extension import Context, Files, Instrument, Log
from symphony_sdk.loading import Contributions, load_extension
from symphony_sdk.messages import (
    ArtifactData,
    ArtifactStored,
    CallOperation,
    Done,
    ExtensionLoaded,
    GetArtifact,
    LifecycleStep,
    LoadExtension,
    LogLine,
    OperationResult,
    Progress,
    PutArtifact,
)
from symphony_sdk.permissions import PermissionSet

if TYPE_CHECKING:
    import asyncio

MessageT = TypeVar("MessageT", bound=msgspec.Struct)

PART = 8 << 20
"""Bytes of an artifact that travel in one message."""


class IncomingCall(Protocol):
    """A request of the host, and the way to answer it; each is answered once."""

    @property
    def id(self) -> int:
        """Number of the request on its channel."""

    def decode(self) -> msgspec.Struct:
        """The request's message.

        Raises:
            MalformedMessage: It is of no registered type, or not what its type says.
        """

    def respond(self, message: msgspec.Struct) -> None:
        """Answer it."""

    def fail(self, error: SymphonyError) -> None:
        """Answer it with an error."""

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the host something while it waits for the answer."""


class Channel(Protocol):
    """The worker's connection to the host; every method may be called from any thread."""

    def request(
        self, message: msgspec.Struct, response: type[MessageT], timeout: float | None = None
    ) -> MessageT:
        """Ask the host, and wait for its answer.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.

        Raises:
            SymphonyError: What the host raised.
            PeerGone: The host is gone.
        """

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the host something that belongs to no request."""


class HostArtifacts:
    """The Artifact Store behind the channel, as one call sees it.

    Args:
        channel: The connection to the host.
        uploads: Numbers the artifacts of the process.
        run: Id of the run; empty outside of one.
        node: Id of the node; empty outside of a run.
    """

    def __init__(self, channel: Channel, uploads: Iterator[int], run: str = "", node: str = "") -> None:
        self._channel = channel
        self._uploads = uploads
        self._run = run
        self._node = node

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        """Store bytes; see [Artifacts.put][symphony_sdk.extension.context.Artifacts.put]."""
        upload = next(self._uploads)
        view = memoryview(data)
        for start in range(0, max(len(view), 1), PART):
            stored = self._channel.request(
                PutArtifact(
                    data=bytes(view[start : start + PART]),
                    upload=upload,
                    last=start + PART >= len(view),
                    name=name,
                    media_type=media_type,
                    metadata=dict(metadata or {}),
                    run=self._run,
                    node=self._node,
                ),
                ArtifactStored,
            )
        if stored.ref is None:
            raise TransportError("the host stored an artifact and did not say which")
        return stored.ref

    def get(self, ref: ArtifactRef | str) -> bytes:
        """All bytes of an artifact; see [Artifacts.get][symphony_sdk.extension.context.Artifacts.get]."""
        id = ref if isinstance(ref, str) else ref.id
        data = bytearray()
        while True:
            part = self._channel.request(GetArtifact(id, offset=len(data), length=PART), ArtifactData)
            data += part.data
            if len(data) >= part.size:
                return bytes(data)
            if not part.data:
                raise TransportError(f"the host sent {len(data)} of the {part.size} bytes of artifact {id}")


class WorkerRuntime:
    """Answers the host's requests with the extension's code.

    Args:
        channel: The connection to the host.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._uploads = itertools.count(1)
        self._log = Log(lambda level, text: channel.notify(LogLine(level, text)))
        self._threads = _Threads()
        self._coroutines = _Coroutines()
        self._running: dict[int, tuple[threading.Event, Callable[[], object]]] = {}
        self._loaded_instruments: dict[str, Instrument] = {}
        self._instrument_locks: dict[str, threading.Lock] = {}
        self._extension: LoadExtension | None = None
        self._files = Files(PermissionSet())
        self._contributions = Contributions()

    def request(self, call: IncomingCall) -> None:
        """Take a request; it is answered from another thread.

        Args:
            call: The request.
        """
        self._threads.submit(lambda: self._answer(call))

    def cancel(self, id: int) -> None:
        """Ask a call to end; does nothing where it has ended.

        Args:
            id: Number of the request on its channel.
        """
        event, stop = self._running.get(id, (None, None))
        if event is not None and stop is not None:
            event.set()
            stop()

    def closed(self, reason: SymphonyError | None) -> None:
        """The channel ended: ask every call to end and unload the instruments.

        Args:
            reason: Why it ended; None where this side closed it.
        """
        for id in list(self._running):
            self.cancel(id)
        self._unload_instruments()

    def _answer(self, call: IncomingCall) -> None:
        try:
            message = call.decode()
            match message:
                case CallOperation():
                    answer: msgspec.Struct = self._call(call, message)
                case LoadExtension():
                    answer = self._load(message)
                case LifecycleStep():
                    answer = self._lifecycle(message)
                case _:
                    raise TransportError(
                        f"a worker cannot answer {type(message).__name__}",
                        hint="The host and the worker are of different versions: install one version of both.",
                    )
        except SymphonyError as error:
            call.fail(error)
        except BaseException as error:  # noqa: BLE001 - foreign code raised it, SystemExit included
            call.fail(foreign_error(error, self._owner))
        else:
            call.respond(answer)

    @property
    def _owner(self) -> str:
        return self._extension.extension if self._extension else "the extension"

    def _load(self, message: LoadExtension) -> ExtensionLoaded:
        self._extension = message
        self._files = Files(PermissionSet.parse(message.permissions, roots=message.roots))
        self._contributions = load_extension(message.extension, message.module)
        self._instrument_locks = {id: threading.Lock() for id in self._contributions.operations}
        return ExtensionLoaded(
            operations=tuple(operation.spec for operation in self._contributions.operations.values()),
            addons=tuple(addon.spec for addon in self._contributions.addons),
            hooks=self._contributions.hooks,
        )

    def _lifecycle(self, message: LifecycleStep) -> Done:
        if message.step == "unload":
            self._unload_instruments()
        for hook in self._contributions.lifecycle.get(message.step, ()):
            hook(self._context(CallOperation(""), threading.Event(), lambda fraction, text: None))
        return Done()

    def _call(self, call: IncomingCall, message: CallOperation) -> OperationResult:
        operation = self._contributions.operations.get(message.operation)
        if operation is None:
            raise ExtensionError(
                f"{self._owner!r} has no operation {message.operation!r}",
                code="SYM-E013",
                hint=f"It has {', '.join(sorted(self._contributions.operations)) or 'none'}.",
            )
        cancelled = threading.Event()
        self._running[call.id] = (cancelled, _nothing)
        try:
            arguments = operation.signature.decode(message.inputs)
            context = self._context(
                message, cancelled, lambda fraction, text: call.notify(Progress(fraction, text))
            )
            if isinstance(operation, Instrument):
                self._load_instrument(message.operation, operation, context)
                function: Callable[..., Any] = operation.infer
            else:
                function = operation.function
            context.check_cancelled()
            started = time.perf_counter()
            result = function(context, **arguments)
            if inspect.iscoroutine(result):
                result = self._await(call.id, cancelled, result)
            seconds = time.perf_counter() - started
            context.check_cancelled()
            return OperationResult(operation.signature.encode(result), seconds)
        finally:
            del self._running[call.id]

    def _await(self, id: int, cancelled: threading.Event, coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = self._coroutines.start(coroutine)
        self._running[id] = (cancelled, task.cancel)
        if cancelled.is_set():
            task.cancel()
        return task.result()

    def _context(
        self, message: CallOperation, cancelled: threading.Event, progress: Callable[[float, str], None]
    ) -> Context:
        return Context(
            config=self._extension.config if self._extension else {},
            files=self._files,
            artifacts=HostArtifacts(self._channel, self._uploads, message.run, message.node),
            log=self._log,
            progress=progress,
            cancelled=cancelled,
            run=message.run,
            node=message.node,
            attempt=message.attempt,
            item=message.item,
        )

    def _load_instrument(self, id: str, instrument: Instrument, context: Context) -> None:
        if id in self._loaded_instruments:
            return
        with self._instrument_locks[id]:
            if id not in self._loaded_instruments:
                instrument.load(context)
                self._loaded_instruments[id] = instrument

    def _unload_instruments(self) -> None:
        while self._loaded_instruments:
            id, instrument = self._loaded_instruments.popitem()
            try:
                instrument.unload()
            except Exception as error:  # noqa: BLE001 - foreign code; the others are unloaded all the same
                self._log.error(f"{id} did not unload: {error!r}")


def _nothing() -> None:
    """How a call that has not awaited anything yet is stopped: by its event alone."""


class _Threads:
    """Threads that are started when all others are busy, and kept.

    `concurrent.futures` would do, and costs every worker the import of `logging`.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def submit(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._work.get()()
            self._idle.release()


class _Coroutines:
    """One event loop on a thread of its own, started with the first coroutine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        import asyncio  # costs a worker 40 ms that only extensions with coroutines need

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
