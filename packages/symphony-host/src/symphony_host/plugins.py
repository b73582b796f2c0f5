"""The extensions that run in the host: imports them, checks their hooks, and collects what they provide.

Each has a plugin manager of its own, so that its exceptions, its misspelt hooks and its exit calls are its
own, and no implementation of a hook hides another's result.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pluggy
from symphony_sdk import providers
from symphony_sdk.errors import ExtensionError, SymphonyError, foreign_error
from symphony_sdk.formats import WorkflowFormat
from symphony_sdk.loading import Contributions, collect, contributions_of, import_extension, plugin_manager
from symphony_sdk.messages import MESSAGES

from symphony_host.lifecycle import Step
from symphony_host.records import ExtensionRecord
from symphony_host.trust import refusal_in_host

if TYPE_CHECKING:
    from symphony_sdk.events import RunEvent
    from symphony_sdk.extension import Context

_log = logging.getLogger(__name__)

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)


class Provided(NamedTuple, Generic[P_co]):
    """A provider and who brought it.

    Args:
        extension: Id of the extension.
        provider: What its hook handed out.
    """

    extension: str
    provider: P_co


class PluginManager:
    """The extensions that are loaded into the host.

    What is wrong with one of them is kept in `faults` and harms no other.

    Args:
        trusted: Ids of extensions outside of the family that the user lets into the host.
        strict: Whether an extension's error is raised after it was noted, for those who look for it.
    """

    def __init__(self, *, trusted: Collection[str] = (), strict: bool = False) -> None:
        self._trusted = frozenset(trusted)
        self._strict = strict
        self._loaded: dict[str, pluggy.PluginManager] = {}
        self._collected: dict[str, dict[str, Provided[Any]]] = {}
        self._faults: dict[str, list[SymphonyError]] = {}
        self._watching: list[tuple[str, pluggy.PluginManager]] | None = None

    @property
    def faults(self) -> Mapping[str, Sequence[SymphonyError]]:
        """What went wrong so far, by id of the extension; the same fault is kept once."""
        return self._faults

    @property
    def loaded(self) -> Sequence[str]:
        """Ids of the loaded extensions in the order in which they were loaded."""
        return tuple(self._loaded)

    def load(self, record: ExtensionRecord) -> None:
        """Import an extension and check its hooks; does nothing where it is loaded.

        What its import prints goes to the log, so that it cannot spoil a command's output.

        Args:
            record: The extension; its manifest says `runs = "host"`.

        Raises:
            ExtensionError: SYM-E027, it may not run in the host; SYM-E015, E016, E019, its module is missing,
                raises, or implements a hook wrongly.
        """
        if record.id in self._loaded:
            return
        printed = io.StringIO()
        try:
            if (refusal := refusal_in_host(record, self._trusted)) is not None:
                raise refusal
            with contextlib.redirect_stdout(printed):
                plugin = import_extension(record.id, record.manifest.module)
                self._loaded[record.id] = plugin_manager(record.id, plugin)
        except SymphonyError as error:
            self._note(record.id, error)
            raise
        finally:
            for line in printed.getvalue().splitlines():
                _log.warning("%s printed while it was imported: %s", record.id, line)
        self._forget()

    def run(self, extension: str, step: Step, ctx: "Context") -> None:
        """Run the hook of one step of a loaded extension's life; nothing where it has none.

        Args:
            extension: Its id.
            step: The step.
            ctx: What the extension may touch.

        Raises:
            SymphonyError: What its own code raised.
        """
        hook = getattr(self._manager(extension).hook, f"symphony_{step}")
        try:
            hook(ctx=ctx)
        except (Exception, SystemExit) as error:
            fault = foreign_error(error, extension)
            self._note(extension, fault)
            raise fault from error

    def unload(self, extension: str) -> None:
        """Forget a loaded extension and what it provided; Python keeps its module.

        Args:
            extension: Its id.
        """
        self._loaded.pop(extension, None)
        self._forget()

    def contributions(self, extension: str) -> Contributions:
        """The operations and addons of a loaded extension; none where its contributions are broken.

        Args:
            extension: Its id.
        """
        manager = self._manager(extension)
        try:
            return contributions_of(extension, manager.get_plugin(extension), manager)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook is an extension's own code
            self.contain(extension, foreign_error(error, extension))
            return Contributions()

    def pit_components(self) -> "Mapping[str, Provided[providers.PitComponent]]":
        """The providers of components of the Pit by role."""
        return self._provided("symphony_pit_components", providers.PitComponent, lambda each, _: each.role)

    def executors(self) -> "Mapping[str, Provided[providers.Executor]]":
        """The providers of executors by name."""
        return self._provided("symphony_executors", providers.Executor, _by_name)

    def transports(self) -> "Mapping[str, Provided[providers.Transport]]":
        """The providers of transports by scheme."""
        return self._provided("symphony_transports", providers.Transport, lambda each, _: each.scheme)

    def artifact_tiers(self) -> "Mapping[str, Provided[providers.TierScheme]]":
        """The providers of tiers of artifacts by scheme."""
        return self._provided("symphony_artifact_tiers", providers.TierScheme, lambda each, _: each.scheme)

    def bus_uplinks(self) -> "Mapping[str, Provided[providers.BusUplink]]":
        """The providers of buses that the host's own can join, by name."""
        return self._provided("symphony_bus_uplinks", providers.BusUplink, _by_name)

    def editors(self) -> "Mapping[str, Provided[providers.Editor]]":
        """The providers of text editors by name."""
        return self._provided("symphony_editors", providers.Editor, _by_name)

    def conductors(self) -> "Mapping[str, Provided[providers.Conductor]]":
        """The providers of conductors by name."""
        return self._provided("symphony_conductors", providers.Conductor, _by_name)

    def data_access(self) -> "Mapping[str, Provided[providers.DataAccess]]":
        """The providers of the access to the data by name."""
        return self._provided("symphony_data_access", providers.DataAccess, _by_name)

    def commands(self) -> "Mapping[str, Provided[providers.FrontendCommand]]":
        """The commands for user interfaces by name."""
        return self._provided("symphony_commands", providers.FrontendCommand, _by_name)

    def cli_commands(self) -> "Mapping[str, Provided[providers.CliCommand]]":
        """The commands for the command line by name."""
        return self._provided("symphony_cli", providers.CliCommand, _by_name)

    def message_types(self) -> "Mapping[str, Provided[type]]":
        """The message types by wire name; their modules registered them when they were imported."""
        return self._provided("symphony_message_types", type, _by_wire_name)

    def workflow_templates(self) -> "Mapping[str, Provided[providers.WorkflowTemplate]]":
        """The workflow templates by `extension/name`."""
        return self._provided(
            "symphony_workflow_templates",
            providers.WorkflowTemplate,
            lambda each, extension: f"{extension}/{each.name}",
        )

    def workflow_formats(self) -> "Mapping[str, Provided[WorkflowFormat]]":
        """The workflow formats of other programs by name."""
        return self._provided("symphony_workflow_formats", WorkflowFormat, _by_name)

    def observers(self) -> "Mapping[str, Provided[providers.Observer]]":
        """The providers of what watches runs by name."""
        return self._provided("symphony_observers", providers.Observer, _by_name)

    def publish(self, event: "RunEvent") -> None:
        """Show an event to every observer; one that raises is noted and harms no other.

        Args:
            event: What happened in a run.
        """
        if self._watching is None:  # a call of a hook that an extension does not have takes its time, too
            self._watching = [
                (extension, manager)
                for extension, manager in self._loaded.items()
                if manager.hook.symphony_event.get_hookimpls()
            ]
        for extension, manager in self._watching:
            try:
                manager.hook.symphony_event(event=event)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer is an extension's own code
                self.contain(extension, foreign_error(error, extension))

    def contain(self, extension: str, error: SymphonyError) -> None:
        """Note what went wrong with an extension, so that it harms nothing else.

        Args:
            extension: Its id.
            error: What went wrong.

        Raises:
            SymphonyError: `error`, where the manager is strict.
        """
        self._note(extension, error)
        if self._strict:
            raise error

    def _provided(self, hook: str, kind: type[P], key: Callable[[P, str], str]) -> Mapping[str, Provided[P]]:
        """What a hook hands out, collected once; of two with one key neither counts, and both are told."""
        if hook not in self._collected:
            claims: dict[str, list[Provided[P]]] = {}
            for extension, manager in self._loaded.items():
                try:
                    for provider in collect(manager, extension, hook, kind):
                        claims.setdefault(key(provider, extension), []).append(Provided(extension, provider))
                except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook is an extension's own code
                    self.contain(extension, foreign_error(error, extension))
            self._collected[hook] = {name: owners[0] for name, owners in claims.items() if len(owners) == 1}
            for name, owners in claims.items():
                if len(owners) > 1:
                    self._refuse(hook, name, [owner.extension for owner in owners])
        return self._collected[hook]

    def _forget(self) -> None:
        self._collected.clear()
        self._watching = None

    def _refuse(self, hook: str, name: str, owners: Sequence[str]) -> None:
        for extension in dict.fromkeys(owners):
            self.contain(
                extension,
                ExtensionError(
                    f"{hook} provides {name!r} more than once: {' and '.join(owners)}; none of them is used",
                    code="SYM-E017",
                    hint=f"`symphony disable` all of {', '.join(dict.fromkeys(owners))} but one.",
                    details={"hook": hook, "name": name, "extensions": list(owners)},
                ),
            )

    def _note(self, extension: str, error: SymphonyError) -> None:
        known = self._faults.setdefault(extension, [])
        if all((each.code, each.message) != (error.code, error.message) for each in known):
            known.append(error)
            _log.error("%s", error)

    def _manager(self, extension: str) -> pluggy.PluginManager:
        try:
            return self._loaded[extension]
        except KeyError:
            raise ExtensionError(
                f"the extension {extension!r} is not loaded into the host",
                code="SYM-E028",
                hint="Load it first.",
            ) from None


def _by_wire_name(contributed: type, extension: str) -> str:
    wire_name = getattr(contributed, "__message_type__", "")
    if MESSAGES.get(wire_name) is not contributed:
        raise ExtensionError(
            f"symphony_message_types of the extension {extension!r} contributed {contributed!r}, "
            "which is not registered as a message",
            code="SYM-E018",
            hint="Derive it from msgspec.Struct and decorate it with @message.",
        )
    return str(wire_name)


def _by_name(provider: Any, _extension: str) -> str:
    name: str = provider.name
    return name
