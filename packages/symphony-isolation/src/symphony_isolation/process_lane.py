"""The calls of one extension on its worker processes: which process takes which, and how many there are.

One process is there from the first call on. Another one is started when calls have waited, in all, for as long as
a process takes to start: so waiting costs at most twice of what it would have cost to know before (the ski rental
problem). Short calls start none, as one process has them done before another would be there.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.ports import ArtifactStore, ExtensionHealth, ExtensionInfo

from symphony_isolation.broker.models import ModelProvider
from symphony_isolation.call import Call
from symphony_isolation.generations import Generations
from symphony_isolation.launcher import Launcher
from symphony_isolation.permissions.authority import Authority
from symphony_isolation.quarantine import Quarantine
from symphony_isolation.spec import WorkerSpec
from symphony_isolation.supervisor import FIRST, Supervisor
from symphony_isolation.waiting_calls import WaitingCalls
from symphony_isolation.worker import Worker
from symphony_isolation.worker_log import LogSink

CALLS_PER_CORE: Final = 2
"""Calls of one level that one process has for each core, where they are not known to be short."""

SHORT: Final = 0.0005
"""Seconds; calls of an operation that takes less are handed out ahead."""

AHEAD: Final = 0.01
"""Seconds of short work that a process has at most: what a crash takes along is done again soon."""

AHEAD_CALLS: Final = 256
"""Calls of short operations that a process has at most."""

IDLE: Final = 10.0
"""Seconds without a call after which a process that is not the first is stopped."""

PING_TIMEOUT: Final = 1.0
"""Seconds that a worker has to answer when its health is asked for."""

_SAID_SHORT: Final = 0.00005  # seconds that a call is taken to need of which only its author's word is known

_HOOKS_OF_ONE: Final = frozenset(
    {
        "symphony_load",
        "symphony_activate",
        "symphony_deactivate",
        "symphony_unload",
        "symphony_save_state",
        "symphony_restore_state",
    }
)


class ProcessLane:
    """Runs the operations of one extension in its workers; adapter of `Lane`.

    Args:
        spec: The extension.
        artifacts: Gives the Artifact Store.
        sink: Takes what the workers say.
        on_loaded: Told what the extension contributes each time that it is loaded.
        launcher: Starts the processes.
        quarantine: Remembers extensions that crash too often; None for nowhere but here.
        cores: Processes that an operation may use unless the manifest says how many.
        authority: Says what the extension may do; it may do what it declares where there is none.
        models: Has the models of all extensions; none can be used without it.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        artifacts: Callable[[], ArtifactStore],
        sink: LogSink,
        on_loaded: Callable[[WorkerSpec, ExtensionLoaded], None],
        launcher: Launcher,
        quarantine: Quarantine | None = None,
        cores: int = 0,
        authority: Authority | None = None,
        models: ModelProvider | None = None,
    ) -> None:
        self._generations = Generations(
            spec,
            partial(
                Supervisor,
                artifacts=artifacts,
                sink=sink,
                on_change=self._wake,
                on_answers=self._answered,
                launcher=launcher,
                authority=authority,
                models=models,
            ),
            sink=sink,
            on_loaded=on_loaded,
            on_switch=self._switched,
            quarantine=quarantine,
        )
        self._cores = cores or usable_cores()
        self._waiting = WaitingCalls()
        self._waking = False
        self._typical: dict[str, float] = {}
        self._queued_since: float | None = None
        self._queued = 0.0
        self._growing: asyncio.TimerHandle | None = None
        self._outgrown = False
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def spec(self) -> WorkerSpec:
        """The extension as it runs now."""
        return self._supervisor.spec

    @property
    def _supervisor(self) -> Supervisor:
        return self._generations.present

    @property
    def info(self) -> ExtensionInfo:
        """What is known of the extension."""
        return self._supervisor.info

    @property
    def contributions(self) -> ExtensionLoaded | None:
        """What it contributes; None until that is known."""
        return self._supervisor.contributions

    @contributions.setter
    def contributions(self, known: ExtensionLoaded | None) -> None:
        self._supervisor.contributions = known

    async def introspect(self) -> None:
        """Learn what the extension contributes.

        Raises:
            ExtensionError: It cannot be loaded.
        """
        await self._supervisor.introspect()

    async def activate(self) -> None:
        """Start a worker where none runs.

        Raises:
            ExtensionError: It does not start, or is quarantined.
        """
        while True:
            supervisor = self._supervisor
            try:
                return await supervisor.activate()
            except ExtensionError:
                if supervisor is self._supervisor:  # else a reload has replaced it
                    raise

    async def reload(self, spec: WorkerSpec) -> None:
        """Replace the workers by new ones.

        Args:
            spec: The extension as it is now.

        Raises:
            ExtensionError: SYM-E047, the new ones do not start, are not well, or cannot take the state over. The old
                ones stay.
        """
        rests = not (self._supervisor.workers or self._supervisor.starting)
        await self._generations.reload(spec)
        if rests and not self._waiting and not self._generations.busy:
            await self._supervisor.rest()

    def close(self) -> None:
        """Start no worker any more, whoever waits for one."""
        self._generations.close()

    async def stop(self) -> None:
        """End the workers, and the calls that wait for one."""
        for call in self._waiting.clear():
            call.refuse(_stopped(self.spec.id))
        self._stop_growing()
        await self._generations.stop()
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def health(self) -> ExtensionHealth:
        """How the workers are."""
        workers = sorted(self._supervisor.workers.values(), key=lambda worker: worker.number)
        answered = await asyncio.gather(*(worker.ping(PING_TIMEOUT) for worker in workers))
        problem = ""
        if workers and isinstance(answered[0], float):  # whoever does not answer that would not answer this
            problem = await self._supervisor.problem(workers[0])
        silent = {
            worker.place: pulse
            for worker, pulse in zip(workers, answered, strict=True)
            if isinstance(pulse, str)
        }
        known = [seconds for seconds in answered if isinstance(seconds, float)]
        return ExtensionHealth(
            self.spec.id,
            alive=bool(workers),
            pid=workers[0].pid if workers else 0,
            restarts=self._supervisor.restarts,
            answered=max(known) if known and len(known) == len(answered) else None,
            calls=self._generations.busy,
            waiting=len(self._waiting),
            pids={worker.place: worker.pid for worker in workers},
            problem=problem,
            silent=silent,
            exits=tuple(self._supervisor.exits),
            generation=self._generations.number,
        )

    def chains(self, first: OperationSpec, then: OperationSpec) -> bool:
        """Whether both are plain functions of a worker that knows of chains, and run in the same processes.

        Args:
            first: The operation of the one call.
            then: The operation of the one after it.
        """
        return first.chains and then.chains and (self._most(first) == 1) is (self._most(then) == 1)

    def submit(self, calls: Iterable[Call]) -> None:
        """Run calls, each with the links after it in its chain, and those of one turn of the event loop together.

        Args:
            calls: Calls whose operation is known.
        """
        self._waiting.add(calls)
        self._wake()

    def cancel(self, chosen: Callable[[Call], bool], *, force: bool = False) -> None:
        """End calls.

        Args:
            chosen: Whether a call is meant.
            force: Kill the processes that work on them.
        """
        for call in [link for first in self._waiting for link in first.links() if chosen(link)]:
            call.cancel()
        self._waiting.drop_ended()
        for worker in self._generations.workers():
            if worker.calls.cancel(chosen) and force:
                worker.kill(
                    "host", "was killed: one of its calls was stopped by force", for_call=True, wanted=True
                )
        self._wake()

    # -- handing out ----------------------------------------------------------------------------------

    def _switched(self) -> None:
        self._outgrown = False
        for call in self._waiting:
            if call.then is not None:  # what was there may chain where what is there now may not
                call.then.give_back()
        for number, worker in self._supervisor.workers.items():
            if number != FIRST:
                self._retire_later(worker, IDLE)
        self._wake()

    def _wake(self) -> None:
        self._generations.stir()
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._fill)

    def _answered(self, took: Mapping[str, float]) -> None:
        for operation, seconds in took.items():
            known = self._typical.get(operation, seconds)
            self._typical[operation] = known + (seconds - known) / 8
        self._wake()

    def _fill(self) -> None:
        """Hand the calls that wait to the processes, as many as these should have."""
        self._waking = False
        if not self._waiting or self._generations.held:
            self._stop_growing()
            return
        workers = [worker for worker in self._supervisor.workers.values() if worker.usable]
        if FIRST not in self._supervisor.workers and FIRST not in self._supervisor.starting:
            self._start(FIRST)
        handed: dict[Worker, list[Call]] = {}
        for queue in self._waiting.queues:
            while queue and (worker := self._choose(queue[0], workers)) is not None:
                call = queue.popleft()
                worker.calls.take(call)
                handed.setdefault(worker, []).append(call)
        for worker, calls in handed.items():
            worker.calls.send(calls)
        if self._waiting and workers and self._may_grow(self._waiting.first().operation):
            self._grow_later()
        else:
            self._stop_growing()

    def _choose(self, call: Call, workers: list[Worker]) -> Worker | None:
        """The process for a call; None where it has to wait."""
        operation = call.operation
        if len(workers) > 1 and self._most(operation) == 1:
            workers = [worker for worker in workers if worker.number == FIRST]
        if not workers:
            return None
        worker = workers[0] if len(workers) == 1 else min(workers, key=lambda one: one.calls.busy)
        calls = worker.calls
        typical = self._typical.get(operation.id, _SAID_SHORT if operation.short else None)
        for link in call.links():
            link.cost = self._typical.get(link.operation.id, 0.0)
        if calls.busy_at(call.level) < CALLS_PER_CORE * self._cores:
            return worker
        short = typical is not None and typical < SHORT and operation.idempotent
        if short and calls.expected < AHEAD and calls.busy < AHEAD_CALLS:
            return worker
        return None

    def _most(self, operation: OperationSpec) -> int:
        """Processes that an operation may use."""
        if self.spec.workers:
            return self.spec.workers
        known = self.contributions
        alone = known is None or not _HOOKS_OF_ONE.isdisjoint(known.hooks)
        return 1 if alone or operation.kind == "instrument" or not operation.idempotent else self._cores

    # -- growing and shrinking ------------------------------------------------------------------------

    def _may_grow(self, operation: OperationSpec) -> bool:
        if self._outgrown:
            return False
        running = self._supervisor.workers.keys() | self._supervisor.starting
        return len(running) < self._most(operation) and self._typical.get(operation.id, SHORT) >= SHORT

    def _grow_later(self) -> None:
        if self._growing is None:
            loop = asyncio.get_running_loop()
            self._queued_since = loop.time()
            left = max(0.0, self._supervisor.start_seconds - self._queued)
            self._growing = loop.call_later(left, self._grow)

    def _stop_growing(self) -> None:
        if self._growing is not None and self._queued_since is not None:
            self._growing.cancel()
            self._growing = None
            self._queued += asyncio.get_running_loop().time() - self._queued_since

    def _grow(self) -> None:
        self._growing = None
        self._queued = 0.0
        if self._waiting and self._may_grow(self._waiting.first().operation):
            running = self._supervisor.workers.keys() | self._supervisor.starting
            self._start(next(number for number in range(FIRST, len(running) + 2) if number not in running))

    def _start(self, number: int) -> None:
        supervisor = self._supervisor
        task = supervisor.start(number)
        task.add_done_callback(lambda started: self._started(supervisor, number, started))

    def _started(self, supervisor: Supervisor, number: int, task: asyncio.Task[Worker]) -> None:
        if task.cancelled() or supervisor is not self._supervisor:
            return
        error = task.exception()
        if error is None:
            if number != FIRST:
                self._retire_later(task.result(), IDLE)
        elif number != FIRST:
            self._outgrown = True  # it may need something that there is once, and works with one process
        else:
            for call in self._waiting.clear():
                call.refuse(error if isinstance(error, SymphonyError) else _defect(self.spec.id, error))

    def _retire_later(self, worker: Worker, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._retire_idle, worker)

    def _retire_idle(self, worker: Worker) -> None:
        if self._supervisor.workers.get(worker.number) is not worker:
            return
        loop = asyncio.get_running_loop()
        idle = loop.time() - worker.calls.last
        if worker.calls.busy or idle < IDLE:
            self._retire_later(worker, max(IDLE - idle, IDLE / 10))
        else:
            task = loop.create_task(self._supervisor.retire(worker))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _stopped(extension: str) -> ExtensionError:
    return ExtensionError(
        f"{extension!r} was stopped while the call waited for it",
        code="SYM-E036",
        hint="Call it again: it is started with its next call.",
        details={"extension": extension},
    )


def _defect(extension: str, error: BaseException) -> SymphonyError:
    return SymphonyError(f"the start of {extension!r} failed with a {type(error).__name__}: {error}")
