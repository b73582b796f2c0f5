"""The parts that installed extensions provide, each made when it is first used.

They are made on the host's event loop, from whichever thread they are first used, so no two are made at once.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from symphony_sdk.errors import ErrorPayload, PortError, SymphonyError, foreign_error
from symphony_sdk.events import RunEvent
from symphony_sdk.ports import (
    ArbitrationEngine,
    ArtifactStore,
    DagTracker,
    FailureAdvice,
    NodeCall,
    ObserverPort,
    PlanAdvice,
    PoolManager,
    StaleManager,
)
from symphony_sdk.providers import Conductor, PitRole, Services

if TYPE_CHECKING:
    from symphony_host.composition import Host
    from symphony_host.plugins import Provided

Part = TypeVar("Part")
Part_co = TypeVar("Part_co", covariant=True)
Advice = TypeVar("Advice", PlanAdvice, FailureAdvice)

_ROLES: Mapping[str, PitRole] = {
    "pool": "pool_manager",
    "tracker": "dag_tracker",
    "artifacts": "artifact_store",
    "arbitration": "arbitration_engine",
    "stale": "stale_manager",
}


class Provider(Protocol[Part_co]):
    """What an extension hands out for a part."""

    @property
    def create(self) -> Callable[[Services], Part_co]:
        """Makes the part."""


class InstalledPit:
    """The components that are installed; adapter of `PitPort`.

    Each is an attribute once it is made, so that a call of the Pit costs no more than a call of its component.

    Args:
        host: Whose plugins provide them.

    Attributes:
        pool: Keeps models in memory.
        tracker: Runs workflow graphs.
        artifacts: Keeps bytes by their content.
        arbitration: Decides who gets what several want.
        stale: Ages what nobody needs.
        made: The components that are made, by role.
    """

    pool: PoolManager
    tracker: DagTracker
    artifacts: ArtifactStore
    arbitration: ArbitrationEngine
    stale: StaleManager

    def __init__(self, host: "Host") -> None:
        self._host = host
        self.made: dict[PitRole, Any] = {}

    def __getattr__(self, name: str) -> Any:
        role = _ROLES.get(name)
        if role is None:
            raise AttributeError(f"the Pit has no {name!r}: it has {', '.join(_ROLES)}")
        return self._host.bridge.here(self._make, name, role)

    def _make(self, name: str, role: PitRole) -> Any:
        if role not in self.made:
            what = role.replace("_", " ")
            provided = self._host.plugins.pit_components().get(role)
            if provided is None:
                raise PortError(
                    f"no usable extension provides the {what}",
                    hint=f"Install pit-{role.replace('_', '-')}, or see `symphony doctor` for what is wrong with it.",
                )
            self.made[role] = _created(self._host, provided, f"the {what}")
            setattr(self, name, self.made[role])
        return self.made[role]


class InstalledParts(Mapping[str, Part]):
    """The parts of one kind that are installed, by name.

    Args:
        host: Whose plugins provide them.
        kind: What one of them is called.
        providers: The providers by name.
    """

    def __init__(
        self, host: "Host", kind: str, providers: "Callable[[], Mapping[str, Provided[Provider[Part]]]]"
    ) -> None:
        self._host = host
        self._kind = kind
        self._providers = providers
        self.made: dict[str, Part] = {}

    def __getitem__(self, name: str) -> Part:
        made = self.made.get(name)
        return self._host.bridge.here(self._make, name) if made is None else made

    def __contains__(self, name: object) -> bool:
        return name in self._providers()

    def __iter__(self) -> Iterator[str]:
        return iter(self._providers())

    def __len__(self) -> int:
        return len(self._providers())

    def _make(self, name: str) -> Part:
        if name not in self.made:
            self.made[name] = _created(self._host, self._providers()[name], f"the {self._kind} {name!r}")
        return self.made[name]


class InstalledConductor:
    """The conductor that is installed; one whose methods are plain functions runs on a thread. Adapter of
    `ConductorPort`.

    Args:
        host: Whose plugins provide it.
        provided: Its provider.
    """

    def __init__(self, host: "Host", provided: "Provided[Conductor]") -> None:
        self._host = host
        self._provided = provided
        self._made: Any = None

    async def plan(self, workflow: dict[str, Any], executors: tuple[str, ...]) -> PlanAdvice:
        """How to run a workflow.

        Args:
            workflow: The workflow as its JSON document.
            executors: Names of the executors that there are.

        Raises:
            PortError: SYM-O003, it could not be made; SYM-O004, what it says is no such advice.
        """
        return await self._advice(PlanAdvice, "plan", workflow, executors)

    async def on_failure(self, call: NodeCall, error: ErrorPayload) -> FailureAdvice:
        """What to do about a call that failed and has no attempt left.

        Args:
            call: The call.
            error: Why it failed.

        Raises:
            PortError: SYM-O003, it could not be made; SYM-O004, what it says is no such advice.
        """
        return await self._advice(FailureAdvice, "on_failure", call, error)

    async def _advice(self, kind: type[Advice], name: str, *args: Any) -> Advice:
        if self._made is None:
            self._made = _created(self._host, self._provided, "the conductor")
        method = getattr(self._made, name)
        if inspect.iscoroutinefunction(method):
            advice = await method(*args)
        else:
            advice = await self._host.bridge.in_thread(method, *args)
        if not isinstance(advice, kind):
            raise PortError(
                f"{name} of the conductor of {self._provided.extension!r} gave {advice!r}, not {kind.__name__}",
                code="SYM-O004",
                hint="This is an error of the extension: see the docstrings of ConductorPort.",
            )
        return advice


class InstalledObservers:
    """What watches runs, made when the first event is there to be seen; one that raises harms no other and no run.

    Args:
        host: Whose plugins provide it.
    """

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._made: list[tuple[str, ObserverPort]] | None = None

    def see(self, event: RunEvent) -> None:
        """Show an event to every observer.

        Args:
            event: What happened in a run.
        """
        if self._made is None:
            self._made = list(self._make())
        for extension, observer in self._made:
            try:
                observer.see(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer is an extension's own code
                self._host.plugins.contain(extension, foreign_error(error, extension))

    async def close(self) -> None:
        """Close every observer."""
        made, self._made = self._made or (), []
        for extension, observer in made:
            try:
                await observer.close()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                self._host.plugins.contain(extension, foreign_error(error, extension))

    def _make(self) -> Iterator[tuple[str, ObserverPort]]:
        for name, provided in self._host.plugins.observers().items():
            try:
                made = _created(self._host, provided, f"the observer {name!r}")
            except SymphonyError as error:  # nobody asked for it just now: it is told, and the run goes on
                self._host.plugins.contain(provided.extension, error)
            else:
                if made is not None:
                    yield provided.extension, made


def _created(host: "Host", provided: "Provided[Provider[Part]]", what: str) -> Part:
    try:
        return provided.provider.create(host.services(provided.extension))
    except SymphonyError:
        raise
    except Exception as error:
        foreign = foreign_error(error, provided.extension)
        raise PortError(
            f"{provided.extension!r} could not make {what}: {foreign.message}",
            code="SYM-O003",
            hint="This is an error of the extension; `--debug` shows where.",
            traceback=foreign.traceback,
        ) from error
