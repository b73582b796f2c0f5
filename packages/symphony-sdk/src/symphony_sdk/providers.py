"""What an extension that runs in the host provides: parts of Symphony, each with the callable that makes it.

It holds callables, so it stays in the process that registered it.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from symphony_sdk.ports import (
        BlockingConductorPort,
        BridgePort,
        BusPort,
        ConductorPort,
        DataAccessPort,
        ExecutorPort,
        ExtensionPort,
        ObserverPort,
        OpenTier,
        PitPort,
        TextEditingPort,
        TransportPort,
    )

PitRole = Literal["pool_manager", "dag_tracker", "artifact_store", "arbitration_engine", "stale_manager"]


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

    @property
    def transports(self) -> "Mapping[str, TransportPort]":
        """Every transport by scheme."""

    @property
    def artifact_tiers(self) -> "Mapping[str, OpenTier]":
        """What opens a tier of artifacts, by the scheme of its URL."""

    @property
    def bus(self) -> "BusPort":
        """The host's node of the message bus; to be used on its event loop, from a thread by way of the bridge."""

    @property
    def bridge(self) -> "BridgePort":
        """Between threads and the event loop of the host: how code that waits uses what is asynchronous."""


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


class TierScheme(msgspec.Struct, frozen=True):
    """Provides tiers of artifacts: places away from this machine that keep sealed files.

    Args:
        scheme: First part of their URLs, such as `s3`.
        create: Makes what opens the tier at a URL; called once, when such a tier is first used.
    """

    scheme: str
    create: "Callable[[Services], OpenTier]"


class BusUplink(msgspec.Struct, frozen=True):
    """Provides a bus above the host's own, such as one between machines.

    Args:
        name: What the setting `bus_uplink` names, such as `nats`.
        connect: Connects to it and gives what the host's bus joins, an `Uplink` of `symphony_ipc.bus`; called on
            the event loop of the bus, which closes it.
    """

    name: str
    connect: "Callable[[Services], Awaitable[Any]]"


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
    create: "Callable[[Services], ConductorPort | BlockingConductorPort]"


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


class Observer(msgspec.Struct, frozen=True):
    """Provides what watches runs.

    Args:
        name: Its name in messages.
        create: Makes it; called on the event loop when the first event of a run is there to be seen. None where its
            settings leave it nothing to do.
    """

    name: str
    create: "Callable[[Services], ObserverPort | None]"


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
    """Adds a template that users make workflows of.

    Args:
        name: Unique within the extension.
        title: A few words for people, shown until the file is read.
        package: Import name of the package that holds the file.
        path: Path of the template file inside the package.
    """

    name: str
    title: str
    package: str
    path: str
