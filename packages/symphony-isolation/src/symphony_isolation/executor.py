"""The executor `local`: runs ready nodes in the extension workers of this machine."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from symphony_sdk.errors import Cancelled, DeadlineExceeded, PeerGone, SymphonyError
from symphony_sdk.messages import Progress
from symphony_sdk.ports import ExtensionPort, NodeCall, NodeEvent, Resources

from symphony_isolation.spec import extension_of

OnEvent = Callable[[NodeEvent], None]

_CALLS_PER_CORE = 4


class _Job(msgspec.Struct, eq=False):
    """A call that was submitted, until its final event.

    Args:
        call: The call.
        on_event: Takes what happens to it.
        task: Runs it; None while it waits.
    """

    call: NodeCall
    on_event: OnEvent
    task: asyncio.Task[NodeEvent] | None = None


class LocalExecutor:
    """Runs calls in the workers of this machine; adapter of `ExecutorPort`.

    More calls than cores are under way at once, so that a worker finds the next one when it ends one. One
    extension has at most half of the slots, so that another finds a free one.

    Args:
        extensions: Where the calls go.
        cores: Cores to keep busy.
    """

    name = "local"

    def __init__(self, extensions: ExtensionPort, cores: int = os.cpu_count() or 1) -> None:
        self.slots = cores * _CALLS_PER_CORE
        self._extensions = extensions
        self._cores = cores
        self._queues: dict[str, deque[_Job]] = {}
        self._running: dict[str, set[_Job]] = {}
        self._busy = 0

    async def start(self) -> None:
        """Nothing is to be prepared: workers start with their first call."""

    def can_place(self, resources: Resources) -> bool:
        """Whether this machine has as many cores, as much memory and as many devices at all.

        Args:
            resources: What a call needs.
        """
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
        return resources.cpu <= self._cores and resources.memory <= memory and resources.gpu <= devices

    def submit(self, batch: Sequence[NodeCall], on_event: OnEvent) -> None:
        """Run calls.

        Args:
            batch: Calls that are ready now.
            on_event: Takes what happens to them, on the event loop.
        """
        for call in batch:
            self._queues.setdefault(extension_of(call.operation), deque()).append(_Job(call, on_event))
        self._fill()

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None:
        """Stop calls; each still gets its final event, `failed` with SYM-R003.

        A worker that does not end a cancelled call is killed after a grace, with or without `force`.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            force: Changes nothing here.
        """
        self._cancel(lambda call: call.run == run and node in ("", call.node))

    async def stop(self) -> None:
        """Cancel what runs."""
        self._cancel(lambda call: True)
        tasks = [job.task for jobs in self._running.values() for job in jobs if job.task]
        if tasks:
            await asyncio.wait(tasks)

    def _cancel(self, chosen: Callable[[NodeCall], bool]) -> None:
        loop = asyncio.get_running_loop()
        for extension, queue in self._queues.items():
            for job in [job for job in queue if chosen(job.call)]:
                loop.call_soon(job.on_event, _failed(job.call, _cancelled(job.call), retryable=False))
            self._queues[extension] = deque(job for job in queue if not chosen(job.call))
        for jobs in self._running.values():
            for job in jobs:
                if chosen(job.call) and job.task is not None:
                    job.task.cancel()

    def _fill(self) -> None:
        """Give free slots to waiting calls, to the extensions in turn."""
        loop = asyncio.get_running_loop()
        while self._busy < self.slots:
            waiting = [extension for extension, queue in self._queues.items() if queue]
            if not waiting:
                self._queues.clear()
                return
            extension = min(waiting, key=lambda name: len(self._running.get(name, ())))
            running = self._running.setdefault(extension, set())
            if len(running) >= max(1, self.slots // 2):
                return
            job = self._queues[extension].popleft()
            running.add(job)
            self._busy += 1
            job.task = loop.create_task(self._run(job))
            job.task.add_done_callback(partial(self._done, job))

    def _done(self, job: _Job, task: asyncio.Task[NodeEvent]) -> None:
        extension = extension_of(job.call.operation)
        self._running[extension].remove(job)
        if not self._running[extension]:
            del self._running[extension]
        self._busy -= 1
        self._fill()
        if task.cancelled():  # perhaps before it ran its first line
            job.on_event(_failed(job.call, _cancelled(job.call), retryable=False))
        elif (error := task.exception()) is not None:
            job.on_event(_failed(job.call, _internal(job.call, error), retryable=False))
        else:
            job.on_event(task.result())

    async def _run(self, job: _Job) -> NodeEvent:
        call = job.call
        job.on_event(NodeEvent(call, "started"))
        try:
            result = await self._extensions.call(call, lambda progress: _progressed(job, progress))
        except SymphonyError as error:
            return _failed(call, error, retryable=await self._retryable(call, error))
        outputs = {name: bytes(value) for name, value in result.outputs.items()}
        return NodeEvent(call, "completed", outputs=outputs, seconds=result.seconds)

    async def _retryable(self, call: NodeCall, error: SymphonyError) -> bool:
        """Whether the worker died, was too late, or the extension's own code failed, and nothing is done twice.

        Anything else, such as inputs that do not fit or a permission that is missing, fails the same way again.
        """
        own = error.code == "SYM-E014" or not error.code.startswith("SYM-")
        if not (own or isinstance(error, PeerGone | DeadlineExceeded)):
            return False
        try:
            operation = (await self._extensions.operations()).get(call.operation)
        except SymphonyError:
            return False
        return operation is not None and operation.idempotent


def _progressed(job: _Job, progress: Progress) -> None:
    job.on_event(NodeEvent(job.call, "progressed", fraction=progress.fraction, text=progress.text))


def _cancelled(call: NodeCall) -> Cancelled:
    return Cancelled(f"the call of {call.operation!r} for node {call.node!r} was cancelled")


def _internal(call: NodeCall, error: BaseException) -> SymphonyError:
    return SymphonyError(f"the call of {call.operation!r} failed with a {type(error).__name__}: {error}")


def _failed(call: NodeCall, error: SymphonyError, *, retryable: bool) -> NodeEvent:
    return NodeEvent(call, "failed", error=error.payload(), retryable=retryable)
