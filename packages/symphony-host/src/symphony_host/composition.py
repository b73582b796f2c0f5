"""The composition root: the one place where a port meets the adapter that answers it."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony_core import Scoring, SymphonyCore
from symphony_ipc.bridge import Bridge
from symphony_isolation import HostLane, IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_sdk.errors import ConfigurationError, ExtensionError, PortError, SymphonyError
from symphony_sdk.events import RunEvent, RunHappened, event_name
from symphony_sdk.extension import Files, Log, OwnNetwork
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import (
    ArtifactStore,
    BridgePort,
    BusPort,
    ConductorPort,
    ExecutorPort,
    ExtensionInfo,
    ExtensionPort,
    OpenTier,
    PitPort,
    TransportPort,
)
from symphony_sdk.providers import PitRole

from symphony_host.bus_listener import BusListener
from symphony_host.bytecode import forget_doubtful
from symphony_host.catalogue import Catalogue, load_catalogue
from symphony_host.configuration import Settings
from symphony_host.host_mailbox import Answer, Command, HostMailbox
from symphony_host.hosted_operations import HostedContext, host_lane
from symphony_host.lifecycle import Lifecycle, Step
from symphony_host.parts import InstalledConductor, InstalledObservers, InstalledParts, InstalledPit
from symphony_host.permissions import audit_log, authority_of, declaration_of, hidden_from, roots_of
from symphony_host.plugins import PluginManager, Provided
from symphony_host.records import ExtensionRecord
from symphony_host.trust import sandbox_of

if TYPE_CHECKING:
    from symphony_ipc.bus import Bus

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one run. With Python's own 5 ms, one thread of an extension
in the host that computes delays every event on the event loop by as much, several of them by several times that."""

