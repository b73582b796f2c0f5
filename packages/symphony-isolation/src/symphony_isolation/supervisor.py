"""Keeps the worker of one extension: starts it when it is needed, again after a crash, and no more after many."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from symphony_sdk.errors import (
    DeadlineExceeded,
    ExtensionError,
    PeerGone,
    SymphonyError,
    error_from_payload,
)
from symphony_sdk.messages import CallOperation, ExtensionLoaded, OperationResult, Progress
from symphony_sdk.ports import ArtifactStore, ExtensionHealth, ExtensionInfo, ExtensionState, NodeCall

from symphony_isolation.artifact_requests import ArtifactRequests
from symphony_isolation.spec import WorkerSpec
from symphony_isolation.worker import STEP_TIMEOUT, Fate, Worker
from symphony_isolation.worker_log import LogSink, WorkerLog

RESTARTS: Final = 3
"""Restarts within `RESTART_WINDOW` after which an extension that crashes once more is quarantined."""

RESTART_WINDOW: Final = 60.0
"""Seconds."""

BACKOFF: Final = 0.1
"""Seconds before the second restart within the window; each one after it waits twice as long."""

PING_TIMEOUT: Final = 1.0
"""Seconds that a worker has to answer when its health is asked for."""


class Supervisor:
    """The worker of one extension, whether it runs just now or not.

    Args:
        spec: The extension.
        artifacts: Gives the Artifact Store.
        sink: Takes what the worker says.
        on_loaded: Told what the extension contributes each time that it is loaded.

    Attributes:
        spec: The extension.
        contributions: What it contributes; None until that is known.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        artifacts: Callable[[], ArtifactStore],
        sink: LogSink,
        on_loaded: Callable[[WorkerSpec, ExtensionLoaded], None],
    ) -> None:
        self.spec = spec
        self.contributions: ExtensionLoaded | None = None
        self._artifacts = artifacts
        self._sink = sink
        self._on_loaded = on_loaded
        self._state: ExtensionState = "resolved"
        self._reason = ""
        self._failure: SymphonyError | None = None
        self._crashes: deque[float] = deque(maxlen=RESTARTS + 1)
        self._restarts = 0
        self._worker: Worker | None = None
        self._starting: asyncio.Task[Worker] | None = None

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
        )

    async def introspect(self) -> None:
        """Learn what the extension contributes, in a worker that is stopped again.

        Raises:
            ExtensionError: It cannot be loaded.
        """
        if self._worker is None and self._starting is None:
            worker = await self._start(activate=False)
            stopping = asyncio.ensure_future(worker.stop())
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                await stopping  # a process is not left behind, whoever is in a hurry
                raise
            if self._worker is None and self._starting is None:
                self._state = "resolved"
        else:
            await self._active()

    async def activate(self) -> None:
        """Start the worker where none runs; one that failed to load is tried again.

        Raises:
            ExtensionError: It does not start, or is quarantined.
        """
        self._failure = None
        await self._active()

    async def call(self, call: NodeCall, on_progress: Callable[[Progress], None] | None) -> OperationResult:
        """Run an operation; see [ExtensionPort.call][symphony_sdk.ports.extension.ExtensionPort.call]."""
        worker = await self._active()
        message = CallOperation(
            operation=call.operation,
            inputs={name: msgspec.Raw(value) for name, value in call.inputs.items()},
            run=call.run,
            node=call.node,
            attempt=call.attempt,
            item=call.item,
        )
        return await worker.call(
            message, timeout=call.timeout, idempotency_key=call.idempotency_key, on_progress=on_progress
        )

    async def stop(self) -> None:
        """Run the hooks `deactivate` and `unload` and end the worker; nothing where none runs."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        worker, self._worker = self._worker, None
        if worker is None:
            return
        for step in ("deactivate", "unload"):
            try:
                await worker.step(step, STEP_TIMEOUT)
            except SymphonyError as error:
                self._sink(self.spec.id, "error", f"{step} failed: {error}")
                if isinstance(error, PeerGone | DeadlineExceeded):
                    break
        await worker.stop()
        self._state = "unloaded"

    async def health(self) -> ExtensionHealth:
        """How the worker is."""
        worker = self._worker
        if worker is None:
            return ExtensionHealth(self.spec.id, alive=False, restarts=self._restarts)
        return ExtensionHealth(
            self.spec.id,
            alive=True,
            pid=worker.pid,
            restarts=self._restarts,
            answered=await worker.ping(PING_TIMEOUT),
            calls=worker.calls,
        )

    async def _active(self) -> Worker:
        while self._worker is not None:
            if self._worker.usable:
                return self._worker
            await asyncio.shield(self._worker.ended)
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start(activate=True))
            self._starting.add_done_callback(self._started)
        starting = self._starting
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise ExtensionError(
                    f"{self.spec.id!r} was stopped while it started", code="SYM-E036"
                ) from None
            raise

    def _started(self, task: asyncio.Task[Worker]) -> None:
        self._starting = None
        if not task.cancelled() and task.exception() is None:
            self._worker = task.result()
            self._state, self._reason = "active", ""
            self._worker.ended.add_done_callback(self._worker_ended)

    async def _start(self, *, activate: bool) -> Worker:
        if self._state == "quarantined":
            raise self._quarantined()
        if self._failure is not None:
            raise error_from_payload(self._failure.payload())
        await self._back_off()
        log = WorkerLog(self.spec.id, self._sink)
        requests = ArtifactRequests(self.spec.id, self._artifacts)
        limit = self.spec.limits.load_timeout
        worker: Worker | None = None
        ready = False
        try:
            async with asyncio.timeout(limit):
                worker = await Worker.start(self.spec, requests, log)
                await self._load(worker, activate=activate)
            ready = True
        except PeerGone as error:
            self._crashed(error.message)
            raise self._not_started(error.message, "SYM-E030") from error
        except TimeoutError as error:
            text = f"the worker of {self.spec.id!r} was not ready within {limit:g} s"
            if worker is not None:
                worker.kill("was too slow to load")
                text = f"{text}; {(await worker.ended).last_words}".removesuffix("; ")
            self._crashed(text)
            raise self._not_started(text, "SYM-E031") from error
        except SymphonyError as error:
            self._failure = error
            self._state, self._reason = "failed", str(error)
            raise
        except asyncio.CancelledError:
            if worker is not None:
                worker.kill("was stopped by the host while it started")
            raise
        finally:
            if worker is not None and not ready:
                await worker.stop()
        return worker

    async def _load(self, worker: Worker, *, activate: bool) -> None:
        loaded = await worker.load()
        _check_namespace(self.spec.id, loaded)
        self.contributions = loaded
        self._state = "loaded"
        self._on_loaded(self.spec, self.contributions)
        if activate:
            await worker.step("load")
            await worker.step("activate")

    async def _back_off(self) -> None:
        recent = [moment for moment in self._crashes if time.monotonic() - moment < RESTART_WINDOW]
        if self._state == "failed":
            self._restarts += 1
        if len(recent) > 1:
            due = recent[-1] + BACKOFF * 2 ** (len(recent) - 2)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _worker_ended(self, ended: asyncio.Task[Fate]) -> None:
        if ended.cancelled():  # the event loop ends, and nobody has stopped the extensions first
            return
        if self._worker is not None and self._worker.ended is ended:
            self._worker = None
            self._crashed(f"the worker of {self.spec.id!r} {ended.result().text}")

    def _crashed(self, text: str) -> None:
        now = time.monotonic()
        self._crashes.append(now)
        self._state, self._reason = "failed", text
        if len(self._crashes) > RESTARTS and now - self._crashes[0] < RESTART_WINDOW:
            self._state = "quarantined"
            self._reason = f"crashed {len(self._crashes)} times within {RESTART_WINDOW:g} s; at last {text}"
        self._sink(self.spec.id, "error", self._reason)

    def _not_started(self, text: str, code: str) -> ExtensionError:
        return ExtensionError(
            text,
            code=code,
            hint="Its last words and its log say more; `symphony disable` the extension to go on without it.",
            details={"extension": self.spec.id},
        )

    def _quarantined(self) -> ExtensionError:
        return ExtensionError(
            f"{self.spec.id!r} is quarantined: it {self._reason}",
            code="SYM-E032",
            hint="Mend or update the extension and start Symphony again.",
            details={"extension": self.spec.id},
        )


def _check_namespace(extension: str, loaded: ExtensionLoaded) -> None:
    """The worker checks it too; but a worker can be made to say anything."""
    ids = [operation.id for operation in loaded.operations] + [addon.id for addon in loaded.addons]
    for id in ids:
        if not id.startswith(f"{extension}."):
            raise ExtensionError(
                f"the worker of {extension!r} contributes {id!r}, which is not its own",
                code="SYM-E011",
                hint=f"Begin the id with the extension's own: `{extension}.`",
                details={"extension": extension},
            )
