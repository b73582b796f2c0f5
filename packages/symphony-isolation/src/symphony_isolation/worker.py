"""A running worker as the host sees it: its process, its connection, its calls, and how it came to its end."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from symphony_ipc import Connection, Endpoint, from_socket
from symphony_sdk.errors import (
    Cancelled,
    DeadlineExceeded,
    ExtensionError,
    MalformedMessage,
    PeerGone,
    SymphonyError,
)
from symphony_sdk.messages import (
    CallOperation,
    Done,
    ExtensionLoaded,
    LifecycleStep,
    LoadExtension,
    LogLine,
    OperationResult,
    Progress,
)

from symphony_isolation.artifact_requests import ArtifactRequests
from symphony_isolation.process import WorkerProcess
from symphony_isolation.spec import WorkerSpec
from symphony_isolation.worker_log import WorkerLog

ResponseT = TypeVar("ResponseT", bound=msgspec.Struct)

CANCEL_GRACE: Final = 2.0
"""Seconds that a cancelled call has to answer before its worker is killed."""

STEP_TIMEOUT: Final = 5.0
"""Seconds that the hooks `deactivate` and `unload` may take each."""

EXIT_GRACE: Final = 1.0
"""Seconds that a worker without a connection has to exit by itself, and then again after SIGTERM."""


PROGRESS_INTERVAL: Final = 0.05
"""Seconds between two reports of the progress of one call; what comes faster than anyone can see is dropped."""


class Fate(msgspec.Struct, frozen=True):
    """How a worker came to its end.

    Args:
        text: In words, such as `was killed by SIGSEGV`.
        exit_code: What it exited with; None where a signal ended it.
        signal: Name of the signal that ended it; empty where it exited.
        last_words: The last lines that it printed on stderr.
    """

    text: str
    exit_code: int | None
    signal: str
    last_words: str

    def error(self, extension: str) -> PeerGone:
        """This end as the error of a call that was under way.

        Args:
            extension: Id of the extension.
        """
        words = f"; its last words:\n{self.last_words}" if self.last_words else ""
        return PeerGone(
            f"the worker of {extension!r} {self.text}{words}",
            hint="It is started again with the next call.",
            details={"extension": extension, "exit_code": self.exit_code, "signal": self.signal},
        )


class Worker:
    """One worker process that has shaken hands.

    Args:
        spec: Its extension.
        process: Its process.
        connection: The connection to it.
        requests: What it may ask.
        log: What it says.

    Attributes:
        ended: Gives its fate once it has ended.
        calls: How many calls it works on.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        process: WorkerProcess,
        connection: Connection,
        requests: ArtifactRequests,
        log: WorkerLog,
    ) -> None:
        self.calls = 0
        self._spec = spec
        self._process = process
        self._connection = connection
        self._requests = requests
        self._log = log
        self._verdict = ""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_task(self._watch())

    @classmethod
    async def start(cls, spec: WorkerSpec, requests: ArtifactRequests, log: WorkerLog) -> "Worker":
        """Start a process and shake hands with it.

        Args:
            spec: The extension.
            requests: What it may ask.
            log: Takes what it says.

        Raises:
            ExtensionError: The process cannot be started.
            PeerGone: It came to its end instead of shaking hands.
        """

        def heard(message: msgspec.Struct) -> None:
            if isinstance(message, LogLine) and message.level in ("debug", "info", "warning", "error"):
                log.write(message.level, message.text)  # type: ignore[arg-type]

        process, sock = await WorkerProcess.spawn(spec, log)
        endpoint = Endpoint("host", process.token, timeout=spec.limits.load_timeout)
        try:
            connection = await from_socket(
                sock, endpoint, accepts=True, handler=requests.answer, on_notify=heard
            )
        except BaseException as error:
            reason = error if isinstance(error, SymphonyError) else None
            fate = await _end(process, log, reason)
            if reason is None:
                raise
            raise fate.error(spec.id) from error
        return cls(spec, process, connection, requests, log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked; once it cannot, `ended` is near."""
        return self._connection.is_open

    async def load(self) -> ExtensionLoaded:
        """Have it import its extension.

        Raises:
            SymphonyError: The extension cannot be loaded.
            PeerGone: The worker came to its end.
        """
        spec = self._spec
        message = LoadExtension(
            extension=spec.id,
            version=spec.version,
            module=spec.module,
            config=spec.config,
            permissions=spec.permissions,
            roots=spec.roots,
        )
        return await self._request(message, ExtensionLoaded)

    async def step(self, step: str, timeout: float | None = None) -> None:
        """Run one of the lifecycle hooks.

        Args:
            step: `load`, `activate`, `deactivate` or `unload`.
            timeout: Seconds; None for no bound.

        Raises:
            SymphonyError: The hook raised.
            PeerGone: The worker came to its end.
        """
        await self._request(LifecycleStep(step), Done, timeout=timeout)

    async def call(
        self,
        message: CallOperation,
        *,
        timeout: float | None,
        idempotency_key: str,
        on_progress: Callable[[Progress], None] | None,
    ) -> OperationResult:
        """Run an operation.

        Args:
            message: The call.
            timeout: Seconds; None for no bound.
            idempotency_key: Names the attempt.
            on_progress: Takes what the operation says of its progress, the first of what comes too fast.

        Raises:
            SymphonyError: The operation failed.
            DeadlineExceeded: `timeout` passed.
            PeerGone: The worker came to its end.
        """

        told = -PROGRESS_INTERVAL

        def notified(message: msgspec.Struct) -> None:
            nonlocal told
            now = self._loop.time()
            if on_progress and isinstance(message, Progress) and now - told >= PROGRESS_INTERVAL:
                told = now
                on_progress(message)

        self.calls += 1
        self._requests.begin(message.run, message.node)
        try:
            return await self._request(
                message, OperationResult, timeout=timeout, idempotency_key=idempotency_key, on_notify=notified
            )
        except Cancelled as error:
            raise ExtensionError(
                f"{self._spec.id!r} gave {message.operation!r} up, and nobody had asked it to",
                code="SYM-E014",
                hint="An operation must not raise Cancelled, or cancel its own task, by itself.",
                traceback=error.traceback,
            ) from error
        finally:
            self.calls -= 1
            self._requests.end(message.run, message.node)

    async def ping(self, timeout: float) -> float | None:
        """Seconds until it answered; None where it did not.

        Args:
            timeout: Seconds to wait.
        """
        try:
            return await self._connection.ping(timeout)
        except SymphonyError:
            return None

    async def stop(self) -> None:
        """End it in order, or by force where it does not follow; leaves no process behind."""
        self._verdict = self._verdict or "was stopped by the host"
        if self.usable:
            await self._connection.close()
        await self.ended

    def kill(self, verdict: str) -> None:
        """End it at once.

        Args:
            verdict: Why, as it is told to those who wait for it.
        """
        self._verdict = self._verdict or verdict
        self._process.signal(signal.SIGKILL)

    async def _request(
        self,
        message: msgspec.Struct,
        response: type[ResponseT],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: Callable[[msgspec.Struct], None] | None = None,
    ) -> ResponseT:
        try:
            return await self._connection.request(
                message, response, timeout=timeout, idempotency_key=idempotency_key, on_notify=on_notify
            )
        except asyncio.CancelledError:
            self._expect_answer()
            raise
        except SymphonyError as error:
            if not self.usable:
                fate = await asyncio.shield(self.ended)
                raise fate.error(self._spec.id) from error
            if isinstance(error, DeadlineExceeded):
                self._expect_answer()
            error.details["extension"] = self._spec.id
            raise

    def _expect_answer(self) -> None:
        self._loop.call_later(CANCEL_GRACE, self._kill_if_stuck)

    def _kill_if_stuck(self) -> None:
        since = self._connection.abandoned_since
        if since is not None and self._loop.time() - since >= CANCEL_GRACE:
            self.kill(f"was killed: it did not end a call within {CANCEL_GRACE:g} s of being told to")

    async def _watch(self) -> Fate:
        exited = self._loop.create_task(self._process.wait())
        closed = self._loop.create_task(self._connection.wait_closed())
        await asyncio.wait((exited, closed), return_when=asyncio.FIRST_COMPLETED)
        if (
            not closed.done()
        ):  # what it sent last is still to be read; a process that it left may hold the socket
            await asyncio.wait((closed,), timeout=EXIT_GRACE)
            await self._connection.close()
        fate = await _end(self._process, self._log, await closed, self._verdict)
        await exited
        return fate


async def _end(
    process: WorkerProcess, log: WorkerLog, reason: SymphonyError | None, verdict: str = ""
) -> Fate:
    """Make sure that a process has ended, and say how it did.

    Args:
        process: The process; its connection is closed.
        log: What it said.
        reason: Why its connection was closed.
        verdict: Why the host ended it; empty where it did not.
    """
    if isinstance(reason, MalformedMessage):
        process.signal(signal.SIGKILL)
        verdict = verdict or f"broke the protocol: {reason.message}"
    for number in (signal.SIGTERM, signal.SIGKILL):
        if await process.wait(EXIT_GRACE):
            break
        verdict = verdict or f"closed its connection and went on running ({reason})"
        process.signal(number)
    else:
        await process.wait()
    code = process.returncode
    name = _signal_name(-code) if code < 0 else ""
    text = verdict or (f"was killed by {name}" if name else f"ended by itself with exit code {code}")
    return Fate(text, None if name else code, name, log.last_words)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return f"signal {number}"
