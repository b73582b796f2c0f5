"""A running worker as the host sees it: its process, its connection, its calls, and how it came to its end."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from symphony_ipc import Connection, Endpoint, from_socket
from symphony_sdk.errors import DeadlineExceeded, MalformedMessage, PermissionDenied, SymphonyError
from symphony_sdk.messages import (
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
from symphony_sdk.ports import ExitCause, Pulse

from symphony_isolation.broker import Broker
from symphony_isolation.ending import see_through
from symphony_isolation.fate import EXIT_GRACE, Fate, Verdict, end
from symphony_isolation.launcher import Launcher
from symphony_isolation.process import WorkerProcess
from symphony_isolation.pulse import judge, look
from symphony_isolation.sandbox import try_again
from symphony_isolation.sandbox.confinement import REFUSED
from symphony_isolation.spec import WorkerSpec, fingerprint
from symphony_isolation.worker_calls import WorkerCalls
from symphony_isolation.worker_log import WorkerLog

if TYPE_CHECKING:
    from symphony_isolation.sandbox.denials import OnDenied

ResponseT = TypeVar("ResponseT", bound=msgspec.Struct)

CANCEL_GRACE: Final = 2.0
"""Seconds that a cancelled call has to answer before its worker is killed."""

STEP_TIMEOUT: Final = 5.0
"""Seconds that the hooks `deactivate` and `unload` may take each."""

HEALTH_TIMEOUT: Final = 5.0
"""Seconds that the hook `health` may take."""

BEAT: Final = 2.0
"""Seconds between two PINGs to a worker that has calls, and that it has to answer one."""

SILENCE: Final = 60.0
"""Seconds without an answer after which a worker is killed that does nothing, either."""

FLOOD: Final = 60.0
"""Seconds without a pause for which one may send or print more than is read."""

LIES: Final = 100
"""Answers to what was never asked, or has been answered, after which one is killed that gives more."""

REFUSALS: Final = 100
"""Requests for what no worker may ask after which one that goes on asking is killed; honest code makes none."""


class Worker:
    """One worker process that has shaken hands.

    Args:
        spec: Its extension.
        number: Which of the extension's workers it is, counted from 1.
        process: Its process.
        connection: The connection to it.
        broker: What it may ask; closed when the worker has ended.
        log: What it says.
        on_answers: Told when it has ended calls; how many seconds one of each operation ran.

    Attributes:
        number: Which of the extension's workers it is.
        place: What it is called in events, such as `acme.text#2`.
        calls: Its calls.
        ended: Gives its fate once it has ended.
        blameless: Whether it was killed because somebody asked for it.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        number: int,
        process: WorkerProcess,
        connection: Connection,
        broker: Broker,
        log: WorkerLog,
        on_answers: Callable[[Mapping[str, float]], None],
    ) -> None:
        self.number = number
        self.place = f"{spec.id}#{number}"
        self.calls = WorkerCalls(
            spec.id,
            self.place,
            fingerprint(spec.fingerprint, spec.version, spec.config),
            connection,
            broker.artifacts,
            on_answers=on_answers,
            on_breach=connection.abort,
            on_cancelled=self._expect_end,
        )
        self._spec = spec
        self._process = process
        self._connection = connection
        self._broker = broker
        broker.attach(connection.abort, self.calls.get)
        self._log = log
        self._verdict: Verdict | None = None
        self._for_call = False
        self._killed = False
        self.blameless = False
        self._loop = asyncio.get_running_loop()
        self._beating = self._loop.create_task(self._beat())
        self.ended = self._loop.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        spec: WorkerSpec,
        number: int,
        broker: Broker,
        log: WorkerLog,
        on_answers: Callable[[Mapping[str, float]], None],
        launcher: Launcher,
        on_denied: "OnDenied",
    ) -> "Worker":
        """Start a process and shake hands with it.

        Args:
            spec: The extension.
            number: Which of its workers this is.
            broker: What it may ask; closed when the worker has ended.
            log: Takes what it says.
            on_answers: Told when it has ended calls; how many seconds one of each operation ran.
            launcher: Starts its process.
            on_denied: Told of the system calls that it is refused, in a thread.

        Raises:
            ExtensionError: The process cannot be started.
            PeerGone: It came to its end instead of shaking hands.
        """

        refused = 0
        worker: Worker | None = None

        def heard(message: msgspec.Struct) -> None:
            if isinstance(message, LogLine) and message.level in ("debug", "info", "warning", "error"):
                log.write(message.level, message.text)  # type: ignore[arg-type]
            elif isinstance(message, Progress) and worker is not None:
                worker.calls.progressed(message)

        async def answer(message: msgspec.Struct) -> msgspec.Struct:
            nonlocal refused
            try:
                return await broker.answer(message)
            except SymphonyError as error:
                refused += error.code == "SYM-E035"
                if refused > REFUSALS and worker is not None:
                    worker.kill("permission", f"was killed: it asked for what it may not: {error.message}")
                raise

        process, sock = await WorkerProcess.spawn(
            spec, log, launcher, on_denied, broker.descriptors.worker_end
        )
        endpoint = Endpoint("host", process.token, timeout=spec.limits.load_timeout)
        try:
            connection = await from_socket(sock, endpoint, accepts=True, handler=answer, on_notify=heard)
        except BaseException as error:
            reason = error if isinstance(error, SymphonyError) else None
            if reason is None:
                await process.kill()
                raise
            fate = await see_through(end(process, log, reason))
            if process.returncode == REFUSED:
                try_again()
                raise PermissionDenied(
                    f"the worker of {spec.id!r} was refused its sandbox: {fate.last_words}",
                    code="SYM-P021",
                    hint="`symphony doctor` tries each layer of the sandbox and says what is missing.",
                    details={"extension": spec.id},
                ) from error
            raise fate.error(spec.id) from error
        worker = cls(spec, number, process, connection, broker, log, on_answers)
        try:
            await broker.open_proxy()
        except MalformedMessage as breach:
            connection.abort(breach)
        return worker

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked; once it cannot, `ended` is near."""
        return self._connection.is_open and not self._killed

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

    async def health(self) -> str:
        """What its extension says is wrong with it; empty where nothing is.

        Raises:
            SymphonyError: The hook raised, or did not answer in time.
            PeerGone: The worker came to its end.
        """
        try:
            return (await self._request(CheckHealth(), HealthReport, timeout=HEALTH_TIMEOUT)).problem
        except DeadlineExceeded as error:
            raise DeadlineExceeded(f"symphony_health did not end within {HEALTH_TIMEOUT:g} s") from error

    async def save_state(self) -> bytes:
        """The state of its extension.

        Raises:
            SymphonyError: The hook raised, or gave none.
            PeerGone: The worker came to its end.
        """
        return (await self._request(SaveState(), SavedState, timeout=STEP_TIMEOUT)).data

    async def restore_state(self, version: str, data: bytes) -> None:
        """Have its extension take a state over.

        Args:
            version: Version of the extension that saved it.
            data: What that gave.

        Raises:
            SymphonyError: The hook raised.
            PeerGone: The worker came to its end.
        """
        await self._request(RestoreState(version, data), Done, timeout=STEP_TIMEOUT)

    async def ping(self, timeout: float) -> float | Pulse | None:
        """Seconds until it answered; what it does where it did not, and None where that is not known.

        Args:
            timeout: Seconds to wait.
        """
        before = look(self.pid)
        try:
            return await self._connection.ping(timeout)
        except SymphonyError:
            return judge(before, look(self.pid))

    async def settle(self) -> None:
        """Wait until the calls that it was told to end have ended, or it has; it has `CANCEL_GRACE` for each."""
        settled = self._loop.create_task(self.calls.settle())
        try:
            await asyncio.wait((settled, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()

    async def stop(self) -> None:
        """End it in order, or by force where it does not follow; leaves no process behind, also if cancelled."""
        self._verdict = self._verdict or Verdict("host", "was stopped by the host")
        await see_through(self._close())

    def kill(self, cause: ExitCause, text: str, *, for_call: bool = False, wanted: bool = False) -> None:
        """End it at once.

        Args:
            cause: Why, for programs.
            text: Why, as it is told to those who wait for it.
            for_call: Whether it dies of a call that nobody waits for any more: the others are lost, not failed.
            wanted: Whether somebody asked for it: the extension did nothing wrong.
        """
        if not self._verdict:
            self._verdict, self._for_call, self.blameless = Verdict(cause, text), for_call, wanted
        self._killed = True
        self._process.signal(signal.SIGKILL)

    def end_calls(self, fate: Fate) -> None:
        """Tell those who wait for its calls that it has ended.

        Args:
            fate: How.
        """
        self.calls.end(fate.error(self._spec.id).payload(), lost=self._for_call)

    async def _close(self) -> None:
        if self._connection.is_open:
            await self._connection.close()
        await self.ended

    async def _request(
        self, message: msgspec.Struct, response: type[ResponseT], *, timeout: float | None = None
    ) -> ResponseT:
        try:
            return await self._connection.request(message, response, timeout=timeout)
        except SymphonyError as error:
            if not self.usable:
                fate = await asyncio.shield(self.ended)
                raise fate.error(self._spec.id) from error
            error.details["extension"] = self._spec.id
            raise

    def _expect_end(self, number: int) -> None:
        self._loop.call_later(CANCEL_GRACE, self._kill_if_stuck, number)

    def _kill_if_stuck(self, number: int) -> None:
        if number in self.calls:
            self.kill(
                "stuck",
                f"was killed: it did not end a call within {CANCEL_GRACE:g} s of being told to",
                for_call=True,
            )

    async def _watch(self) -> Fate:
        exited = self._loop.create_task(self._process.wait())
        closed = self._loop.create_task(self._connection.wait_closed())
        await asyncio.wait((exited, closed), return_when=asyncio.FIRST_COMPLETED)
        if (
            not closed.done()
        ):  # what it sent last is still to be read; a process that it left may hold the socket
            await asyncio.wait((closed,), timeout=EXIT_GRACE)
            await self._connection.close()
        self._broker.close()
        self._beating.cancel()
        fate = await end(self._process, self._log, await closed, self._verdict)
        await exited
        if self._process.orphaned and not self._verdict:
            self.blameless = True
        return fate

    async def _beat(self) -> None:
        """See that it is no nuisance, and gives a sign of life while it has calls: answers, or uses the processor."""
        alive = self._loop.time()
        while True:
            await asyncio.sleep(BEAT)
            if self._connection.flooded > FLOOD:
                self.kill("flood", f"was killed: for {FLOOD:g} s it sent more messages than are read")
            if self._process.flooded > FLOOD:
                self.kill("flood", f"was killed: for {FLOOD:g} s it printed more than is read")
            if (lies := self._connection.counters.unknown) > LIES:
                text = f"it gave {lies:,} answers to what was not asked or was answered before"
                self._connection.abort(MalformedMessage(text, details={"extension": self._spec.id}))
            pulse = await self.ping(BEAT) if self.calls.busy else None
            if pulse not in ("blocked", "stopped"):
                alive = self._loop.time()
            elif self._loop.time() - alive > SILENCE:
                self.kill(
                    "heartbeat", f"was killed: it gave no sign of life for {SILENCE:g} s and was {pulse}"
                )
