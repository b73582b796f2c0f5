"""The extensions that run in workers, as the domain sees them: adapter of `ExtensionPort`."""

import asyncio
import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.messages import ExtensionLoaded, OperationResult, Progress
from symphony_sdk.ports import ArtifactStore, ExtensionHealth, ExtensionInfo, NodeCall

from symphony_isolation.contributions_cache import ContributionsCache
from symphony_isolation.spec import WorkerSpec, extension_of
from symphony_isolation.supervisor import Supervisor
from symphony_isolation.worker_log import LogSink


class IsolatedExtensions:
    """Every extension that runs in a worker, and those that cannot; adapter of `ExtensionPort`.

    All methods are called on one event loop, which runs as long as the workers do.

    Args:
        specs: The usable extensions.
        cache_dir: Where their contributions are remembered.
        artifacts: Gives the Artifact Store; called when a worker first asks for it.
        on_log: Takes what the workers say: id of the extension, level and line.
        unusable: What is known of the extensions that are disabled or failed before they could be loaded.
    """

    def __init__(
        self,
        specs: Iterable[WorkerSpec],
        *,
        cache_dir: Path,
        artifacts: Callable[[], ArtifactStore],
        on_log: LogSink,
        unusable: Sequence[ExtensionInfo] = (),
    ) -> None:
        self._cache = ContributionsCache(cache_dir)
        self._on_log = on_log
        self._unusable = {info.id: info for info in unusable}
        self._supervisors = {
            spec.id: Supervisor(spec, artifacts=artifacts, sink=on_log, on_loaded=self._remember)
            for spec in specs
        }
        self._learning: asyncio.Task[None] | None = None
        self._known: tuple[dict[str, Supervisor], dict[str, OperationSpec]] | None = None
        self._stopped = False

    async def extensions(self) -> Sequence[ExtensionInfo]:
        """Every installed extension in the order of their ids, the broken ones included."""
        await self._learn()
        infos = self._unusable | {id: supervisor.info for id, supervisor in self._supervisors.items()}
        return [infos[id] for id in sorted(infos)]

    async def operations(self) -> Mapping[str, OperationSpec]:
        """Every operation of every usable extension by its id."""
        await self._learn()
        return self._routes()[1]

    async def activate(self, extension: str) -> None:
        """Start the worker of an extension, run its load and activate hooks; nothing where it is active.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown, disabled, quarantined, or does not start.
        """
        await self._supervisor(extension).activate()

    async def deactivate(self, extension: str) -> None:
        """Run its deactivate and unload hooks and stop its worker; nothing where none runs.

        Args:
            extension: Id of the extension.
        """
        await self._supervisor(extension).stop()

    async def call(
        self, call: NodeCall, on_progress: Callable[[Progress], None] | None = None
    ) -> OperationResult:
        """Run one operation in its extension's worker, which is started where it does not run.

        Cancelling the awaiting task cancels the operation. A worker that does not end a call which was
        cancelled or is too late is killed after a grace.

        Args:
            call: What to run; its timeout counts from when the worker is ready.
            on_progress: Takes what the operation says of its progress.

        Raises:
            ExtensionError: No extension brings the operation, or its own code failed.
            PeerGone: The worker died.
            DeadlineExceeded: `call.timeout` passed.
        """
        await self._learn()
        return await self._owner(call.operation).call(call, on_progress)

    async def health(self, extension: str) -> ExtensionHealth:
        """How the worker of an extension is.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown.
        """
        return await self._supervisor(extension).health()

    async def stop(self) -> None:
        """End every worker, and start none any more; leaves no process behind."""
        self._stopped = True
        if self._learning is not None and not self._learning.done():
            self._learning.cancel()
            await asyncio.wait((self._learning,))
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors.values()))

    async def _learn(self) -> None:
        """Make sure that it is known what each extension contributes, or why it is not."""
        self._check_open()
        if self._learning is None:
            self._learning = asyncio.get_running_loop().create_task(self._introspect_unknown())
        if not self._learning.done():
            try:
                await asyncio.shield(self._learning)
            except asyncio.CancelledError:
                if self._learning.cancelled():
                    self._check_open()
                raise

    async def _introspect_unknown(self) -> None:
        slots = asyncio.Semaphore(os.cpu_count() or 1)

        async def introspect(supervisor: Supervisor) -> None:
            async with slots:
                with suppress(SymphonyError):  # it is the extension's state and reason from now on
                    await supervisor.introspect()

        unknown = []
        for supervisor in self._supervisors.values():
            supervisor.contributions = self._cache.get(supervisor.spec)
            if supervisor.contributions is None:
                unknown.append(supervisor)
        async with asyncio.TaskGroup() as tasks:
            for supervisor in unknown:
                tasks.create_task(introspect(supervisor))

    def _remember(self, spec: WorkerSpec, loaded: ExtensionLoaded) -> None:
        self._known = None
        try:
            self._cache.put(spec, loaded)
        except OSError as error:
            self._on_log(spec.id, "warning", f"what it contributes cannot be remembered: {error}")

    def _routes(self) -> tuple[dict[str, Supervisor], dict[str, OperationSpec]]:
        if self._known is None:
            owners: dict[str, Supervisor] = {}
            operations: dict[str, OperationSpec] = {}
            for supervisor in self._supervisors.values():
                for operation in supervisor.info.operations:
                    owners[operation.id] = supervisor
                    operations[operation.id] = operation
            self._known = owners, operations
        return self._known

    def _owner(self, operation: str) -> Supervisor:
        owners, _ = self._routes()
        owner = owners.get(operation)
        if owner is not None:
            return owner
        extension = self._supervisors.get(extension_of(operation))
        if extension is not None and extension.contributions is None:
            info = extension.info
            raise ExtensionError(
                f"the operation {operation!r} cannot run: {info.id!r} is {info.state}: {info.reason}",
                code="SYM-E013",
                hint="`symphony doctor` shows what is wrong with the extension.",
                details={"operation": operation, "extension": info.id},
            )
        near = difflib.get_close_matches(operation, owners, n=1)
        raise ExtensionError(
            f"no extension brings the operation {operation!r}",
            code="SYM-E013",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else "`symphony list --operations` shows those there are.",
            details={"operation": operation},
        )

    def _supervisor(self, extension: str) -> Supervisor:
        self._check_open()
        supervisor = self._supervisors.get(extension)
        if supervisor is not None:
            return supervisor
        info = self._unusable.get(extension)
        if info is not None:
            raise ExtensionError(
                f"the extension {extension!r} is {info.state}{f': {info.reason}' if info.reason else ''}",
                code="SYM-E034",
                hint=f"`symphony {'enable' if info.state == 'disabled' else 'info'} {extension}`.",
            )
        near = difflib.get_close_matches(extension, [*self._supervisors, *self._unusable], n=1)
        raise ExtensionError(
            f"no extension {extension!r} runs in a worker",
            code="SYM-E033",
            hint=f"Did you mean {near[0]!r}?" if near else "`symphony list` shows those there are.",
        )

    def _check_open(self) -> None:
        if self._stopped:
            raise ExtensionError(
                "the extensions were stopped", code="SYM-E036", hint="Symphony is ending; start it again."
            )
