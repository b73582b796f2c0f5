"""Says what is wrong with the shape of a document, in words for whoever wrote it by hand."""

import difflib
from collections.abc import Mapping
from typing import Any, TypedDict

from pydantic import ValidationError

from symphony_workflow.document_schema import (
    BranchFields,
    InputFields,
    InstrumentFields,
    MapFields,
    OperatorFields,
    RetryFields,
    WorkflowFields,
    adapter,
)
from symphony_workflow.model import NODE_ID, OPERATION_ID, PORT_NAME, SCHEMA, WORKFLOW_ID


class Fault(TypedDict):
    """One place in a document that is not as it should be."""

    path: str
    message: str
    hint: str


def check_shape(document: Any) -> tuple[Any, list[Fault]]:
    """The document with `from` and `to` renamed to `source` and `target`, and every fault of its shape.

    Args:
        document: A decoded workflow file.
    """
    try:
        return adapter().validate_python(document), []
    except ValidationError as error:
        return None, [_fault(one) for one in error.errors(include_url=False)]


_NODE_FIELDS = {
    "instrument": InstrumentFields,
    "operator": OperatorFields,
    "map": MapFields,
    "branch": BranchFields,
}
_EDGE_FIELDS = {
    "data": ("kind", "from", "to"),
    "control": ("kind", "from", "to"),
    "conditional": ("kind", "from", "to", "condition"),
}
_EXPECTED = {
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
}
_NAMES = {
    NODE_ID.pattern: "a name of letters, digits, _ and -, such as `word-count`",
    PORT_NAME.pattern: "the name of a port: letters, digits and _, such as `min_length`",
    OPERATION_ID.pattern: "the id of an operation, such as `acme.text.word-count`",
    WORKFLOW_ID.pattern: "a name of letters, digits, `_`, `-` and `.`, such as `code-atlas`",
    rf"{NODE_ID.pattern}\.{PORT_NAME.pattern}": "a node and its port, such as `walk.files`",
    rf"(\$inputs|{NODE_ID.pattern})\.{PORT_NAME.pattern}": (
        "a node and its port, such as `walk.files`, or an input of the workflow, such as `$inputs.path`"
    ),
}


def _fault(error: Any) -> Fault:
    """A fault in our words, from one entry of pydantic's `ValidationError.errors()`."""
    place, variant = _place(error["loc"])
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    path = _json_path(place)
    if kind == "extra_forbidden":
        key = str(place[-1])
        known = _known_keys(place, variant)
        return Fault(path=path, message=f"unknown key {key!r}", hint=_nearest(key, known))
    if kind == "missing":
        return Fault(path=_json_path(place[:-1]), message=f"the key {place[-1]!r} is missing", hint="")
    if kind.startswith("union_tag"):
        return _unknown_kind(path, place, found)
    if kind == "string_pattern_mismatch":
        expected = _NAMES.get(context["pattern"][1:-1], context["pattern"])
        return Fault(path=path, message=f"found {_show(found)}, expected {expected}", hint="")
    if place == ("schema",):
        return Fault(path=path, message=f"found {_show(found)}, expected {SCHEMA}", hint="")
    expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ")
    return Fault(path=path, message=f"found {_show(found)}, expected {expected}", hint="")


def _place(loc: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], str]:
    """The path in the document that pydantic's `loc` stands for, and the kind of node or edge it is in."""
    if loc[-1:] == ("[key]",):
        loc = loc[:-1]
    if len(loc) < 3 or loc[0] not in ("nodes", "edges"):
        return loc, ""
    skip = 2 if loc[0] == "nodes" and loc[2] == "control" and len(loc) > 3 else 1
    return (*loc[:2], *loc[2 + skip :]), str(loc[1 + skip])


def _known_keys(place: tuple[int | str, ...], variant: str) -> tuple[str, ...]:
    if len(place) == 1:
        return tuple(WorkflowFields.__annotations__)
    if place[0] == "inputs":
        return tuple(InputFields.__annotations__)
    if place[0] == "edges":
        return _EDGE_FIELDS[variant]
    if "retry" in place[2:-1]:
        return tuple(RetryFields.__annotations__)
    return tuple(_NODE_FIELDS[variant].__annotations__)


def _unknown_kind(path: str, place: tuple[int | str, ...], found: Any) -> Fault:
    if not isinstance(found, Mapping):
        return Fault(path=path, message=f"found {_show(found)}, expected an object", hint="")
    key = "kind"
    known: tuple[str, ...] = ("instrument", "operator", "control")
    if place[0] == "edges":
        known = ("data", "control", "conditional")
    elif found.get("kind") == "control":
        key, known = "control", ("map", "branch")
    if key not in found:
        return Fault(path=path, message=f"the key {key!r} is missing", hint=f"It is {_one_of(known)}.")
    return Fault(
        path=f"{path}.{key}",
        message=f"found {_show(found[key])}, expected {_one_of(known)}",
        hint=_nearest(str(found[key]), known),
    )


def _json_path(place: tuple[int | str, ...]) -> str:
    """A path in a document as people write it, such as `edges[3].from`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "the document"


def _one_of(names: tuple[str, ...]) -> str:
    """Names as people list alternatives."""
    return " or ".join(f'"{name}"' for name in names)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """A hint that names the nearest known name; empty where none is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
