"""The generations of one extension: a reload begins the next, gives it the calls, and lets the last one end its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.ports import ExtensionInfo

from symphony_isolation.quarantine import Quarantine
from symphony_isolation.spec import WorkerSpec, fingerprint
from symphony_isolation.supervisor import FIRST, Supervisor
from symphony_isolation.worker import Worker
from symphony_isolation.worker_log import LogSink

HOLD: Final = 10.0
"""Seconds that calls wait while the old workers end theirs, before they hand their state over."""

DRAIN: Final = 300.0
"""Seconds that the old workers have to end their calls; they cost nothing but memory meanwhile."""

OnLoaded = Callable[[WorkerSpec, ExtensionLoaded], None]


class MakesSupervisor(Protocol):
    """Makes the supervisor of a generation."""

    def __call__(
        self, spec: WorkerSpec, *, on_loaded: OnLoaded, quarantine: Quarantine | None, one_try: bool
    ) -> Supervisor:
        """See [Supervisor][symphony_isolation.supervisor.Supervisor]."""


class Generations:
    """The present generation, the one that is to come, and those that end their last calls.

    Args:
        spec: The extension.
        make: Makes a supervisor.
        sink: Takes what is to be told of the extension.
        on_loaded: Told what the present generation contributes each time that it is loaded.
        on_switch: Told when another generation is the present one, or the calls are no longer held back.
        quarantine: Remembers extensions that crash too often; None for nowhere but here.

    Attributes:
        present: The one that gets the calls.
        number: Its number, counted from 1.
        held: Whether the calls are to wait.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        make: MakesSupervisor,
        *,
        sink: LogSink,
        on_loaded: OnLoaded,
        on_switch: Callable[[], None],
        quarantine: Quarantine | None,
    ) -> None:
        self.present = make(spec, on_loaded=on_loaded, quarantine=quarantine, one_try=False)
        self.number = 1
        self.held = False
        self._make = make
        self._sink = sink
        self._on_loaded = on_loaded
        self._on_switch = on_switch
        self._quarantine = quarantine
        self._coming: Supervisor | None = None
        self._draining: dict[Supervisor, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._closed = False

    def all(self) -> list[Supervisor]:
        """All of them, the present one first."""
        return [self.present, *([self._coming] if self._coming else []), *self._draining]

    @property
    def busy(self) -> int:
        """How many calls they work on."""
        return sum(map(_busy, self.all()))

    def workers(self) -> list[Worker]:
        """The workers of all of them."""
        return [worker for supervisor in self.all() for worker in supervisor.workers.values()]

    def stir(self) -> None:
        """Something has happened to the calls or the workers of one of them."""
        self._stirred.set()

    async def reload(self, spec: WorkerSpec) -> None:
        """Begin the next generation, and let it take the place of the present one where it is well.

        Args:
            spec: The extension as it is now.

        Raises:
            ExtensionError: SYM-E047, it is not well, does not start, or cannot take the state over. The present one
                stays.
        """
        async with self._one_at_a_time:
            old = self.present
            same = fingerprint(spec.fingerprint, spec.version, spec.config) == old.fingerprint
            again = same and old.info.state == "quarantined"
            loaded: list[ExtensionLoaded] = []  # it contributes nothing before it is well

            def on_loaded(spec: WorkerSpec, given: ExtensionLoaded) -> None:
                loaded.append(given)
                if new is self.present:
                    self._on_loaded(spec, given)

            new = self._make(spec, on_loaded=on_loaded, quarantine=None, one_try=again)
            self._coming = new
            if self._closed:
                new.close()
            try:
                await new.begin({FIRST, *old.workers})
                await self._hand_over(old, new)
                await new.check_health()
                self._switch(old, new)
                self._on_loaded(spec, loaded[-1])
            except SymphonyError as error:
                await new.stop()
                raise _not_reloaded(old.info, error) from error
            except BaseException:
                await new.stop()
                raise
            finally:
                self._coming = None
                self.held = False
                self._on_switch()

    def close(self) -> None:
        """Start no worker any more, whoever waits for one."""
        self._closed = True
        for supervisor in self.all():
            supervisor.close()

    async def stop(self) -> None:
        """End all workers."""
        draining = list(self._draining.values())
        for task in draining:
            task.cancel()
        await asyncio.gather(*(supervisor.stop() for supervisor in self.all()))
        if draining:
            await asyncio.wait(draining)

    async def _hand_over(self, old: Supervisor, new: Supervisor) -> None:
        """Give the new workers the state of the old ones, which get no more calls, and have ended theirs, before."""
        if not (old.workers and old.implements("symphony_save_state")):
            return
        if not new.implements("symphony_restore_state"):
            return
        self.held = True
        try:
            async with asyncio.timeout(HOLD):
                await self._until_idle(old)
        except TimeoutError:
            raise ExtensionError(
                f"it still works on {_busy(old)} calls after {HOLD:g} s, and hands its state over between calls",
                code="SYM-E047",
                hint="Reload it when it has less to do.",
            ) from None
        for number, worker in list(old.workers.items()):
            try:
                state = await worker.save_state()
            except SymphonyError as error:  # mended code must be able to follow code that cannot save
                self._sink(old.spec.id, "error", f"its state is lost in the reload: {error.message}")
            else:
                if number not in new.workers:  # the old one has grown meanwhile
                    await new.begin((number,))
                await new.workers[number].restore_state(old.spec.version, state)

    def _switch(self, old: Supervisor, new: Supervisor) -> None:
        self.present = new
        self.number += 1
        old.quarantine, new.quarantine = None, self._quarantine
        if self._quarantine is not None:
            with suppress(OSError):  # what it says is of another fingerprint, or will be said again
                self._quarantine.lift(new.spec.id)
        draining = asyncio.get_running_loop().create_task(self._drain(old))
        self._draining[old] = draining
        draining.add_done_callback(lambda _: self._draining.pop(old))

    async def _drain(self, old: Supervisor) -> None:
        """Let the workers of an old generation end their calls, and stop them."""
        try:
            async with asyncio.timeout(DRAIN):
                await self._until_idle(old)
        except TimeoutError:
            late = [worker for worker in old.workers.values() if worker.calls.busy]
            for worker in late:
                text = f"was stopped: its extension was reloaded {DRAIN:g} s ago"
                worker.kill("host", text, for_call=True, wanted=True)
            if late:
                await asyncio.wait([worker.ended for worker in late])
        await old.stop()

    async def _until_idle(self, supervisor: Supervisor) -> None:
        while _busy(supervisor):
            self._stirred.clear()
            await self._stirred.wait()


def _busy(supervisor: Supervisor) -> int:
    return sum(worker.calls.busy for worker in supervisor.workers.values())


def _not_reloaded(old: ExtensionInfo, error: SymphonyError) -> ExtensionError:
    usable = old.state not in ("failed", "quarantined")
    stays = "the old one goes on" if usable else f"it stays {old.state}"
    return ExtensionError(
        f"{old.id!r} was not reloaded, and {stays}: {error.message}",
        code="SYM-E047",
        hint=error.hint or "Mend it and reload it again.",
        details={"extension": old.id, "code": error.code},
        file=error.file,
        line=error.line,
        traceback=error.traceback,
    )
