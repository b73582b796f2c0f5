"""Keeps the workers of one extension: starts them, again after a crash, and no more after many."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from symphony_sdk.errors import (
    DeadlineExceeded,
    ExtensionError,
    PeerGone,
    SymphonyError,
    error_from_payload,
)
from symphony_sdk.extension.context import LogLevel
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.ports import ArtifactStore, ExitCause, ExtensionInfo, ExtensionState, WorkerExit

from symphony_isolation.broker import Broker
from symphony_isolation.broker.models import ModelProvider
from symphony_isolation.ending import see_through
from symphony_isolation.fate import Fate
from symphony_isolation.launcher import Launcher
from symphony_isolation.permissions.authority import Authority
from symphony_isolation.quarantine import Quarantine
from symphony_isolation.restarts import RESTART_WINDOW, RESTARTS, Restarts
from symphony_isolation.spec import WorkerSpec, fingerprint
from symphony_isolation.worker import STEP_TIMEOUT, Worker
from symphony_isolation.worker_log import LogSink, WorkerLog

CONTAINERS: Final = 50_000
"""Objects and lists that the schemas of an extension may have in all: the host keeps them."""

FIRST: Final = 1
"""Number of the worker that every extension has; the others come and go."""


class Supervisor:
    """One generation of an extension: its workers with the code that it has now, whether any runs just now or not.

    Args:
        spec: The extension.
        quarantine: Remembers that it crashes too often; None for nowhere but here.
        one_try: Whether the first crash is one too many: it was quarantined with the very same code.
        artifacts: Gives the Artifact Store.
        sink: Takes what the workers say.
        on_loaded: Told what the extension contributes each time that it is loaded.
        on_change: Told when a worker has started, could not be started, or has ended.
        on_answers: Told when a worker has ended calls; how many seconds one of each operation ran.
        launcher: Starts the processes.
        authority: Says what the extension may do; it may do what it declares where there is none.
        models: Has the models of all extensions; none can be used without it.

    Attributes:
        spec: The extension.
        contributions: What it contributes; None until that is known.
        workers: Those that run, by number; one that is about to end is no longer usable.
        restarts: How often a worker was started again after a crash.
        start_seconds: How long the latest start took, until the worker was ready.
        exits: How workers crashed lately, the latest last.
        quarantine: Where it is remembered that it crashes too often.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        artifacts: Callable[[], ArtifactStore],
        sink: LogSink,
        on_loaded: Callable[[WorkerSpec, ExtensionLoaded], None],
        on_change: Callable[[], None],
        on_answers: Callable[[Mapping[str, float]], None],
        launcher: Launcher,
        quarantine: Quarantine | None = None,
        one_try: bool = False,
        authority: Authority | None = None,
        models: ModelProvider | None = None,
    ) -> None:
        self.spec = spec
        self.contributions: ExtensionLoaded | None = None
        self.workers: dict[int, Worker] = {}
        self.restarts = 0
        self.start_seconds = 0.0
        self.exits: deque[WorkerExit] = deque(maxlen=RESTARTS + 1)
        self.quarantine = quarantine
        self.fingerprint = fingerprint(spec.fingerprint, spec.version, spec.config)
        self._artifacts = artifacts
        self._sink = sink
        self._on_loaded = on_loaded
        self._on_change = on_change
        self._on_answers = on_answers
        self._launcher = launcher
        self._authority = authority
        self._models = models
        self._state: ExtensionState = "resolved"
        self._reason = ""
        self._failure: SymphonyError | None = None
        self._crashes = Restarts(one_try=one_try)
        self._to_replace = 0
        self._closed = False
        self._starting: dict[int, asyncio.Task[Worker]] = {}
        self._remembered = quarantine.reason(spec.id, self.fingerprint) if quarantine is not None else ""
        if self._remembered:
            self._state, self._reason = "quarantined", self._remembered

    @property
    def info(self) -> ExtensionInfo:
        """What is known of the extension."""
        known = self.contributions or ExtensionLoaded()
        return ExtensionInfo(
            id=self.spec.id,
            version=self.spec.version,
            kind=self.spec.kind,
            state=self._state,
            operations=known.operations,
            addons=known.addons,
            reason=self._reason,
            error=self._failure.payload() if self._failure else None,
            fingerprint=self.fingerprint,
            permissions=self.spec.permissions,
            cause=self.exits[-1].cause if self.exits and self._state in ("failed", "quarantined") else "",
        )

    @property
    def starting(self) -> Collection[int]:
        """Numbers of the workers that are being started."""
        return self._starting.keys()

    async def introspect(self) -> None:
        """Learn what the extension contributes, in a worker that is stopped again.

        Raises:
            ExtensionError: It cannot be loaded.
        """
        if not self.workers and not self._starting:
            worker = await self._start(FIRST, activate=False)
            await worker.stop()
            if not self.workers and not self._starting:
                self._state = "resolved"
        else:
            await self.ready()

    async def activate(self) -> None:
        """Start a worker where none runs; an extension that failed to load is tried again.

        Raises:
            ExtensionError: It does not start, or is quarantined.
        """
        self._failure = None
        await self.ready()

    async def ready(self) -> None:
        """Wait until the first worker runs, which is started where it does not.

        Raises:
            ExtensionError: It does not start, or is quarantined.
        """
        while (worker := self.workers.get(FIRST)) is not None:
            if worker.usable:
                return
            await asyncio.shield(worker.ended)
        starting = self.start(FIRST)
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise ExtensionError(
                    f"{self.spec.id!r} was stopped while it started", code="SYM-E036"
                ) from None
            raise

    async def begin(self, numbers: Iterable[int]) -> None:
        """Start workers together.

        Args:
            numbers: Which ones; none of these runs.

        Raises:
            ExtensionError: One does not start; the others may run.
        """
        await asyncio.gather(*(self.start(number) for number in numbers))

    async def check_health(self) -> None:
        """Ask each worker how it is.

        Raises:
            ExtensionError: SYM-E049, one is not well, or does not say.
        """
        for worker in list(self.workers.values()):
            problem = await self.problem(worker)
            if problem:
                raise ExtensionError(
                    f"{self.spec.id!r} is not well: {problem}",
                    code="SYM-E049",
                    hint="Its `symphony_health` says so.",
                    details={"extension": self.spec.id},
                )

    async def problem(self, worker: Worker) -> str:
        """What the extension says is wrong with it, where it has the hook for that; empty where nothing is.

        Args:
            worker: Which of its workers is asked.
        """
        if not self.implements("symphony_health"):
            return ""
        try:
            return await worker.health()
        except SymphonyError as error:
            return str(error.message)

    def implements(self, hook: str) -> bool:
        """Whether the extension has a hook.

        Args:
            hook: Its name.
        """
        return self.contributions is not None and hook in self.contributions.hooks

    def start(self, number: int) -> asyncio.Task[Worker]:
        """Start a worker, unless it is being started.

        Args:
            number: Which one; none of this number runs.
        """
        starting = self._starting.get(number)
        if starting is None:
            starting = asyncio.get_running_loop().create_task(self._start(number, activate=True))
            self._starting[number] = starting
            starting.add_done_callback(lambda task: self._started(number, task))
        return starting

    async def stop(self) -> None:
        """Run the hooks `deactivate` and `unload` in each worker and end it; nothing where none runs."""
        await see_through(self._stop())

    async def rest(self) -> None:
        """Stop, until it is needed."""
        await self.stop()
        self._state = "resolved"

    def close(self) -> None:
        """Start none any more, whoever waits for one."""
        self._closed = True

    async def _stop(self) -> None:
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        if starting:
            await asyncio.wait(starting)
        workers = list(self.workers.values())
        self.workers.clear()
        if workers:
            await asyncio.gather(*(self.retire(worker) for worker in workers))
            self._state = "unloaded"

    async def retire(self, worker: Worker) -> None:
        """Run the hooks `deactivate` and `unload` in a worker, below no call that still ends, and end it.

        Args:
            worker: A worker; it is none of `workers` any more from now on.
        """
        self.workers.pop(worker.number, None)
        try:
            await worker.settle()
            for step in ("deactivate", "unload"):
                try:
                    await worker.step(step, STEP_TIMEOUT)
                except SymphonyError as error:
                    self._sink(self.spec.id, "error", f"{step} failed: {error}")
                    if isinstance(error, PeerGone | DeadlineExceeded):
                        break
        finally:
            await worker.stop()

    def _started(self, number: int, task: asyncio.Task[Worker]) -> None:
        del self._starting[number]
        if not task.cancelled() and task.exception() is None:
            worker = self.workers[number] = task.result()
            self._state, self._reason = "active", ""
            worker.ended.add_done_callback(lambda ended: self._ended(worker, ended))
        self._on_change()

    async def _start(self, number: int, *, activate: bool) -> Worker:
        if self._closed:
            raise ExtensionError(
                f"{self.spec.id!r} is not started any more: Symphony is ending", code="SYM-E036"
            )
        if self._state == "quarantined":
            self._check_quarantine()
        if self._failure is not None:
            raise error_from_payload(self._failure.payload())
        spec = await self._permitted(activate=activate)
        if self._to_replace:
            self._to_replace -= 1
            self.restarts += 1
        if delay := self._crashes.delay():
            await asyncio.sleep(delay)
        began = time.monotonic()
        log = WorkerLog(self.spec.id, self._sink)
        broker = self._broker(spec, activate=activate)
        limit = self.spec.limits.load_timeout
        worker: Worker | None = None
        ready = False
        on_denied = partial(self._denied, asyncio.get_running_loop())
        try:
            async with asyncio.timeout(limit):
                worker = await Worker.start(
                    spec, number, broker, log, self._on_answers, self._launcher, on_denied
                )
                await self._load(worker, activate=activate)
            ready = True
        except PeerGone as error:
            cause = error.details.get("cause", "exit")
            self._crashed(error.message, _exit(cause, error.message, self.spec.id, number), loading=True)
            raise self._not_started(error.message, "SYM-E030") from error
        except TimeoutError as error:
            text = f"the worker of {self.spec.id!r} was not ready within {limit:g} s"
            if worker is not None:
                worker.kill("load-timeout", "was too slow to load")
                text = f"{text}; {(await asyncio.shield(worker.ended)).last_words}".removesuffix("; ")
            self._crashed(text, _exit("load-timeout", text, self.spec.id, number), loading=True)
            raise self._not_started(text, "SYM-E031") from error
        except SymphonyError as error:
            if self.workers:  # others serve: this one is all that is missing
                self._sink(self.spec.id, "warning", f"worker {number} did not start: {error}")
            else:
                self._failure = error
                self._state, self._reason = "failed", str(error)
            raise
        except asyncio.CancelledError:
            if worker is not None:
                worker.kill("host", "was stopped by the host while it started")
            raise
        finally:
            if worker is None:
                broker.close()
            elif not ready:
                await worker.stop()
        self.start_seconds = time.monotonic() - began
        return worker

    async def _permitted(self, *, activate: bool) -> WorkerSpec:
        """The extension with what it may do; one that is only asked what it contributes may do nothing."""
        if self._authority is None:
            return self.spec
        try:
            uses = await asyncio.to_thread(self._authority.inspect, self.spec)
        except SymphonyError as error:
            self._failure = error
            self._state, self._reason = "failed", str(error)
            raise
        for use in uses:
            self._sink(self.spec.id, "debug", f"{use.file}:{use.line}: {use.what} is perhaps not declared")
        return self._authority.admit(self.spec) if activate else replace(self.spec, permissions=())

    def _denied(self, loop: asyncio.AbstractEventLoop, extension: str, syscall: str, count: int) -> None:
        """Record that a worker was refused system calls; called in a thread."""
        level: LogLevel = "warning"
        text = f"it was refused the system call {syscall}{f', {count} times' if count > 1 else ''}"
        try:
            if self._authority is not None:
                self._authority.on_denied(extension, syscall, count)
        except SymphonyError as error:
            level, text = "error", f"{text}, which cannot be recorded: {error}"
        with suppress(RuntimeError):  # the loop was closed: nobody listens any more
            loop.call_soon_threadsafe(self._sink, extension, level, text)

    def _broker(self, spec: WorkerSpec, *, activate: bool) -> Broker:
        if self._authority is None or not activate:
            return Broker(spec, self._artifacts, models=self._models)
        reach, check = self._authority.reach(spec.id), self._authority.gate(spec.id).require
        return Broker(spec, self._artifacts, declared=reach, check=check, models=self._models)

    async def _load(self, worker: Worker, *, activate: bool) -> None:
        loaded = await worker.load()
        _check_contributions(self.spec.id, loaded)
        self.contributions = loaded
        self._state = "active" if self.workers else "loaded"
        self._on_loaded(self.spec, self.contributions)
        if activate:
            for step in ("load", "activate"):
                if self.implements(f"symphony_{step}"):
                    await worker.step(step)

    def _ended(self, worker: Worker, ended: asyncio.Task[Fate]) -> None:
        if ended.cancelled():  # the event loop ends, and nobody has stopped the extensions first
            return
        fate = ended.result()
        if self.workers.get(worker.number) is worker:  # nobody meant it to end in order
            del self.workers[worker.number]
            if worker.blameless:
                self._sink(self.spec.id, "warning", f"the worker {worker.place} {fate.text}")
            else:
                self._crashed(f"the worker of {self.spec.id!r} {fate.text}", fate.exit(worker.place))
        worker.end_calls(fate)
        self._on_change()

    def _crashed(self, text: str, exit: WorkerExit, *, loading: bool = False) -> None:
        self._crashes.crashed(loading=loading)
        self.exits.append(exit)
        self._to_replace += 1
        if not self.workers:  # with others that run, only the log says so
            self._state, self._reason = "failed", text
        if self._crashes.exhausted():
            self._quarantine(f"{self._how_often()}; at last {text}")
        self._sink(self.spec.id, "error", self._reason or text)

    def _how_often(self) -> str:
        times = sum(time.time() - exit.at < RESTART_WINDOW for exit in self.exits)
        return "crashed again" if times == 1 else f"crashed {times} times within {RESTART_WINDOW:g} s"

    def _quarantine(self, reason: str) -> None:
        self._state, self._reason = "quarantined", reason
        for worker in self.workers.values():
            worker.kill("host", "was stopped: its extension is quarantined", wanted=True)
        if self.quarantine is not None:
            try:
                self.quarantine.put(self.spec.id, self.fingerprint, reason)
            except OSError as error:
                self._sink(self.spec.id, "warning", f"its quarantine cannot be remembered: {error}")
            else:
                self._remembered = reason

    def _check_quarantine(self) -> None:
        """Raise, unless somebody has lifted the quarantine meanwhile; then there is one try."""
        lifted = self._remembered and self.quarantine and not self.quarantine.reason(self.spec.id)
        if not lifted:
            raise ExtensionError(
                f"{self.spec.id!r} is quarantined: it {self._reason}",
                code="SYM-E032",
                hint=f"Mend or update the extension; `symphony reload {self.spec.id}` gives it one more try.",
                details={"extension": self.spec.id},
            )
        self._remembered = ""
        self._crashes = Restarts(one_try=True)
        self._state, self._reason = "resolved", ""

    def _not_started(self, text: str, code: str) -> ExtensionError:
        return ExtensionError(
            text,
            code=code,
            hint="Its last words and its log say more; `symphony disable` the extension to go on without it.",
            details={"extension": self.spec.id},
        )


def _exit(cause: ExitCause, text: str, extension: str, number: int) -> WorkerExit:
    return WorkerExit(cause, text, f"{extension}#{number}", time.time())


def _check_contributions(extension: str, loaded: ExtensionLoaded) -> None:
    """See that they are its own, which the worker checks too, and few: a worker can be made to say anything."""
    left: list[Any] = [
        [port.schema, port.default] for each in loaded.operations for port in (*each.inputs, *each.outputs)
    ]
    for found in left:
        values = found.values() if isinstance(found, dict) else found
        left += [value for value in values if isinstance(value, dict | list)]
        if len(left) > CONTAINERS:
            raise ExtensionError(
                f"the schemas of {extension!r} have more than {CONTAINERS:,} objects and lists",
                code="SYM-E053",
                hint="Annotate the ports with simpler types.",
                details={"extension": extension},
            )
    ids = [operation.id for operation in loaded.operations] + [addon.id for addon in loaded.addons]
    for id in ids:
        if not id.startswith(f"{extension}."):
            raise ExtensionError(
                f"the worker of {extension!r} contributes {id!r}, which is not its own",
                code="SYM-E011",
                hint=f"Begin the id with the extension's own: `{extension}.`",
                details={"extension": extension},
            )
