"""The extensions with operations, in workers or in the host, as the domain sees them: adapter of `ExtensionPort`."""

import asyncio
import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import ExtensionError, PermissionDenied, SymphonyError, error_from_payload
from symphony_sdk.messages import CHAIN_BYTES, CHAIN_LIMIT, ExtensionLoaded, OperationResult, Progress
from symphony_sdk.ports import ArtifactStore, ExtensionHealth, ExtensionInfo, NodeCall, NodeEvent

from symphony_isolation.call import Call
from symphony_isolation.contributions_cache import ContributionsCache
from symphony_isolation.ending import see_through
from symphony_isolation.lane import Lane
from symphony_isolation.launcher import Launcher
from symphony_isolation.permissions.authority import Authority
from symphony_isolation.process_lane import ProcessLane
from symphony_isolation.quarantine import Quarantine
from symphony_isolation.sandbox import keep_in
from symphony_isolation.spec import WorkerSpec, extension_of
from symphony_isolation.worker_log import LogSink


class IsolatedExtensions:
    """Every extension that has operations, and those that cannot run; adapter of `ExtensionPort`.

    All methods are called on one event loop, which runs as long as the workers do.

    Args:
        specs: The usable extensions.
        cache_dir: Where their contributions are remembered, and that the sandbox works here; none may write to it.
        artifacts: Gives the Artifact Store; called when a worker first asks for it.
        on_log: Takes what the workers say: id of the extension, level and line.
        unusable: What is known of the extensions that are disabled or failed before they could be loaded.
        hosted: The extensions with operations that run in the host.
        renewed: Gives an extension as it is installed now, for a reload; called on a thread. None: as it was.
        quarantine_dir: Where it is remembered which extensions crash too often; None for nowhere.
        authority: Says what extensions may do; each may do what it declares where there is none.
    """

    def __init__(
        self,
        specs: Iterable[WorkerSpec],
        *,
        cache_dir: Path,
        artifacts: Callable[[], ArtifactStore],
        on_log: LogSink,
        unusable: Sequence[ExtensionInfo] = (),
        hosted: Iterable[Lane] = (),
        renewed: Callable[[str], WorkerSpec] | None = None,
        quarantine_dir: Path | None = None,
        authority: Authority | None = None,
    ) -> None:
        self._cache = ContributionsCache(cache_dir)
        keep_in(cache_dir)
        self._on_log = on_log
        self._authority = authority
        self._unusable = {info.id: info for info in unusable}
        self._launcher = Launcher(on_log)
        self._artifacts = artifacts
        self._renewed = renewed
        self._quarantine = None if quarantine_dir is None else Quarantine(quarantine_dir)
        self._isolated = {spec.id: self._lane_of(spec) for spec in specs}
        self._lanes: dict[str, Lane] = {**self._isolated, **{lane.info.id: lane for lane in hosted}}
        self._begun: set[ProcessLane] = set()
        self._learning: asyncio.Task[None] | None = None
        self._known: tuple[dict[str, Lane], dict[str, OperationSpec]] | None = None
        self._early: dict[Call, None] = {}
        self._submitting: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def extensions(self) -> Sequence[ExtensionInfo]:
        """Every installed extension in the order of their ids, the broken ones included."""
        await self._learn()
        infos = self._unusable | {id: lane.info for id, lane in self._lanes.items()}
        return [infos[id] for id in sorted(infos)]

    async def operations(self) -> Mapping[str, OperationSpec]:
        """Every operation of every usable extension by its id."""
        await self._learn()
        return self._routes()[1]

    async def deployment(self) -> bytes:
        """What a [Machine][symphony_isolation.cluster.machine.Machine] needs to run the usable extensions."""
        from symphony_isolation.cluster.deployment import encode_deployment

        await self._learn()
        known = [(self._permitted(one.spec), one.contributions) for one in self._isolated.values()]
        return await asyncio.to_thread(encode_deployment, known)

    async def activate(self, extension: str) -> None:
        """Start the worker of an extension, run its load and activate hooks; nothing where it is active.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown, disabled, quarantined, or does not start.
        """
        await self._lane(extension).activate()

    async def deactivate(self, extension: str) -> None:
        """Run its deactivate and unload hooks and stop its worker; nothing where none runs.

        Args:
            extension: Id of the extension.
        """
        await self._lane(extension).stop()

    async def reload(self, extension: str) -> ExtensionInfo:
        """Replace the workers of an extension by new ones that run its code as it is now; no call fails of it.

        The new ones are started and asked for their health, then they get the calls; the old ones end theirs and are
        stopped. A quarantine is lifted. An extension that was not usable so far is begun.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown or runs in the host; or the new one does not start or is not well, and then
                the old one stays.
        """
        await self._learn()
        lane = self._isolated.get(extension)
        if lane is None and extension in self._lanes:
            raise ExtensionError(
                f"{extension!r} runs in the host itself and cannot be reloaded",
                code="SYM-E048",
                hint="Start Symphony again.",
            )
        if lane is None and self._renewed is None:
            self._lane(extension)  # says why it has none
        spec = lane.spec if lane else None
        if self._renewed is not None:
            spec = await asyncio.to_thread(self._renewed, extension)
        assert spec is not None  # noqa: S101 - what has no lane and is not renewed was refused above
        self._check_open()
        lane = lane or self._lane_of(spec)
        self._begun.add(lane)
        try:
            await lane.reload(spec)
        finally:
            self._begun.discard(lane)
        self._isolated[extension] = self._lanes[extension] = lane
        self._unusable.pop(extension, None)
        self._known = None
        return lane.info

    async def call(
        self,
        call: NodeCall,
        on_progress: Callable[[Progress], None] | None = None,
        *,
        callers: tuple[str, ...] = (),
    ) -> OperationResult:
        """Run one operation in its extension's worker, which is started where it does not run.

        Cancelling the awaiting task cancels the operation. A worker that does not end a call which was
        cancelled or is too late is killed after a grace.

        Args:
            call: What to run; its timeout counts from when the worker is ready.
            on_progress: Takes what the operation says of its progress.
            callers: Ids of the extensions whose calls wait for it, the first of them that of a node.

        Raises:
            ExtensionError: No extension brings the operation, or its own code failed.
            PeerGone: The worker died.
            DeadlineExceeded: `call.timeout` passed.
        """
        await self._learn()
        ended: asyncio.Future[NodeEvent] = asyncio.get_running_loop().create_future()

        def on_event(event: NodeEvent) -> None:
            if event.kind == "progressed":
                if on_progress is not None:
                    on_progress(Progress(event.fraction, event.text))
            elif event.kind != "started" and not ended.done():
                ended.set_result(event)

        one = Call(call, on_event, callers)
        lane = self._owner(one)
        lane.submit((one,))
        try:
            event = await ended
        except asyncio.CancelledError:
            lane.cancel(lambda other: other is one)
            raise
        if event.error is not None:
            raise error_from_payload(event.error)
        outputs = {name: msgspec.Raw(value) for name, value in event.outputs.items()}
        return OperationResult(outputs, event.seconds, event.memory)

    def chains(self, first: str, then: str) -> bool:
        """Whether a call may run right after another one in the same place, as the next link of a chain.

        Args:
            first: Id of the operation of the one.
            then: Id of the operation of the other.
        """
        owners, operations = self._routes()
        lane = owners.get(first)
        return (
            lane is not None
            and lane is owners.get(then)
            and operations[first].idempotent
            and operations[then].idempotent
            and lane.chains(operations[first], operations[then])
        )

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run calls, each as `call` does; those of one extension go to its worker together.

        Args:
            batch: What to run; a call with `takes` is a link of a chain, see `ExecutorPort`.
            on_event: Takes what happens to them, on the event loop; each gets exactly one final event.
        """
        calls = _chained(batch, on_event)
        if self._learning is not None and self._learning.done() and not self._stopped:
            self._hand_over(calls)
        else:
            self._early.update(dict.fromkeys(calls))
            task = asyncio.get_running_loop().create_task(self._submit_early(calls))
            self._submitting.add(task)
            task.add_done_callback(self._submitting.discard)

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Stop calls of a run; each that was submitted still gets its final event, `failed` with SYM-R003.

        A worker that does not end a cancelled call is killed after a grace, with `force` at once.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            item: Only the call of this item of the node; those of all where it is -1.
            force: Kill the processes that work on them at once. What else they work on is `lost`.
        """

        def chosen(call: Call) -> bool:
            request = call.request
            if call.callers:  # it ends with the call that waits for it, and its process did nothing wrong
                return False
            return request.run == run and node in ("", request.node) and item in (-1, request.item)

        for call in [link for early in self._early for link in early.links() if chosen(link)]:
            call.cancel()
        for lane in self._lanes.values():
            lane.cancel(chosen, force=force)

    async def health(self, extension: str) -> ExtensionHealth:
        """How the worker of an extension is.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown.
        """
        return await self._lane(extension).health()

    async def stop(self) -> None:
        """End every worker, and start none any more; leaves no process behind, also if cancelled."""
        self._stopped = True
        for lane in (*self._isolated.values(), *self._begun):
            lane.close()
        await see_through(self._stop())

    async def _stop(self) -> None:
        if self._learning is not None and not self._learning.done():
            self._learning.cancel()
            await asyncio.wait((self._learning,))
        await asyncio.gather(*(lane.stop() for lane in {*self._lanes.values(), *self._begun}))
        await self._launcher.close()

    def _permitted(self, spec: WorkerSpec) -> WorkerSpec:
        """An extension as another machine may run it; where it lacks a grant, with none: its calls fail there too."""
        if self._authority is None:
            return spec
        try:
            return self._authority.admit(spec)
        except PermissionDenied as error:
            self._on_log(spec.id, "warning", str(error))
            return msgspec.structs.replace(spec, permissions=())

    async def _submit_early(self, calls: Sequence[Call]) -> None:
        """Hand calls over that came before it was known which extension brings what."""
        error: SymphonyError | None = None
        try:
            await self._learn()
        except SymphonyError as raised:
            error = raised
        for call in calls:
            self._early.pop(call)
            if error is not None:
                call.refuse(error)
        self._hand_over([call for call in calls if not call.ended])

    def _hand_over(self, calls: Sequence[Call]) -> None:
        found: dict[Lane, list[Call]] = {}
        for call in calls:
            try:
                lane = self._owner(call)
            except ExtensionError as error:
                call.refuse(error)
            else:
                found.setdefault(lane, []).append(call)
                if call.then is not None:
                    self._check_links(call)
        for lane, owned in found.items():
            lane.submit(owned)

    def _check_links(self, first: Call) -> None:
        """Give those links of a chain back that cannot follow in the same place."""
        _, operations = self._routes()
        allowed: set[tuple[str, str]] = set()
        before = first.request.operation
        for number, link in enumerate(first.links()):
            if link is first:
                continue
            pair = before, link.request.operation
            if (
                number == CHAIN_LIMIT
                or not (pair in allowed or self.chains(*pair))
                or _is_large(link.request)
            ):
                link.give_back()
                return
            allowed.add(pair)
            before = link.request.operation
            link.operation = operations[before]

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

        async def introspect(lane: ProcessLane) -> None:
            async with slots:
                with suppress(SymphonyError):  # it is the extension's state and reason from now on
                    await lane.introspect()

        unknown = []
        for lane in self._isolated.values():
            lane.contributions = self._cache.get(lane.spec)
            if lane.contributions is None:
                unknown.append(lane)
        async with asyncio.TaskGroup() as tasks:
            for lane in unknown:
                tasks.create_task(introspect(lane))

    def _lane_of(self, spec: WorkerSpec) -> ProcessLane:
        return ProcessLane(
            spec,
            artifacts=self._artifacts,
            sink=self._on_log,
            on_loaded=self._remember,
            launcher=self._launcher,
            quarantine=self._quarantine,
            authority=self._authority,
            models=self,
        )

    def _remember(self, spec: WorkerSpec, loaded: ExtensionLoaded) -> None:
        self._known = None
        try:
            self._cache.put(spec, loaded)
        except OSError as error:
            self._on_log(spec.id, "warning", f"what it contributes cannot be remembered: {error}")

    def _routes(self) -> tuple[dict[str, Lane], dict[str, OperationSpec]]:
        if self._known is None:
            owners: dict[str, Lane] = {}
            operations: dict[str, OperationSpec] = {}
            for lane in self._lanes.values():
                for operation in lane.info.operations:
                    owners[operation.id] = lane
                    operations[operation.id] = operation
            self._known = owners, operations
        return self._known

    def _owner(self, call: Call) -> Lane:
        owners, operations = self._routes()
        operation = call.request.operation
        owner = owners.get(operation)
        if owner is not None:
            call.operation = operations[operation]
            return owner
        extension = self._lanes.get(extension_of(operation))
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

    def _lane(self, extension: str) -> Lane:
        self._check_open()
        lane = self._lanes.get(extension)
        if lane is not None:
            return lane
        info = self._unusable.get(extension)
        if info is not None:
            raise ExtensionError(
                f"the extension {extension!r} is {info.state}{f': {info.reason}' if info.reason else ''}",
                code="SYM-E034",
                hint=f"`symphony {'enable' if info.state == 'disabled' else 'info'} {extension}`.",
            )
        near = difflib.get_close_matches(extension, [*self._lanes, *self._unusable], n=1)
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


def _chained(batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> list[Call]:
    """The calls of a batch without the links of chains, which each is followed by."""
    calls: list[Call] = []
    before: Call | None = None
    for request in batch:
        call = Call(request, on_event)
        if request.takes is None:
            calls.append(call)
        elif before is None:
            call.give_back()
            continue
        else:
            before.then = call
        before = call
    return calls


def _is_large(call: NodeCall) -> bool:
    return bool(call.inputs) and sum(map(len, call.inputs.values())) > CHAIN_BYTES
