"""Says what is wrong with a document, in words for whoever wrote it by hand."""

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict

from pydantic import ValidationError

from symphony_workflow.document_schema import (
    CacheFields,
    CaseFields,
    ResourcesFields,
    RetryFields,
    adapter,
)
from symphony_workflow.edge_documents import without_sound_bare_edges
from symphony_workflow.json_values import json_fault
from symphony_workflow.model import LOCAL, NODE_ID, OPERATION_ID, PORT_NAME, SCHEMA, WORKFLOW_ID
from symphony_workflow.node_documents import EXPRESSION, NODE_KINDS


class Fault(TypedDict):
    """One place in a document that is not as it should be."""

    path: str
    message: str
    hint: str


def check_document(document: Any) -> tuple[Any, list[Fault]]:
    """The document, and every fault of its shape and of its values.

    Args:
        document: A decoded workflow file.
    """
    edges = document.get("edges") if isinstance(document, dict) else None
    rest: Sequence[int] = ()
    if isinstance(edges, list):
        rest = without_sound_bare_edges(edges)
        document = {**document, "edges": [edges[place] for place in rest]}
    try:
        checked: Any = adapter().validate_python(document)
    except ValidationError as error:
        return None, [_fault(one, rest) for one in error.errors(include_url=False)]
    if edges is not None:
        checked["edges"] = edges
    return checked, list(_value_faults(checked))


def _value_faults(checked: Any) -> Iterator[Fault]:
    """The places where a free value is not what JSON can hold, or contradicts another."""
    yield from _faults_of_one(checked, "", {"schema", "workflows"})
    for id, fields in checked.get("workflows", {}).items():
        path = f"workflows.{id}"
        if "workflows" in fields:
            yield Fault(
                path=f"{path}.workflows",
                message="a workflow of the file has no workflows of its own",
                hint="Put them beside it: the nodes of each may use all the others.",
            )
        yield from _faults_of_one(fields, f"{path}.", {"workflows"})


def _faults_of_one(fields: Mapping[str, Any], path: str, others: set[str]) -> Iterator[Fault]:
    for id, node in fields["nodes"].items():
        if fault := json_fault(node):
            where = next(key for key in node if json_fault(node[key]))
            yield Fault(path=f"{path}nodes.{id}.{where}", message=fault, hint="")
        for port, value in node.get("params", {}).items():
            if type(value) is dict and len(value) == 1 and EXPRESSION in value:
                text = value[EXPRESSION]
                if not isinstance(text, str) or not text:
                    yield Fault(
                        path=f"{path}nodes.{id}.params.{port}",
                        message=f"found {_show(text)}, expected the text of a CEL expression",
                        hint='A literal that looks like an expression is written {"$literal": ...}.',
                    )
    for place, edge in enumerate(fields.get("edges", ())):
        if len(edge) > 2 and (fault := json_fault(edge)):
            yield Fault(path=f"{path}edges[{place}]", message=fault, hint="")
    for name, one in fields.get("inputs", {}).items():
        if one.get("required") and "default" in one:
            yield Fault(
                path=f"{path}inputs.{name}", message="an input with a default cannot be required", hint=""
            )
    for key in fields.keys() - {"nodes", "edges"} - others:
        if fault := json_fault(fields[key]):
            yield Fault(path=f"{path}{key}", message=fault, hint="")


# The objects of the file in which an unknown key is an error.
_CLOSED = {"retry": RetryFields, "resources": ResourcesFields, "cache": CacheFields, "cases": CaseFields}
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
    LOCAL + WORKFLOW_ID.pattern: "# and the id of a workflow of the file, such as `#clean`",
    f"({OPERATION_ID.pattern}|{LOCAL}{WORKFLOW_ID.pattern})": (
        "the id of an operation, such as `acme.text.word-count`, or of a workflow of the file, such as `#clean`"
    ),
    rf"{NODE_ID.pattern}\.{PORT_NAME.pattern}": "a node and its port, such as `walk.files`",
    rf"(\$inputs|{NODE_ID.pattern})\.{PORT_NAME.pattern}": (
        "a node and its port, such as `walk.files`, or an input of the workflow, such as `$inputs.path`"
    ),
}
_KINDS = ("instrument", "operator", "control")
_LONGEST_NAME = 64  # what is longer is near no name that a file may have, and would take long to compare
_CONTROLS = tuple(name for name in NODE_KINDS if name not in _KINDS)


def _fault(error: Any, edges: Sequence[int]) -> Fault:
    """A fault in our words, from one entry of pydantic's `ValidationError.errors()`, of which `edges` were checked."""
    loc = error["loc"]
    if loc[:1] == ("edges",) and len(loc) > 1:
        loc = ("edges", edges[loc[1]], *loc[2:])
    place = _place(loc)
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    path = _json_path(place)
    if kind == "extra_forbidden":
        key = str(place[-1])
        part = next(part for part in reversed(place[:-1]) if part in _CLOSED)
        known = tuple(_CLOSED[str(part)].__annotations__)
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


def _place(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path in the document that pydantic's `loc` stands for: without the names of variants."""
    if loc[-1:] == ("[key]",):
        loc = loc[:-1]
    start = 2 if loc[:1] == ("workflows",) else 0
    head, rest = loc[:start], loc[start:]
    if len(rest) < 3 or rest[0] not in ("nodes", "edges"):
        return loc
    skip = 2 if rest[0] == "nodes" and rest[2] == "control" and len(rest) > 3 else 1
    inner = rest[2 + skip :]
    if inner[:1] == ("wait",):
        inner = inner[:1]
    return (*head, *rest[:2], *inner)


def _unknown_kind(path: str, place: tuple[int | str, ...], found: Any) -> Fault:
    if not isinstance(found, Mapping):
        return Fault(path=path, message=f"found {_show(found)}, expected an object", hint="")
    key = "kind"
    known: tuple[str, ...] = _KINDS
    if place[-2] == "edges":
        known = ("data", "control", "conditional")
    elif found.get("kind") == "control":
        key, known = "control", _CONTROLS
    if key not in found:
        return Fault(path=path, message=f"the key {key!r} is missing", hint=f"It is {_one_of(known)}.")
    return Fault(
        path=f"{path}.{key}",
        message=f"found {_show(found[key])}, expected {_one_of(known)}",
        hint=_nearest(found[key], known) if isinstance(found[key], str) else "",
    )


def _json_path(place: tuple[int | str, ...]) -> str:
    """A path in a document as people write it, such as `edges[3].from`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "the document"


def _one_of(names: tuple[str, ...]) -> str:
    """Names as people list alternatives."""
    return " or ".join(f'"{name}"' for name in names)


@lru_cache(maxsize=1024)  # a file that is wrong in one place is often wrong there a hundred thousand times
def _nearest(name: str, known: tuple[str, ...]) -> str:
    """A hint that names the nearest known name; empty where none is near."""
    close = difflib.get_close_matches(name, known, n=1) if len(name) <= _LONGEST_NAME else []
    return f"Did you mean {close[0]!r}?" if close else ""


def _show(value: Any) -> str:
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = shown.maxlong = 80
    text = shown.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
