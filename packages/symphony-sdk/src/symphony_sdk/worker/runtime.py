"""Answers the host's requests with the extension's code.

Calls run on threads of their own, coroutines on one event loop, and the thread that reads the channel is never
kept waiting.
"""

import itertools
from collections.abc import Callable
from functools import partial

import msgspec

from symphony_sdk.errors import ExtensionError, SymphonyError, TransportError, foreign_error
from symphony_sdk.extension import Context, Files, Log, Network, OwnNetwork
from symphony_sdk.loading import Contributions, load_extension
from symphony_sdk.messages import (
    STATE_LIMIT,
    CallOperation,
    CallOperations,
    CancelCalls,
    CheckHealth,
    Done,
    ExtensionLoaded,
    HealthReport,
    LifecycleStep,
    LoadExtension,
    LogLine,
    Progress,
    RestoreState,
    SavedState,
    SaveState,
)
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.worker.answers import Answers, Batch
from symphony_sdk.worker.calls import Answer, OperationCalls, RunningCall
from symphony_sdk.worker.channel import Channel, IncomingCall
from symphony_sdk.worker.coroutines import CoroutineThread
from symphony_sdk.worker.descriptors import Descriptors
from symphony_sdk.worker.host_access import EVERYTHING, HostFiles, HostNetwork
from symphony_sdk.worker.host_artifacts import HostArtifacts
from symphony_sdk.worker.host_models import HostModels, Turns
from symphony_sdk.worker.peak_memory import PeakMemory
from symphony_sdk.worker.runner import Runner


