"""One machine of a cluster, in a process of its engine: runs extensions in isolated workers, as the host does."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec
import symphony_sdk
from symphony_sdk.errors import ErrorPayload, RunError, foreign_error
from symphony_sdk.ports import ArtifactStore, ExecutorPort, NodeCall, NodeEvent

from symphony_isolation.cluster.deployment import Deployed, check_installed, decode_deployment, moved
from symphony_isolation.cluster.engine import Capacity
from symphony_isolation.cluster.held_values import LARGE, digest_of, name_of_made
from symphony_isolation.cluster.messages import (
    Answer,
    Ask,
    Calls,
    Cancel,
    Events,
    Ready,
    Refused,
    RemoteCall,
    RemoteEvent,
    Said,
    Setup,
    encode,
    greeting,
    setup_of,
    to_machine,
)
from symphony_isolation.cluster.remote_artifacts import RemoteArtifacts
from symphony_isolation.contributions_cache import ContributionsCache
from symphony_isolation.executor import LocalExecutor
from symphony_isolation.extensions import IsolatedExtensions
from symphony_isolation.spec import WorkerSpec

FLUSH_INTERVAL: Final = 0.002
"""Seconds for which events are gathered while more calls run: a message costs far more than an event in it."""

LARGEST_MESSAGE: Final = 4 << 20
"""Bytes of outputs after which events are sent, however few they are."""


class Machine:
    """Runs calls that the host sends, and tells what happens to them.

    It lives on an event loop of its own, in a thread of its own: the engine's process goes on with its other work. When
    that process is killed, the workers die with it.

    Args:
        name: Its name, for people.
        setup: What `Cluster.start` was given.
        send: Sends bytes to the host, whole and in their order; called on the machine's thread, must not block for long.
        directory: The machine's own: for what its extensions keep and what can be made again.
        capacity: What it has for calls.
    """

    def __init__(
        self,
        name: str,
        setup: bytes,
        send: Callable[[bytes], object],
        *,
        directory: Path,
        capacity: Capacity,
    ) -> None:
        self._name = name
        self._greeting = setup
        self._send = send
        self._directory = directory
        self._capacity = capacity
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._artifacts = RemoteArtifacts(self._ask)
        self._executor: ExecutorPort | None = None
        self._values: dict[bytes, bytes] = {}
        self._events: list[RemoteEvent] = []
        self._size = 0
        self._running: dict[int, tuple[int, NodeCall]] = {}
        self._flushed = 0.0
        self._flushing: asyncio.TimerHandle | None = None
        self._early: list[bytes] = []
        self._thread = threading.Thread(target=self._main, name=f"symphony-{name}", daemon=True)

    def start(self) -> None:
        """Begin; the host is told when calls can come, or why none can."""
        self._thread.start()

    def receive(self, data: bytes) -> None:
        """Take what the host sent; from any thread, at once, in the order of the calls.

        Args:
            data: What the host gave to `Cluster.send`.
        """
        self._on_loop(self._received, data)

    def stop(self, timeout: float | None = None) -> bool:
        """End every worker; whether that is done. To be called from another thread than the machine's own.

        Args:
            timeout: Seconds to wait for it; None for no bound.
        """
        self._artifacts.close()
        self._on_loop(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _on_loop(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # it has stopped
            return

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        try:
            extensions, ready = await self._prepared()
        except Exception as error:  # noqa: BLE001 - whatever it is, the host is told, or it would wait
            self._tell(Refused(foreign_error(error, self._name).payload()))
            await self._stopping.wait()
            return
        executor = self._executor = LocalExecutor(extensions, cores=max(1, int(self._capacity.cores)))
        await executor.start()
        self._tell(msgspec.structs.replace(ready, slots=executor.slots))
        for data in self._early:
            self._received(data)
        self._early.clear()
        await self._stopping.wait()
        await executor.stop()
        await extensions.stop()

    async def _prepared(self) -> tuple[IsolatedExtensions, Ready]:
        """The extensions of the host that are installed here too, and what the host is to know of this machine.

        Raises:
            RunError: SYM-R122, this is another Symphony.
            MalformedMessage: What the host sent cannot be read.
        """
        hello = greeting(self._greeting)
        if hello.version != symphony_sdk.__version__:
            raise RunError(
                f"the machine {self._name!r} has Symphony {symphony_sdk.__version__}; the host has {hello.version}",
                code="SYM-R122",
                hint=f"Install the same version on both, such as `pip install symphony-isolation=={hello.version}`.",
                details={"machine": self._name, "here": symphony_sdk.__version__, "host": hello.version},
            )
        setup = setup_of(hello.setup)
        usable, unusable = await asyncio.to_thread(self._checked, decode_deployment(setup.deployment))
        cache_dir = self._directory / "cache" / "contributions"
        specs = [self._remembered(extension, setup, cache_dir) for extension in usable]
        extensions = IsolatedExtensions(
            specs,
            cache_dir=cache_dir,
            artifacts=lambda: cast("ArtifactStore", self._artifacts),  # workers use no more of it than it has
            on_log=lambda extension, level, text: self._tell(Said(extension, level, text)),
        )
        return extensions, Ready(self._capacity, 1, unusable)

    def _checked(self, deployed: list[Deployed]) -> tuple[list[Deployed], dict[str, ErrorPayload]]:
        usable: list[Deployed] = []
        unusable: dict[str, ErrorPayload] = {}
        for extension in deployed:
            try:
                check_installed(extension, self._name)
                usable.append(extension)
            except RunError as error:
                unusable[extension.spec.id] = error.payload()
        return usable, unusable

    def _remembered(self, extension: Deployed, setup: Setup, cache_dir: Path) -> WorkerSpec:
        """The extension with the paths of this machine; what it contributes need not be asked of a worker again."""
        spec = moved(extension.spec, self._directory, setup.project)
        if extension.loaded is not None:
            ContributionsCache(cache_dir).put(spec, extension.loaded)
        return spec

    # -- what the host says ------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        if self._executor is None:
            self._early.append(data)
            return
        message = to_machine(data)
        match message:
            case Calls():
                self._take(message, self._executor)
            case Cancel():
                self._executor.cancel(message.run, message.node, item=message.item, force=message.force)
            case Answer():
                self._artifacts.answered(message)

    def _take(self, message: Calls, executor: ExecutorPort) -> None:
        for name in message.forget:
            self._values.pop(name, None)
        self._values.update(message.values)
        batch = [self._node_call(call) for call in message.calls]
        self._running.update(
            {id(made): (call.number, made) for call, made in zip(message.calls, batch, strict=True)}
        )
        executor.submit(batch, self._happened)

    def _node_call(self, call: RemoteCall) -> NodeCall:
        inputs = call.inputs
        if call.large:
            inputs = inputs | {port: self._values[name] for port, name in call.large.items()}
        return NodeCall(
            call.run,
            call.node,
            call.operation,
            inputs,
            call.attempt,
            call.item,
            call.timeout,
            call.resources,
            call.idle_timeout,
        )

    # -- what the host is told ---------------------------------------------------------------------

    def _happened(self, event: NodeEvent) -> None:
        known = self._running.get(id(event.call))
        if known is None:  # progress that was told after the end
            return
        number = known[0]
        digests: dict[str, bytes] = {}
        final = event.kind not in ("started", "progressed")
        if final:
            del self._running[id(event.call)]
            for port, value in event.outputs.items():
                self._size += len(value)
                if len(value) > LARGE:
                    digests[port] = digest = digest_of(value)
                    self._values[name_of_made(digest, number)] = value
        self._events.append(
            RemoteEvent(
                number,
                event.kind,
                event.fraction,
                event.text,
                event.outputs,
                digests,
                event.seconds,
                event.error,
                event.retryable,
                event.memory,
            )
        )
        now = self._loop.time()
        if self._size > LARGEST_MESSAGE:
            self._flush()
        elif not final:  # the end of a short call is told with its beginning
            self._flush_by(now + FLUSH_INTERVAL)
        else:
            self._flush_by(self._flushed + FLUSH_INTERVAL if self._running else now)

    def _flush_by(self, moment: float) -> None:
        if self._flushing is not None:
            if self._flushing.when() <= moment:
                return
            self._flushing.cancel()
        self._flushing = self._loop.call_at(moment, self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._events:
            events, self._events, self._size = self._events, [], 0
            self._flushed = self._loop.time()
            self._tell(Events(events))

    def _ask(self, ask: Ask) -> None:
        self._on_loop(self._tell, ask)

    def _tell(self, message: Ready | Refused | Events | Ask | Said) -> None:
        self._send(encode(message))
