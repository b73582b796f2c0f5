"""What an extension contributes, as data: typed ports, operations, panels and artifacts.

It crosses processes, and the host keeps it beside its index.
"""

from typing import Any, Literal

import msgspec

OperationKind = Literal["operator", "instrument"]


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
        short: Whether a call takes well under a millisecond and waits for nothing.
        pure: Whether the result depends on nothing but the inputs, the extension and its settings, so that an
            earlier one may stand in for a call. None: so it is if the extension asks for no permission but models.
        chains: Whether its calls may follow others on the same thread: those of a plain function, in a worker that
            knows how.
        scores: Of a scorer: how the media types begin that it rates, none of them standing for all; None of any other.
    """

    id: str
    kind: OperationKind
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    title: str = ""
    description: str = ""
    version: int = 1
    idempotent: bool = True
    short: bool = False
    pure: bool | None = None
    chains: bool = False
    scores: tuple[str, ...] | None = None


class ModelInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model as the code of other extensions sees it: an instrument without its code.

    Args:
        name: Its name, the id of the instrument's operation.
        extension: Id of the extension that provides it.
        inputs: Its input ports in the order of the parameters.
        outputs: Its output ports.
        title: A few words for people.
        description: First paragraph of its docstring.
        version: Version of its meaning, counted from 1.
    """

    name: str
    extension: str
    inputs: tuple[PortSpec, ...] = ()
    outputs: tuple[PortSpec, ...] = ()
    title: str = ""
    description: str = ""
    version: int = 1


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


class Artifact(ArtifactRef, frozen=True, tag="artifact", omit_defaults=True):
    """An artifact as a scorer sees it; `ctx.artifacts.get(artifact)` gives its bytes.

    Args:
        id: Content id.
        size: Size in bytes.
        media_type: Such as `text/html`.
        name: File name for people.
        metadata: Facts kept beside it.
        tags: The tags that it has.
        created: Unix time in seconds when it was first stored; 0 where that is not known.
    """

    metadata: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    created: float = 0.0


class Rating(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scorer says of an artifact.

    Args:
        value: How good it is, from 0, of no use, to 1, as good as can be.
        reason: Why, in a line for people; at most 1,000 characters.
    """

    value: float
    reason: str = ""


REASON_LIMIT = 1000
"""Characters that the reason of a rating may have."""


def rating_fault(rating: Rating) -> str:
    """Why a rating cannot be kept as a score; empty where it can.

    Args:
        rating: What a scorer gave.
    """
    if not 0.0 <= rating.value <= 1.0:  # which is true of nan as well
        return f"its value is {rating.value:g}, and not from 0 to 1"
    if len(rating.reason) > REASON_LIMIT:
        return f"its reason has {len(rating.reason):,} characters; {REASON_LIMIT:,} are allowed"
    return ""
