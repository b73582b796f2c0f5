"""The workflow formats of other programs that the installed extensions read and write."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
from symphony_sdk.errors import SymphonyError, WorkflowError, foreign_error
from symphony_sdk.formats import ExportedWorkflow, ImportedWorkflow, NodeMapping, WorkflowFormat
from symphony_workflow import Workflow, from_document, to_document
from symphony_workflow.model import OPERATION_ID

from symphony_host.catalogue import load_catalogue
from symphony_host.configuration import Settings
from symphony_host.plugins import PluginManager

P = ParamSpec("P")
T = TypeVar("T")

MAX_BYTES = 64 << 20
"""The largest file that is read, in bytes."""
MAX_MAPPING = 1 << 20
"""The largest file of node types, in bytes."""

_SURE = 0.5
_OURS = re.compile(rb'\s*\{\s*"schema"\s*:\s*\d')


def installed_formats(settings: Settings) -> Mapping[str, WorkflowFormat]:
    """The formats by name.

    Args:
        settings: The settings of this call.
    """
    plugins = PluginManager(trusted=settings.trusted, strict=settings.strict)
    for record in load_catalogue(settings).usable():
        if record.runs == "host":
            try:
                plugins.load(record)
            except SymphonyError:
                continue  # noted by the plugin manager; `symphony doctor` tells of it
    return {name: provided.provider for name, provided in sorted(plugins.workflow_formats().items())}


def format_named(formats: Mapping[str, WorkflowFormat], name: str) -> WorkflowFormat:
    """The format of a name.

    Args:
        formats: The formats that there are.
        name: The name.

    Raises:
        WorkflowError: SYM-W100, there is none.
    """
    if name not in formats:
        raise WorkflowError(
            f"the workflow format {name!r} is unknown",
            code="SYM-W100",
            hint=f"There are {', '.join(formats) or 'none: install symphony-workflow-formats'}.",
        )
    return formats[name]


def format_of(formats: Mapping[str, WorkflowFormat], data: bytes, *, file: str = "") -> WorkflowFormat:
    """The format that bytes are of.

    Args:
        formats: The formats that there are.
        data: The bytes.
        file: Where they come from, for errors.

    Raises:
        WorkflowError: SYM-W100, they are of none, or of two as likely.
    """
    if _OURS.match(data):
        raise WorkflowError(
            "the file is a workflow of Symphony already",
            code="SYM-W100",
            hint="Use it as it is; `symphony validate` checks it.",
            file=file,
        )
    sure = {name: _contained(name, format.detect, data) for name, format in formats.items()}
    best = max(sure.values(), default=0.0)
    likely = [name for name, each in sure.items() if each == best]
    if best >= _SURE and len(likely) == 1:
        return formats[likely[0]]
    found = f"looks like {' and like '.join(likely)}" if best >= _SURE else "looks like none of the formats"
    raise WorkflowError(
        f"the file {found}",
        code="SYM-W100",
        hint=f"Say `--from` with one of {', '.join(formats) or 'none: install symphony-workflow-formats'}.",
        file=file,
    )


def import_workflow(
    format: WorkflowFormat, data: bytes, *, name: str, mapping: Mapping[str, NodeMapping], file: str = ""
) -> tuple[Workflow, ImportedWorkflow]:
    """Make a workflow of a file; nothing of the file is run, and nothing that it names is fetched.

    Args:
        format: Its format.
        data: The file.
        name: What to call the workflow where the file does not say.
        mapping: The operations that stand for node types, by node type.
        file: Where it comes from, for errors.

    Returns:
        The workflow, and what its reader says of it.

    Raises:
        WorkflowError: It cannot be read, or is not as the format says.
    """
    try:
        made = _contained(format.name, format.read, data, name=name, mapping=mapping)
    except WorkflowError as error:
        error.file = error.file or file
        raise
    return from_document(made.document, file=file), made


def export_workflow(format: WorkflowFormat, workflow: Workflow) -> ExportedWorkflow:
    """Make a file for another program.

    Args:
        format: Its format.
        workflow: The workflow.

    Raises:
        WorkflowError: SYM-W103, the format is only read.
    """
    if format.write is None:
        raise WorkflowError(
            f"{format.title} is read and not written",
            code="SYM-W103",
            hint="Choose another format.",
        )
    return _contained(format.name, format.write, to_document(workflow))


def load_mapping(path: Path) -> dict[str, NodeMapping]:
    """Read which operations stand for node types.

    Args:
        path: A TOML file: for each node type a table, or the id of an operation alone.

    Raises:
        WorkflowError: SYM-W104, it cannot be read, or is something else.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_MAPPING + 1)
        if len(text) > MAX_MAPPING:
            raise _wrong_mapping(path, f"it has more than {MAX_MAPPING:,} bytes")
        tables = tomllib.loads(text.decode())
    except OSError as error:
        raise _wrong_mapping(path, f"it cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong_mapping(path, f"it is not TOML: {error}") from error
    mapping = {}
    for name, value in tables.items():
        try:
            known = msgspec.convert({"uses": value} if isinstance(value, str) else value, NodeMapping)
        except msgspec.ValidationError as error:
            raise _wrong_mapping(path, f"the node type {name!r}: {error}") from error
        if not OPERATION_ID.fullmatch(known.uses):
            raise _wrong_mapping(
                path, f"the node type {name!r} uses {known.uses!r}, which is no id of an operation"
            )
        mapping[name] = known
    return mapping


def read_file(path: Path) -> bytes:
    """The bytes of a file that is to be imported.

    Args:
        path: The file.

    Raises:
        WorkflowError: SYM-W101, it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise WorkflowError(
            f"the file cannot be imported: {error.strerror}",
            code="SYM-W101",
            hint="Give the path of a file that exists.",
            file=str(path),
        ) from error
    if len(data) > MAX_BYTES:
        raise WorkflowError(
            f"the file cannot be imported: it has more than {MAX_BYTES:,} bytes",
            code="SYM-W101",
            file=str(path),
        )
    return data


def workflow_name(path: Path) -> str:
    """What to call a workflow after its file.

    Args:
        path: The file.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.partition(".")[0]).strip("-") or "imported"


def _contained(owner: str, function: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
    """What a function of an extension gives; whatever it raises, its own errors aside, becomes one of ours."""
    try:
        return function(*args, **keywords)
    except SymphonyError:
        raise
    except Exception as error:
        raise foreign_error(error, owner) from error


def _wrong_mapping(path: Path, fault: str) -> WorkflowError:
    return WorkflowError(
        f"the mapping of node types cannot be used: {fault}",
        code="SYM-W104",
        hint='Write a table for each node type, such as `[KSampler]` with `uses = "acme.image.sample"`.',
        file=str(path),
    )
