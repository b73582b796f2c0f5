"""Workflow formats of other programs: what reads and writes one, and what it says about what did not fit."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec


class FormatNote(msgspec.Struct, frozen=True):
    """Something of one format that the other has no equal for.

    Args:
        node: The node, as the file that was read names it; `$workflow` for what concerns all of the workflow.
        becomes: The id of what it became in the workflow or file that was made; empty where it became none.
        what: What was found.
        why: Why it could not be taken over as it is.
        instead: What was done in its place.
    """

    node: str
    becomes: str
    what: str
    why: str
    instead: str


class NodeMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which operation stands for a node type of another program.

    Args:
        uses: The id of the operation, such as `acme.image.sample`.
        kind: What the operation is.
        inputs: The operation's input port by the name that the other program has for it; others keep their name.
        outputs: The same for output ports.
    """

    uses: str
    kind: Literal["operator", "instrument"] = "operator"
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}


class ImportedWorkflow(msgspec.Struct, frozen=True):
    """What was made of a file of another program.

    Args:
        document: The JSON document of the workflow.
        notes: What could not be taken over as it is; nothing else is missing.
    """

    document: dict[str, Any]
    notes: tuple[FormatNote, ...] = ()


class ExportedWorkflow(msgspec.Struct, frozen=True):
    """A file for another program.

    Args:
        data: Its bytes.
        notes: What of the workflow is not in them, or is only there for Symphony to read back.
    """

    data: bytes
    notes: tuple[FormatNote, ...] = ()


class FormatReader(Protocol):
    """Makes a workflow of a file; it runs nothing of the file and fetches nothing that the file names."""

    def __call__(self, data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
        """Read a file.

        Args:
            data: What is in the file.
            name: What to call the workflow where the file does not say; perhaps the name of the file.
            mapping: The operations that stand for node types, by node type.

        Raises:
            WorkflowError: SYM-W101, it cannot be read; SYM-W102, it has another shape than the format says.
        """


class WorkflowFormat(msgspec.Struct, frozen=True):
    """A format of another program that workflows are read from, and perhaps written to.

    Args:
        name: What `--from` and `--to` name, such as `cwl`.
        title: A few words for people.
        suffix: How the names of its files end, such as `.cwl`.
        detect: How sure it is that bytes are a file of this format, from 0 to 1.
        read: Makes a workflow of a file.
        write: Makes a file of the JSON document of a workflow; None where there is no way back.
    """

    name: str
    title: str
    suffix: str
    detect: Callable[[bytes], float]
    read: FormatReader
    write: Callable[[Mapping[str, Any]], ExportedWorkflow] | None = None
