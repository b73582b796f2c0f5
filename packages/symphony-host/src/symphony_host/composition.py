"""The composition root: the one place where a port meets the adapter that answers it."""

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from symphony_core import SymphonyCore
from symphony_isolation import IsolatedExtensions, WorkerLimits, WorkerSpec
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import PortError, SymphonyError, foreign_error
from symphony_sdk.extension import Context, Files, Log
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import (
    ArbitrationEngine,
    ArtifactStore,
    ConductorPort,
    DagTracker,
    ExecutorPort,
    ExtensionInfo,
    ExtensionPort,
    PitPort,
    PoolManager,
    StaleManager,
)
from symphony_sdk.providers import PitRole

from symphony_host.catalogue import Catalogue, load_catalogue
from symphony_host.configuration import Settings
from symphony_host.lifecycle import Lifecycle, Step
from symphony_host.plugins import PluginManager
from symphony_host.records import ExtensionRecord

_log = logging.getLogger(__name__)

_PACKAGES: Mapping[PitRole, str] = {
    "pool_manager": "pit-pool-manager",
    "dag_tracker": "pit-dag-tracker",
    "artifact_store": "pit-artifact-store",
    "arbitration_engine": "pit-arbitration-engine",
    "stale_manager": "pit-stale-manager",
}
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Host:
    """Everything that is installed, put together and running; made by [open][symphony_host.composition.Host.open].

    Attributes:
        settings: The settings that it runs with.
        catalogue: What is installed.
        lifecycle: The states of the extensions that run in the host.
        extensions: The extensions that run in workers.
        pit: The components of the Pit.
        core: The domain.
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
        self.executors = InstalledExecutors(self)
        self.extensions = self._isolated(record for record in usable if record.runs == "worker")
        self._needs = {
            extension: tuple(need for need in needs if need in self._in_host)
            for extension, needs in self.catalogue.needs.items()
        }
        self.lifecycle.start(self._in_host, self._step, self._needs)
        self._plugins.message_types()  # those that are none are told before the first message
        self.core = SymphonyCore(
            pit=self.pit,
            extensions=self.extensions,
            executors=self.executors,
            conductor=self._conductor(),
            observers=[self._plugins.publish],
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> "AsyncIterator[Host]":
        """The host, which ends its workers and closes its stores on exit.

        Args:
            settings: The settings to run with.

        Raises:
            SymphonyError: Something is wrong with an extension and `settings.strict` is set; otherwise such a
                thing is kept in `problems`.
        """
        host = cls(settings)
        try:
            yield host
        finally:
            await host._close()

    @property
    def artifacts(self) -> ArtifactStore:
        """The Artifact Store.

        Raises:
            PortError: None is installed, or it cannot be opened.
        """
        return self.pit.artifacts

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
        return HostServices(
            self.settings.of_extension(self._records[extension]),
            data_dir,
            self.pit,
            self.extensions,
            self.executors,
        )

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
        )

    def _spec(self, record: ExtensionRecord) -> WorkerSpec:
        manifest = record.manifest
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
            roots=self._roots(record.id),
            limits=WorkerLimits(
                memory=manifest.resources.memory, load_timeout=manifest.resources.load_timeout
            ),
        )

    def _roots(self, extension: str) -> dict[str, str]:
        return {
            "project": str(Path.cwd().resolve()),
            "home": str(Path.home().resolve()),
            "data": str((self.settings.data_dir / "extensions" / extension).resolve()),
            "cache": str((self.settings.cache_dir / "extensions" / extension).resolve()),
            "tmp": str(Path(tempfile.gettempdir()).resolve()),
        }

    def _step(self, extension: str, step: Step) -> None:
        record = self._in_host[extension]
        if step == "load":
            self._plugins.load(record)
        self._plugins.run(extension, step, self._context(record))
        if step == "unload":
            self._plugins.unload(extension)

    def _context(self, record: ExtensionRecord) -> Context:
        permissions = [str(permission) for permission in record.manifest.permissions]
        return Context(
            config=self.settings.of_extension(record),
            files=Files(PermissionSet.parse(permissions, roots=self._roots(record.id))),
            artifacts=_HostArtifacts(self.pit),
            log=Log(lambda level, text: _log_line(record.id, level, text)),
            progress=lambda fraction, text: None,
            cancelled=threading.Event(),
        )

    def _conductor(self) -> ConductorPort | None:
        provided = list(self._plugins.conductors().values())
        if len(provided) != 1:
            return None
        [(extension, provider)] = provided
        return provider.create(self.services(extension))

    async def _close(self) -> None:
        """Close everything in the order in which it leans on the next; one that fails keeps no other open."""
        closers: list[tuple[str, Callable[[], Any]]] = [("the core", self.core.close)]
        tracker = self.pit.made.get("dag_tracker")
        if tracker is not None:
            closers.append(("the tracker", tracker.close))
        closers += [(f"the executor {name!r}", made.stop) for name, made in self.executors.made.items()]
        closers.append(("the extensions", self.extensions.stop))
        store = self.pit.made.get("artifact_store")
        if store is not None:
            closers.append(("the artifact store", store.close))
        closers.append(("the life cycle", lambda: self.lifecycle.stop(self._in_host, self._step)))
        for name, close in closers:
            try:
                result = close()
                if asyncio.iscoroutine(result):
                    await result
            except Exception:  # noqa: BLE001 - what is left open harms more than one part that does not close
                _log.exception("%s did not close", name)


class HostServices(NamedTuple):
    """What a part is made with; see [Services][symphony_sdk.providers.Services].

    Args:
        config: The settings of the extension that brings the part.
        data_dir: A directory of the extension's own.
        pit: The Pit.
        extensions: The extensions in workers.
        executors: Every executor by name.
    """

    config: Mapping[str, Any]
    data_dir: Path
    pit: PitPort
    extensions: ExtensionPort
    executors: Mapping[str, ExecutorPort]


class InstalledPit:
    """The components that are installed, each made when it is first read; adapter of `PitPort`.

    Args:
        host: Whose plugins provide them.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.RLock()
        self.made: dict[PitRole, Any] = {}

    @property
    def pool(self) -> PoolManager:
        """Keeps models in memory."""
        return cast("PoolManager", self._component("pool_manager"))

    @property
    def tracker(self) -> DagTracker:
        """Runs workflow graphs."""
        return cast("DagTracker", self._component("dag_tracker"))

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps bytes by their content."""
        return cast("ArtifactStore", self._component("artifact_store"))

    @property
    def arbitration(self) -> ArbitrationEngine:
        """Decides who gets what several want."""
        return cast("ArbitrationEngine", self._component("arbitration_engine"))

    @property
    def stale(self) -> StaleManager:
        """Ages what nobody needs."""
        return cast("StaleManager", self._component("stale_manager"))

    def _component(self, role: PitRole) -> Any:
        with self._lock:
            if role not in self.made:
                provided = self._host.plugins.pit_components().get(role)
                if provided is None:
                    raise PortError(
                        f"no usable extension provides the {role.replace('_', ' ')}",
                        hint=f"Install {_PACKAGES[role]}, or see `symphony doctor` for what is wrong with it.",
                    )
                self.made[role] = _created(
                    self._host, provided.extension, provided.provider.create, f"the {role.replace('_', ' ')}"
                )
            return self.made[role]


class InstalledExecutors(Mapping[str, ExecutorPort]):
    """The executors that are installed by name, each made when it is first read.

    Args:
        host: Whose plugins provide them.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.made: dict[str, ExecutorPort] = {}

    def __getitem__(self, name: str) -> ExecutorPort:
        if name not in self.made:
            provided = self._host.plugins.executors()[name]
            self.made[name] = _created(
                self._host, provided.extension, provided.provider.create, f"the executor {name!r}"
            )
        return self.made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._host.plugins.executors()

    def __iter__(self) -> Iterator[str]:
        return iter(self._host.plugins.executors())

    def __len__(self) -> int:
        return len(self._host.plugins.executors())


class _HostArtifacts:
    """The Artifact Store as an extension in the host sees it."""

    def __init__(self, pit: PitPort) -> None:
        self._pit = pit

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        return self._pit.artifacts.put(data, name=name, media_type=media_type, metadata=metadata)

    def get(self, ref: ArtifactRef | str) -> bytes:
        return self._pit.artifacts.get(ref if isinstance(ref, str) else ref.id)


def _created(host: Host, extension: str, create: Callable[[HostServices], Any], what: str) -> Any:
    try:
        return create(host.services(extension))
    except SymphonyError:
        raise
    except Exception as error:
        foreign = foreign_error(error, extension)
        raise PortError(
            f"{extension!r} could not make {what}: {foreign.message}",
            code="SYM-O003",
            hint="This is an error of the extension; `--debug` shows where.",
            traceback=foreign.traceback,
        ) from error


def _log_line(extension: str, level: str, text: str) -> None:
    logging.getLogger(f"symphony.extension.{extension}").log(_LEVELS.get(level, logging.INFO), "%s", text)