_log = logging.getLogger(__name__)

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Host:
    """Everything that is installed, put together and running; made by [open][symphony_host.composition.Host.open].

    Attributes:
        settings: The settings that it runs with.
        catalogue: What is installed.
        lifecycle: The states of the extensions that run in the host.
        extensions: The extensions that run in workers.
        pit: The components of the Pit.
        executors: The executors by name.
        transports: The transports by scheme.
        artifact_tiers: What opens a tier of artifacts, by scheme.
        conductor: Advises on runs; None unless exactly one is installed.
        bridge: Between threads and the event loop that it lives on.
        observers: See every event of every run: those of extensions, and the bus.
        core: The domain.
        scoring: Has artifacts rated by scorers.
        authority: Says what the extensions in workers may do.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue: Catalogue = load_catalogue(settings)
        self._plugins = PluginManager(trusted=settings.trusted, strict=settings.strict)
        self.lifecycle: Lifecycle = self.catalogue.lifecycle(strict=settings.strict)
        usable = self.catalogue.usable()
        self._in_host = {record.id: record for record in usable if record.runs == "host"}
        self._records = {entry.record.id: entry.record for entry in self.catalogue.entries}
        self.pit = InstalledPit(self)
        self.bridge = Bridge()
        self.executors: InstalledParts[ExecutorPort] = InstalledParts(
            self, "executor", self._plugins.executors
        )
        self.transports: InstalledParts[TransportPort] = InstalledParts(
            self, "transport", self._plugins.transports
        )
        self.artifact_tiers: InstalledParts[OpenTier] = InstalledParts(
            self, "tier of artifacts", self._plugins.artifact_tiers
        )
        self._needs = {
            extension: tuple(need for need in needs if need in self._in_host)
            for extension, needs in self.catalogue.needs.items()
        }
        self._bus: Bus | None = None
        self._bus_listeners: list[BusListener] = []
        self._mailbox: HostMailbox | None = None
        self.lifecycle.start(self._in_host, self._step, self._needs)
        self._audit = audit_log(settings)
        self.authority = authority_of(settings, usable, self._audit)
        self.extensions = self._isolated(record for record in usable if record.runs == "worker")
        self._plugins.message_types()  # those that are none are told before the first message
        self.conductor = self._conductor()
        self._observers = InstalledObservers(self)
        self.observers = (self._plugins.publish, self._observers.see, self._tell_bus)
        self.core = SymphonyCore(
            pit=self.pit,
            extensions=self.extensions,
            executors=self.executors,
            conductor=self.conductor,
            observers=self.observers,
        )
        self.scoring = Scoring(pit=self.pit, extensions=self.extensions)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> "AsyncIterator[Host]":
        """The host, which ends its workers and closes its stores on exit.

        Args:
            settings: The settings to run with.

        Raises:
            SymphonyError: Something is wrong with an extension and `settings.strict` is set; otherwise such a
                thing is kept in `problems`.
            ConfigurationError: No extension provides what `settings.bus_uplink` names.
            TransportError: What it names cannot be joined.
        """
        between_threads = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        host = cls(settings)
        try:
            host._take_commands()
            if settings.bus_uplink:
                await host._join(settings.bus_uplink)
            yield host
        finally:
            await host._close()
            sys.setswitchinterval(between_threads)

    @property
    def artifacts(self) -> ArtifactStore:
        """The Artifact Store.

        Raises:
            PortError: None is installed, or it cannot be opened.
        """
        return self.pit.artifacts

    @property
    def bus(self) -> "Bus":
        """The host's node of the message bus; made when it is first asked for.

        Events of runs that the host starts or resumes are published to `run.RUN.EVENT`, such as
        `run.20260101-120000-c0ffee.node-completed`, as [RunHappened][symphony_sdk.events.RunHappened].
        """
        return self._bus or self.bridge.here(self._make_bus)

    async def listen(self, address: str) -> Path:
        """Let other processes of this user join the bus; see `Bus.join`.

        Args:
            address: Where they connect, such as `unix:/run/user/1000/symphony/host.sock`.

        Returns:
            A file with the token that they have to show, which only this user can read; it goes with the host.

        Raises:
            TransportError: SYM-T064, no transport has that scheme; otherwise the transport's own.
            PortError: SYM-O002, the file cannot be written.
        """
        listener = await BusListener.open(self.bus, address, self.transports, self.settings.data_dir)
        self._bus_listeners.append(listener)
        return listener.token_file

    @property
    def plugins(self) -> PluginManager:
        """The extensions that run in the host."""
        return self._plugins

    @property
    def problems(self) -> Mapping[str, tuple[SymphonyError, ...]]:
        """All that is wrong with extensions, by id; what workers do wrong is in their own states."""
        found = {entry.record.id: entry.problems for entry in self.catalogue.entries if entry.problems}
        for extension, faults in self._plugins.faults.items():
            found[extension] = (*found.get(extension, ()), *faults)
        return found

    def set_of_executor(self, executor: str, setting: str, value: str) -> None:
        """Set a setting of the extension that brings an executor, as the command line does, before a run first uses it.

        Args:
            executor: Name of the executor; nothing is set where none has it, as no run can use it.
            setting: Name of the setting, such as `address`; it is checked when the executor is made.
            value: Its value as text.
        """
        self._set_of(self._plugins.executors().get(executor), setting, value)

    def set_of_component(self, role: PitRole, setting: str, value: str) -> None:
        """Set a setting of the extension that brings a component of the Pit, before that is first used.

        Args:
            role: Which component; nothing is set where none is installed, as none can be used.
            setting: Name of the setting, such as `tier`; it is checked when the component is made.
            value: Its value as text.
        """
        self._set_of(self._plugins.pit_components().get(role), setting, value)

    def _set_of(self, provided: Provided[Any] | None, setting: str, value: str) -> None:
        if provided is not None:
            override = provided.extension, setting, value
            self.settings = self.settings._replace(overrides=(*self.settings.overrides, override))

    def services(self, extension: str) -> "HostServices":
        """What a part that an extension provides is given.

        Args:
            extension: Id of the extension.

        Raises:
            SymphonyError: Its settings are wrong, or its directory cannot be made.
        """
        data_dir = self.settings.data_dir / "extensions" / extension
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PortError(
                f"{data_dir} cannot be made: {error.strerror}",
                code="SYM-O002",
                hint="Set SYMPHONY_DATA_DIR to a directory that you may write to.",
            ) from error
        return HostServices(self, self.settings.of_extension(self._records[extension]), data_dir)

    def _isolated(self, records: Iterator[ExtensionRecord]) -> IsolatedExtensions:
        specs: list[WorkerSpec] = []
        unusable = [
            ExtensionInfo(
                entry.record.id, entry.record.version, entry.record.kind, entry.state, reason=entry.reason
            )
            for entry in self.catalogue.entries
            if entry.state != "resolved"
        ]
        for record in records:
            try:
                specs.append(self._spec(record))
            except SymphonyError as error:
                self.lifecycle.move(record.id, "failed", error=error)
                unusable.append(
                    ExtensionInfo(
                        record.id,
                        record.version,
                        record.kind,
                        "failed",
                        reason=error.message,
                        error=error.payload(),
                    )
                )
        return IsolatedExtensions(
            specs,
            cache_dir=self.settings.cache_dir / "contributions",
            artifacts=lambda: self.pit.artifacts,
            on_log=_log_line,
            unusable=unusable,
            hosted=self._hosted(),
            renewed=self._renewed,
            quarantine_dir=self.settings.data_dir / "quarantine",
            authority=self.authority,
        )

    def _renewed(self, extension: str) -> WorkerSpec:
        """An extension as it is installed now; called on a thread."""
        entry = load_catalogue(self.settings, refresh=True).entry(extension)
        record = entry.record
        if entry.state != "resolved":
            raise next(iter(entry.problems), None) or ExtensionError(
                f"the extension {extension!r} is {entry.state}: {entry.reason}",
                code="SYM-E034",
                hint=f"`symphony enable {extension}`, and reload it again.",
            )
        if record.runs != "worker":
            raise ExtensionError(
                f"{extension!r} runs in the host itself and cannot be reloaded",
                code="SYM-E048",
                hint="Start Symphony again.",
            )
        if record.editable:
            forget_doubtful(Path(record.root))
        spec = self._spec(record)
        self.authority.renew(declaration_of(self.settings, record))
        return spec

    def _hosted(self) -> Iterator[HostLane]:
        """The extensions in the host that bring operations."""
        for extension in self._plugins.loaded:
            if self.lifecycle.state(extension) == "active":
                contributions = self._plugins.contributions(extension)
                if contributions.operations:
                    context = self._context(self._in_host[extension])
                    yield host_lane(self._in_host[extension], contributions, context)

    def _spec(self, record: ExtensionRecord) -> WorkerSpec:
        manifest = record.manifest
        resources = manifest.resources
        data_dir = self.settings.data_dir / "extensions" / record.id
        return WorkerSpec(
            id=record.id,
            version=record.version,
            kind=record.kind,
            module=manifest.module,
            data_dir=str(data_dir),
            fingerprint=record.fingerprint(),
            distribution=record.distribution,
            config=self.settings.of_extension(record),
            permissions=tuple(str(permission) for permission in manifest.permissions),
            roots=roots_of(self.settings, record.id),
            limits=WorkerLimits(
                memory=resources.memory,
                load_timeout=resources.load_timeout,
                cpu=resources.cpu,
                processes=resources.processes,
                threads=resources.threads,
                disk=resources.disk,
            ),
            workers=resources.workers,
            sandbox=sandbox_of(record, self.settings.sandbox, self.settings.trusted),
            hidden=hidden_from(self.settings),
        )

    def _step(self, extension: str, step: Step) -> None:
        record = self._in_host[extension]
        if step == "load":
            self._plugins.load(record)
        self._plugins.run(extension, step, self._context(record).of_hook())
        if step == "unload":
            self._plugins.unload(extension)

    def _context(self, record: ExtensionRecord) -> HostedContext:
        texts = [str(permission) for permission in record.manifest.permissions]
        permissions = PermissionSet.parse(texts, roots=roots_of(self.settings, record.id))
        return HostedContext(
            record.id,
            record.version,
            self.settings.of_extension(record),
            Files(permissions),
            OwnNetwork(permissions),
            Log(lambda level, text: _log_line(record.id, level, text)),
            self.pit,
        )

    def _take_commands(self) -> None:
        try:
            self._mailbox = HostMailbox(self.settings.data_dir / "hosts", self._obey)
        except PortError as error:  # all else works
            _log.warning("no other process can reload extensions of this one: %s", error)

    async def _obey(self, command: Command) -> Answer:
        if command.kind == "reload":
            info = await self.extensions.reload(command.extension)
            return Answer(info.version, health=await self.extensions.health(command.extension))
        infos = {info.id: info for info in await self.extensions.extensions()}
        health = await self.extensions.health(command.extension)
        return Answer(infos[command.extension].version, health=health)

    def _conductor(self) -> ConductorPort | None:
        provided = list(self._plugins.conductors().values())
        return InstalledConductor(self, provided[0]) if len(provided) == 1 else None

    def _make_bus(self) -> "Bus":
        from symphony_ipc.bus import Bus

        if self._bus is None:
            self._bus = Bus(f"host-{os.getpid()}")
        return self._bus

    async def _join(self, name: str) -> None:
        provided = self._plugins.bus_uplinks().get(name)
        if provided is None:
            installed = ", ".join(self._plugins.bus_uplinks()) or "none"
            raise ConfigurationError(
                f"no usable extension provides the bus {name!r} that the setting `bus_uplink` names",
                hint=f"Installed are: {installed}. symphony-transport-nats brings `nats`; see `symphony doctor`.",
            )
        await self.bus.join(await provided.provider.connect(self.services(provided.extension)))

    def _tell_bus(self, event: RunEvent) -> None:
        if self._bus is not None:  # nobody can have subscribed to one that was not asked for
            self._bus.publish(f"run.{event.run}.{event_name(event)}", RunHappened(event))

    async def _close(self) -> None:
        """Close everything in the order in which it leans on the next; one that fails keeps no other open."""
        closers: list[tuple[str, Callable[[], Any]]] = []
        if self._mailbox is not None:
            closers.append(("the mailbox", self._mailbox.close))
        closers.append(("the core", self.core.close))
        closers.append(("the observers", self._observers.close))  # while there is a Pit to ask
        tracker = self.pit.made.get("dag_tracker")
        if tracker is not None:
            closers.append(("the tracker", tracker.close))
        closers += [(f"the executor {name!r}", made.stop) for name, made in self.executors.made.items()]
        closers.append(("the extensions", self.extensions.stop))
        closers.append(("the audit log", self._audit.flush))
        closers += [("the listener of the bus", listener.close) for listener in self._bus_listeners]
        if self._bus is not None:
            closers.append(("the bus", self._bus.close))
        store = self.pit.made.get("artifact_store")
        if store is not None:
            closers.append(("the artifact store", store.close))
        closers.append(("the bridge", self.bridge.close))
        closers.append(("the life cycle", lambda: self.lifecycle.stop(self._in_host, self._step)))
        for name, close in closers:
            try:
                result = close()
                if asyncio.iscoroutine(result):
                    await result
            except Exception:  # noqa: BLE001 - what is left open harms more than one part that does not close
                _log.exception("%s did not close", name)


class HostServices:
    """What a part is made with; see [Services][symphony_sdk.providers.Services].

    Args:
        host: Whose parts it may use.
        config: The settings of the extension that brings the part.
        data_dir: A directory of the extension's own.
    """

    def __init__(self, host: Host, config: Mapping[str, Any], data_dir: Path) -> None:
        self._host = host
        self.config = config
        self.data_dir = data_dir
        self.pit: PitPort = host.pit
        self.extensions: ExtensionPort = host.extensions
        self.executors: Mapping[str, ExecutorPort] = host.executors
        self.transports: Mapping[str, TransportPort] = host.transports
        self.artifact_tiers: Mapping[str, OpenTier] = host.artifact_tiers
        self.bridge: BridgePort = host.bridge

    @property
    def bus(self) -> BusPort:
        """The host's node of the message bus."""
        return self._host.bus


def _log_line(extension: str, level: str, text: str) -> None:
    logging.getLogger(f"symphony.extension.{extension}").log(_LEVELS.get(level, logging.INFO), "%s", text)
