"""What an extension contributes, as data: typed ports, operations, panels, and providers of parts.

The `...Spec` types cross processes and are kept in the host's index; the provider types hold a callable
and stay in the process that registered them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from symphony_sdk.ports import (
        ConductorPort,
        DataAccessPort,
        ExecutorPort,
        ExtensionPort,
        PitPort,
        TextEditingPort,
        TransportPort,
    )

OperationKind = Literal["operator", "instrument"]
PitRole = Literal["pool_manager", "dag_tracker", "artifact_store", "arbitration_engine", "stale_manager"]


class PortSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One typed input or output of an operation.

    Args:
        name: Name of the port: the parameter's, or the key of the returned `TypedDict`.
        schema: JSON Schema of its values.
        required: Whether a node must receive a value at this input.
        default: The value used where none is given; only for inputs that are not required.
        description: What it is, for a person.
    """

    name: str
    schema: dict[str, Any]
    required: bool = True
    default: Any = None
    description: str = ""


class OperationSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operator or an instrument as a node type of workflows.

    Args:
        id: `publisher.extension.operation`, what a node's `uses` names.
        kind: `operator` or `instrument`.
        inputs: Its input ports in the order of the parameters.
        outputs: Its output ports.
        title: A few words for people.
        description: First paragraph of its docstring.
        version: Version of the operation's meaning, counted from 1; part of every cache key.
        idempotent: Whether running it twice with the same inputs is the same as once.
    """

    id: str
    kind: OperationKind
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    title: str = ""
    description: str = ""
    version: int = 1
    idempotent: bool = True


class PanelSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A panel that an addon adds to the user interface.

    Args:
        id: Unique within the addon.
        title: Shown on the panel.
        entry: Path of its HTML page inside the extension's package.
        accepts: Media types of the artifacts that it can show.
    """

    id: str
    title: str
    entry: str
    accepts: tuple[str, ...] = ()


class CommandSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that an addon adds to the user interface.

    Args:
        id: Unique within the addon.
        title: Shown in menus.
        operation: Id of the operation that it calls.
    """

    id: str
    title: str
    operation: str


class ThemeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A theme that an addon adds to the user interface.

    Args:
        id: Unique within the addon.
        title: Shown in the settings.
        entry: Path of its CSS file inside the extension's package.
        dark: Whether its background is dark.
    """

    id: str
    title: str
    entry: str
    dark: bool = False


class AddonSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one addon adds to the user interface.

    Args:
        id: `publisher.extension.addon`.
        title: A few words for people.
        package: Import name of the package that holds the files.
        panels: Its panels.
        commands: Its commands.
        themes: Its themes.
    """

    id: str
    title: str
    package: str
    panels: tuple[PanelSpec, ...] = ()
    commands: tuple[CommandSpec, ...] = ()
    themes: tuple[ThemeSpec, ...] = ()


class ArtifactRef(msgspec.Struct, frozen=True, tag_field="$type", tag="artifact", omit_defaults=True):
    """A value of a port that lives in the Artifact Store; small, however large the artifact is.

    Args:
        id: Content id.
        size: Size in bytes.
        media_type: Such as `text/html`.
        name: File name for people.
    """

    id: str
    size: int
    media_type: str = "application/octet-stream"
    name: str = ""


class Services(Protocol):
    """What the host gives to a part that it creates: settings, a place on disk, and the ports.

    A port is looked up when it is used, so parts may name each other in any order.
    """

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the extension that brings the part."""

    @property
    def data_dir(self) -> Path:
        """A directory of the extension's own; it exists."""

    @property
    def pit(self) -> "PitPort":
        """The five components of the Pit."""

    @property
    def extensions(self) -> "ExtensionPort":
        """The extensions that run in workers."""

    @property
    def executors(self) -> "Mapping[str, ExecutorPort]":
        """Every executor by name."""


class PitComponent(msgspec.Struct, frozen=True):
    """Provides one component of the Pit.

    Args:
        role: Which of the five it is.
        create: Makes it; called once, when the component is first used.
    """

    role: PitRole
    create: Callable[[Services], Any]


class Executor(msgspec.Struct, frozen=True):
    """Provides a place where nodes run.

    Args:
        name: What `--executor` names, such as `local`.
        create: Makes it; called once, when a run first asks for it.
    """

    name: str
    create: "Callable[[Services], ExecutorPort]"


class Transport(msgspec.Struct, frozen=True):
    """Provides a way for processes to talk.

    Args:
        scheme: First part of its addresses, such as `unix`.
        create: Makes it.
    """

    scheme: str
    create: "Callable[[Services], TransportPort]"


class Editor(msgspec.Struct, frozen=True):
    """Provides a text editor.

    Args:
        name: What the setting `editor` names.
        create: Makes it; called when the editor is first used.
    """

    name: str
    create: "Callable[[Services], TextEditingPort]"


class Conductor(msgspec.Struct, frozen=True):
    """Provides a conductor.

    Args:
        name: What the setting `conductor` names.
        create: Makes it; called with the first run.
    """

    name: str
    create: "Callable[[Services], ConductorPort]"


class DataAccess(msgspec.Struct, frozen=True):
    """Provides the access to users, projects, workflows and extensions.

    Args:
        name: What the setting `data` names.
        create: Makes it; called when it is first used.
    """

    name: str
    create: "Callable[[Services], DataAccessPort]"


class CliCommand(msgspec.Struct, frozen=True):
    """Adds a command to `symphony`.

    Args:
        name: What is typed after `symphony`.
        summary: One line for `symphony --help`.
        target: `package.module:attribute` of a click command, imported when it is called.
    """

    name: str
    summary: str
    target: str


class FrontendCommand(msgspec.Struct, frozen=True):
    """Adds a command that user interfaces can call.

    Args:
        name: Dotted name, such as `workflow.run`.
        summary: One line for people.
        handler: Takes and gives JSON-like values; may be a coroutine function.
    """

    name: str
    summary: str
    handler: Callable[..., Any]


class WorkflowTemplate(msgspec.Struct, frozen=True):
    """Adds a workflow that users start from.

    Args:
        name: Unique within the extension.
        title: A few words for people.
        package: Import name of the package that holds the file.
        path: Path of the workflow file inside the package.
    """

    name: str
    title: str
    package: str
    path: str
