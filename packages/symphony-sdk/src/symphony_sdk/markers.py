"""Marks functions as implementations of hooks.

`hookimpl` marks any of them. The typed markers mark one each and take only a function of the right type,
so that a type checker rejects a wrong implementation before anybody runs it.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    import msgspec

    from symphony_sdk.events import RunEvent
    from symphony_sdk.extension import Addon, Context, Instrument, Operator, Scorer
    from symphony_sdk.formats import WorkflowFormat
    from symphony_sdk.providers import (
        BusUplink,
        CliCommand,
        Conductor,
        DataAccess,
        Editor,
        Executor,
        FrontendCommand,
        Observer,
        PitComponent,
        TierScheme,
        Transport,
        WorkflowTemplate,
    )

PROJECT = "symphony"
"""The name under which pluggy knows the hooks of Symphony."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of the hook that has the function's name."""

Operators = TypeVar("Operators", bound="Callable[[], Iterable[Operator[..., Any]]]")
Instruments = TypeVar("Instruments", bound="Callable[[], Iterable[Instrument]]")
Scorers = TypeVar("Scorers", bound="Callable[[], Iterable[Scorer[..., Any]]]")
Addons = TypeVar("Addons", bound="Callable[[], Iterable[Addon]]")
Lifecycle = TypeVar("Lifecycle", bound="Callable[[Context], None]")
HealthCheck = TypeVar("HealthCheck", bound="Callable[[Context], str | None]")
StateSaver = TypeVar("StateSaver", bound="Callable[[Context], bytes]")
StateRestorer = TypeVar("StateRestorer", bound="Callable[[Context, str, bytes], None]")
PitComponents = TypeVar("PitComponents", bound="Callable[[], Iterable[PitComponent]]")
Executors = TypeVar("Executors", bound="Callable[[], Iterable[Executor]]")
Transports = TypeVar("Transports", bound="Callable[[], Iterable[Transport]]")
TierSchemes = TypeVar("TierSchemes", bound="Callable[[], Iterable[TierScheme]]")
BusUplinks = TypeVar("BusUplinks", bound="Callable[[], Iterable[BusUplink]]")
Editors = TypeVar("Editors", bound="Callable[[], Iterable[Editor]]")
Conductors = TypeVar("Conductors", bound="Callable[[], Iterable[Conductor]]")
DataAccesses = TypeVar("DataAccesses", bound="Callable[[], Iterable[DataAccess]]")
Commands = TypeVar("Commands", bound="Callable[[], Iterable[FrontendCommand]]")
CliCommands = TypeVar("CliCommands", bound="Callable[[], Iterable[CliCommand]]")
MessageTypes = TypeVar("MessageTypes", bound="Callable[[], Iterable[type[msgspec.Struct]]]")
WorkflowTemplates = TypeVar("WorkflowTemplates", bound="Callable[[], Iterable[WorkflowTemplate]]")
WorkflowFormats = TypeVar("WorkflowFormats", bound="Callable[[], Iterable[WorkflowFormat]]")
Observers = TypeVar("Observers", bound="Callable[[], Iterable[Observer]]")
Watcher = TypeVar("Watcher", bound="Callable[[RunEvent], None]")


def provides_operators(function: Operators) -> Operators:
    """Mark the function that lists the operators of an extension."""
    return hookimpl(specname="symphony_operators")(function)


def provides_instruments(function: Instruments) -> Instruments:
    """Mark the function that lists the instruments of an extension."""
    return hookimpl(specname="symphony_instruments")(function)


def provides_scorers(function: Scorers) -> Scorers:
    """Mark the function that lists the scorers of an extension."""
    return hookimpl(specname="symphony_scorers")(function)


def provides_addons(function: Addons) -> Addons:
    """Mark the function that lists the addons of an extension."""
    return hookimpl(specname="symphony_addons")(function)


def on_load(function: Lifecycle) -> Lifecycle:
    """Mark the function that prepares an extension after its import."""
    return hookimpl(specname="symphony_load")(function)


def on_activate(function: Lifecycle) -> Lifecycle:
    """Mark the function that runs before an extension is called."""
    return hookimpl(specname="symphony_activate")(function)


def on_deactivate(function: Lifecycle) -> Lifecycle:
    """Mark the function that runs after an extension was called for the last time."""
    return hookimpl(specname="symphony_deactivate")(function)


def on_unload(function: Lifecycle) -> Lifecycle:
    """Mark the function that runs before an extension's process ends."""
    return hookimpl(specname="symphony_unload")(function)


def on_health(function: HealthCheck) -> HealthCheck:
    """Mark the function that says whether an extension can do its work."""
    return hookimpl(specname="symphony_health")(function)


def on_save_state(function: StateSaver) -> StateSaver:
    """Mark the function that hands an extension's state over when it is reloaded."""
    return hookimpl(specname="symphony_save_state")(function)


def on_restore_state(function: StateRestorer) -> StateRestorer:
    """Mark the function that takes over the state of an extension that is reloaded."""
    return hookimpl(specname="symphony_restore_state")(function)


def provides_pit_components(function: PitComponents) -> PitComponents:
    """Mark the function that lists an extension's components of the Pit."""
    return hookimpl(specname="symphony_pit_components")(function)


def provides_executors(function: Executors) -> Executors:
    """Mark the function that lists an extension's executors."""
    return hookimpl(specname="symphony_executors")(function)


def provides_transports(function: Transports) -> Transports:
    """Mark the function that lists an extension's transports."""
    return hookimpl(specname="symphony_transports")(function)


def provides_artifact_tiers(function: TierSchemes) -> TierSchemes:
    """Mark the function that lists an extension's tiers of artifacts."""
    return hookimpl(specname="symphony_artifact_tiers")(function)


def provides_bus_uplinks(function: BusUplinks) -> BusUplinks:
    """Mark the function that provides buses for the host's own to join."""
    return hookimpl(specname="symphony_bus_uplinks")(function)


def provides_editors(function: Editors) -> Editors:
    """Mark the function that lists an extension's text editors."""
    return hookimpl(specname="symphony_editors")(function)


def provides_conductors(function: Conductors) -> Conductors:
    """Mark the function that lists an extension's conductors."""
    return hookimpl(specname="symphony_conductors")(function)


def provides_data_access(function: DataAccesses) -> DataAccesses:
    """Mark the function that lists an extension's ways to the data."""
    return hookimpl(specname="symphony_data_access")(function)


def provides_commands(function: Commands) -> Commands:
    """Mark the function that lists an extension's commands for user interfaces."""
    return hookimpl(specname="symphony_commands")(function)


def provides_cli(function: CliCommands) -> CliCommands:
    """Mark the function that lists an extension's commands for the command line."""
    return hookimpl(specname="symphony_cli")(function)


def provides_message_types(function: MessageTypes) -> MessageTypes:
    """Mark the function that lists an extension's messages."""
    return hookimpl(specname="symphony_message_types")(function)


def provides_workflow_templates(function: WorkflowTemplates) -> WorkflowTemplates:
    """Mark the function that lists an extension's workflow templates."""
    return hookimpl(specname="symphony_workflow_templates")(function)


def provides_workflow_formats(function: WorkflowFormats) -> WorkflowFormats:
    """Mark the function that lists the workflow formats that an extension reads and writes."""
    return hookimpl(specname="symphony_workflow_formats")(function)


def provides_observers(function: Observers) -> Observers:
    """Mark the function that lists what of an extension watches runs."""
    return hookimpl(specname="symphony_observers")(function)


def observes_events(function: Watcher) -> Watcher:
    """Mark the function that sees every event of every run."""
    return hookimpl(specname="symphony_event")(function)
