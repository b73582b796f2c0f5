"""What an author of an extension imports.

Names are imported when they are first used, so that a worker pays only for what its extension needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_sdk.contributions import AddonSpec as AddonSpec
    from symphony_sdk.contributions import Artifact as Artifact
    from symphony_sdk.contributions import ArtifactRef as ArtifactRef
    from symphony_sdk.contributions import CommandSpec as CommandSpec
    from symphony_sdk.contributions import ModelInfo as ModelInfo
    from symphony_sdk.contributions import OperationSpec as OperationSpec
    from symphony_sdk.contributions import PanelSpec as PanelSpec
    from symphony_sdk.contributions import PortSpec as PortSpec
    from symphony_sdk.contributions import Rating as Rating
    from symphony_sdk.contributions import ThemeSpec as ThemeSpec
    from symphony_sdk.errors import (
        Cancelled as Cancelled,
    )
    from symphony_sdk.errors import (
        ExtensionError as ExtensionError,
    )
    from symphony_sdk.errors import (
        PermissionDenied as PermissionDenied,
    )
    from symphony_sdk.errors import (
        SymphonyError as SymphonyError,
    )
    from symphony_sdk.extension import (
        Addon as Addon,
    )
    from symphony_sdk.extension import (
        Context as Context,
    )
    from symphony_sdk.extension import (
        Instrument as Instrument,
    )
    from symphony_sdk.extension import (
        Operator as Operator,
    )
    from symphony_sdk.extension import (
        Scorer as Scorer,
    )
    from symphony_sdk.extension import (
        operator as operator,
    )
    from symphony_sdk.extension import (
        scorer as scorer,
    )
    from symphony_sdk.formats import ExportedWorkflow as ExportedWorkflow
    from symphony_sdk.formats import FormatNote as FormatNote
    from symphony_sdk.formats import ImportedWorkflow as ImportedWorkflow
    from symphony_sdk.formats import NodeMapping as NodeMapping
    from symphony_sdk.formats import WorkflowFormat as WorkflowFormat
    from symphony_sdk.markers import (
        hookimpl as hookimpl,
    )
    from symphony_sdk.markers import (
        observes_events as observes_events,
    )
    from symphony_sdk.markers import (
        on_activate as on_activate,
    )
    from symphony_sdk.markers import (
        on_deactivate as on_deactivate,
    )
    from symphony_sdk.markers import (
        on_health as on_health,
    )
    from symphony_sdk.markers import (
        on_load as on_load,
    )
    from symphony_sdk.markers import (
        on_restore_state as on_restore_state,
    )
    from symphony_sdk.markers import (
        on_save_state as on_save_state,
    )
    from symphony_sdk.markers import (
        on_unload as on_unload,
    )
    from symphony_sdk.markers import (
        provides_addons as provides_addons,
    )
    from symphony_sdk.markers import (
        provides_artifact_tiers as provides_artifact_tiers,
    )
    from symphony_sdk.markers import (
        provides_bus_uplinks as provides_bus_uplinks,
    )
    from symphony_sdk.markers import (
        provides_cli as provides_cli,
    )
    from symphony_sdk.markers import (
        provides_commands as provides_commands,
    )
    from symphony_sdk.markers import (
        provides_conductors as provides_conductors,
    )
    from symphony_sdk.markers import (
        provides_data_access as provides_data_access,
    )
    from symphony_sdk.markers import (
        provides_editors as provides_editors,
    )
    from symphony_sdk.markers import (
        provides_executors as provides_executors,
    )
    from symphony_sdk.markers import (
        provides_instruments as provides_instruments,
    )
    from symphony_sdk.markers import (
        provides_message_types as provides_message_types,
    )
    from symphony_sdk.markers import (
        provides_observers as provides_observers,
    )
    from symphony_sdk.markers import (
        provides_operators as provides_operators,
    )
    from symphony_sdk.markers import (
        provides_pit_components as provides_pit_components,
    )
    from symphony_sdk.markers import (
        provides_scorers as provides_scorers,
    )
    from symphony_sdk.markers import (
        provides_transports as provides_transports,
    )
    from symphony_sdk.markers import (
        provides_workflow_formats as provides_workflow_formats,
    )
    from symphony_sdk.markers import (
        provides_workflow_templates as provides_workflow_templates,
    )
    from symphony_sdk.messages import (
        message as message,
    )
    from symphony_sdk.providers import BusUplink as BusUplink
    from symphony_sdk.providers import CliCommand as CliCommand
    from symphony_sdk.providers import Conductor as Conductor
    from symphony_sdk.providers import DataAccess as DataAccess
    from symphony_sdk.providers import Editor as Editor
    from symphony_sdk.providers import Executor as Executor
    from symphony_sdk.providers import FrontendCommand as FrontendCommand
    from symphony_sdk.providers import Observer as Observer
    from symphony_sdk.providers import PitComponent as PitComponent
    from symphony_sdk.providers import Services as Services
    from symphony_sdk.providers import TierScheme as TierScheme
    from symphony_sdk.providers import Transport as Transport
    from symphony_sdk.providers import WorkflowTemplate as WorkflowTemplate

__version__ = "0.1.0"

_HOME = {
    "contributions": (
        "AddonSpec",
        "Artifact",
        "ArtifactRef",
        "CommandSpec",
        "ModelInfo",
        "OperationSpec",
        "PanelSpec",
        "PortSpec",
        "Rating",
        "ThemeSpec",
    ),
    "errors": ("Cancelled", "ExtensionError", "PermissionDenied", "SymphonyError"),
    "extension": ("Addon", "Context", "Instrument", "Operator", "Scorer", "operator", "scorer"),
    "formats": ("ExportedWorkflow", "FormatNote", "ImportedWorkflow", "NodeMapping", "WorkflowFormat"),
    "markers": (
        "on_health",
        "hookimpl",
        "observes_events",
        "on_activate",
        "on_deactivate",
        "on_load",
        "on_unload",
        "provides_addons",
        "provides_artifact_tiers",
        "provides_bus_uplinks",
        "provides_cli",
        "provides_commands",
        "provides_conductors",
        "provides_data_access",
        "provides_editors",
        "provides_executors",
        "provides_instruments",
        "provides_message_types",
        "provides_observers",
        "provides_operators",
        "provides_pit_components",
        "provides_scorers",
        "provides_transports",
        "provides_workflow_formats",
        "provides_workflow_templates",
        "on_restore_state",
        "on_save_state",
    ),
    "messages": ("message",),
    "providers": (
        "BusUplink",
        "CliCommand",
        "Conductor",
        "DataAccess",
        "Editor",
        "Executor",
        "FrontendCommand",
        "Observer",
        "PitComponent",
        "Services",
        "TierScheme",
        "Transport",
        "WorkflowTemplate",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