class WorkerRuntime:
    """Answers requests; made before the extension is known.

    Args:
        channel: The connection to the host.
        descriptors: Where the host sends descriptors; None where it opens nothing for this process.
        read: What this process can read by itself: the roots of trees, or single files.
        write: What it can write by itself.
        hidden: Trees within these of which it sees nothing.
    """

    def __init__(
        self,
        channel: Channel,
        descriptors: Descriptors | None = None,
        *,
        read: tuple[str, ...] = EVERYTHING,
        write: tuple[str, ...] = EVERYTHING,
        hidden: tuple[str, ...] = (),
    ) -> None:
        self._channel = channel
        self._host_files = (
            None if descriptors is None else HostFiles(channel, descriptors, read, write, hidden)
        )
        self._host_network = None if descriptors is None else HostNetwork(channel, descriptors)
        self._uploads = itertools.count(1)
        self._turns = Turns()
        self._log = Log(lambda level, text: channel.notify(LogLine(level, text)))
        self._answers = Answers()
        self._runner = Runner(self._answers.flush)
        self._coroutines = CoroutineThread(self._answers.flush)
        self._memory = PeakMemory()
        self._running: dict[int, RunningCall] = {}
        self._batches: dict[int, tuple[int, ...]] = {}
        self._extension: LoadExtension | None = None
        self._reach(PermissionSet())
        self._contributions = Contributions()
        self._operations = self._callable()

    def request(self, call: IncomingCall) -> None:
        """Take a request; it is answered from another thread.

        Args:
            call: The request.
        """
        try:
            message = call.decode()
        except SymphonyError as error:
            call.fail(error)
            return
        if isinstance(message, CallOperations):
            self._runner.submit(self._begun(call, message))
        else:
            self._runner.submit((partial(self._answer, call, message),))

    def notified(self, message: msgspec.Struct) -> None:
        """Take what the host tells: calls that are to end.

        Args:
            message: What it tells.
        """
        if isinstance(message, CancelCalls):
            for number in message.calls:
                self._cancel(number)

    def cancel(self, id: int) -> None:
        """Ask the calls of a request to end; does nothing where they have ended.

        Args:
            id: Number of the request on its channel.
        """
        for number in self._batches.get(id, ()):
            self._cancel(number)

    def closed(self, reason: SymphonyError | None) -> None:
        """The channel ended: ask every call to end and unload the instruments.

        Args:
            reason: Why it ended; None where this side closed it.
        """
        for number in list(self._running):
            self._cancel(number)
        self._unload_instruments()

    def _cancel(self, number: int) -> None:
        call = self._running.get(number)
        if call is not None:
            call.cancel()
            self._runner.submit(())  # what was given back leaves soon, whatever the calls before it do

    def _begun(self, request: IncomingCall, message: CallOperations) -> list[Callable[[], None]]:
        """The calls of a message as work to be done; from now on they can be cancelled."""
        batch = Batch(request, len(message.calls))
        self._batches[request.id] = tuple(message.calls)
        work: list[Callable[[], None]] = []
        before: RunningCall | None = None
        for number, one in message.calls.items():
            call = RunningCall(
                one, partial(self._progressed, number), partial(self._ended, batch, number), number
            )
            self._running[number] = call
            if one.takes is None or before is None:
                work.append(partial(self._run, call))
            else:
                before.then = call
            before = call
        return work

    def _run(self, call: RunningCall) -> None:
        self._operations.run(call)

    def _progressed(self, number: int, fraction: float, text: str) -> None:
        self._channel.notify(Progress(fraction, text, number))

    def _ended(self, batch: Batch, number: int, answer: Answer) -> None:
        del self._running[number]
        if self._answers.add(batch, number, answer):
            del self._batches[batch.call.id]

    def _answer(self, call: IncomingCall, message: msgspec.Struct) -> None:
        try:
            match message:
                case LoadExtension():
                    answer: msgspec.Struct = self._load(message)
                case LifecycleStep():
                    answer = self._lifecycle(message)
                case CheckHealth():
                    answer = self._health()
                case SaveState():
                    answer = self._saved_state()
                case RestoreState():
                    given = {"version": message.version, "data": message.data}
                    self._contributions.restore_state(ctx=self._hook_context(), **given)
                    answer = Done()
                case _:
                    raise TransportError(
                        f"a worker cannot answer {type(message).__name__}",
                        hint="The host and the worker are of different versions: install one version of both.",
                    )
        except BaseException as error:  # noqa: BLE001 - foreign code raised it, SystemExit included
            call.fail(foreign_error(error, self._owner))
        else:
            call.respond(answer)

    @property
    def _owner(self) -> str:
        return self._extension.extension if self._extension else "the extension"

    def _load(self, message: LoadExtension) -> ExtensionLoaded:
        self._extension = message
        self._reach(PermissionSet.parse(message.permissions, roots=message.roots))
        self._contributions = load_extension(message.extension, message.module)
        self._operations = self._callable()
        return ExtensionLoaded(
            operations=tuple(operation.spec for operation in self._contributions.operations.values()),
            addons=tuple(addon.spec for addon in self._contributions.addons),
            hooks=self._contributions.hooks,
        )

    def _reach(self, permissions: PermissionSet) -> None:
        self._files = Files(permissions, self._host_files)
        self._network: Network = self._host_network or OwnNetwork(permissions)

    def _callable(self) -> OperationCalls:
        return OperationCalls(self._owner, self._contributions, self._context, self._coroutines, self._memory)

    def _lifecycle(self, message: LifecycleStep) -> Done:
        if message.step == "unload":
            self._unload_instruments()
        for hook in self._contributions.lifecycle.get(message.step, ()):
            hook(self._hook_context())
        return Done()

    def _health(self) -> HealthReport:
        said = self._contributions.health(ctx=self._hook_context())
        return HealthReport("; ".join(str(problem) for problem in said if problem))

    def _saved_state(self) -> SavedState:
        (data,) = self._contributions.save_state(ctx=self._hook_context()) or (None,)
        if not isinstance(data, bytes):
            raise _no_state(self._owner, f"returned {type(data).__name__}", "Return bytes.")
        if len(data) > STATE_LIMIT:
            raise _no_state(
                self._owner,
                f"returned {len(data):,} bytes; {STATE_LIMIT:,} are allowed",
                "Hand over less, or keep it in a file of `ctx.files`.",
            )
        return SavedState(data)

    def _hook_context(self) -> Context:
        return self._context(RunningCall(CallOperation(""), _unheard, _unheard))

    def _context(self, call: RunningCall) -> Context:
        message = call.message
        return Context(
            config=self._extension.config if self._extension else {},
            files=self._files,
            network=self._network,
            artifacts=HostArtifacts(self._channel, self._uploads, message.run, message.node),
            models=HostModels(self._channel, self._turns, call),
            log=self._log,
            progress=call.on_progress,
            cancelled=call.cancelled,
            run=message.run,
            node=message.node,
            attempt=message.attempt,
            item=message.item,
        )

    def _unload_instruments(self) -> None:
        self._operations.unload(lambda id, error: self._log.error(f"{id} did not unload: {error!r}"))


def _no_state(owner: str, what: str, hint: str) -> ExtensionError:
    return ExtensionError(f"symphony_save_state of {owner!r} {what}", code="SYM-E050", hint=hint)


def _unheard(*told: object) -> None:
    """Where nobody listens: a hook has no call whose progress could be followed."""
