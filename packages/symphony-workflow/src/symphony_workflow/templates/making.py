"""Makes a template of a workflow: literals that somebody chose become parameters, with those literals as defaults."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.document import to_document
from symphony_workflow.model import Workflow
from symphony_workflow.templates.definition import ORIGIN, Template, from_document
from symphony_workflow.templates.definition import to_document as template_document
from symphony_workflow.templates.faults import TemplateFault, nearest, template_error
from symphony_workflow.templates.parameters import Parameter, value_faults
from symphony_workflow.templates.placeholders import (
    EXPRESSION,
    PARAM,
    RESERVED,
    VERBATIM,
    Path,
    is_expression,
    shown,
)

_PORT_KEYWORDS = frozenset(
    {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "description", "title"}
)


def make_template(
    workflow: Workflow,
    places: Mapping[str, str | Path],
    *,
    id: str,
    version: str = "1.0.0",
    title: str = "",
    description: str = "",
    categories: Sequence[str] = (),
    keywords: Sequence[str] = (),
    author: str = "",
    operations: Mapping[str, OperationSpec] | None = None,
) -> Template:
    """A template that makes `workflow` again with its defaults.

    Args:
        workflow: The workflow; it stays as it is.
        places: The place of the literal by the name of the parameter that it becomes: a path such as
            `nodes.walk.params.include`, or its steps.
        id: The id of the template.
        version: Its version.
        title: A few words for people; the workflow's name unless given.
        description: What it is for.
        categories: Where it is listed.
        keywords: Words that a search finds it by.
        author: A person or an organisation; the workflow's author unless given.
        operations: The operations that are installed: a parameter of a node's input has the type of that input.

    Raises:
        WorkflowError: SYM-W097, a place holds no literal, or lies within another; SYM-W090, the id, the version
            or a name is not one.
    """
    document = to_document(workflow)
    document.get("metadata", {}).pop(ORIGIN, None)
    if document.get("metadata") == {}:
        del document["metadata"]
    faults: list[TemplateFault] = []
    found: dict[Path, str] = {}
    for name, place in places.items():
        path, fault = _literal_at(document, place, name)
        if fault is None and path in found:
            fault = TemplateFault(shown(path), f"it is {found[path]!r} already", "", name)
        if fault is not None:
            faults.append(fault)
        else:
            found[path] = name
    for path, name in found.items():
        outer = next((found[path[:end]] for end in range(1, len(path)) if path[:end] in found), None)
        if outer is not None:
            faults.append(
                TemplateFault(shown(path), f"it lies within {outer!r}", "Choose one of the two.", name)
            )
    if faults:
        raise template_error(
            f"the choice of parameters for {id!r}",
            faults,
            code="SYM-W097",
            hint="Name each literal by its place in the file, such as `nodes.walk.params.include`.",
        )
    parameters = tuple(
        Parameter(
            name, _schema(document, path, operations), required=False, default=deepcopy(_at(document, path))
        )
        for path, name in found.items()
    )
    template = Template(
        id=id,
        version=version,
        title=title or workflow.name,
        description=description,
        categories=tuple(categories),
        keywords=tuple(keywords) or workflow.metadata.tags,
        author=author or workflow.metadata.author,
        parameters=parameters,
        workflow=_escaped(document, (), found),
    )
    return from_document(template_document(template))


def _literal_at(document: Any, place: str | Path, name: str) -> tuple[Path, TemplateFault | None]:
    """The steps to a literal, and why there is none."""
    steps = place.split(".") if isinstance(place, str) else list(place)
    at: Any = document
    path: Path = ()
    rest = list(steps)
    while rest:
        step, width = _step(at, rest)
        if width == 0:
            known = (
                list(at)
                if isinstance(at, dict)
                else [str(index) for index in range(len(at))]
                if isinstance(at, list)
                else []
            )
            hint = nearest(str(rest[0]), known) or f"{shown(path)} holds no parts."
            return path, TemplateFault(shown((*path, rest[0])), "there is no such place", hint, name)
        at, path, rest = at[step], (*path, step), rest[width:]
    if (
        EXPRESSION in path
        or (isinstance(at, dict) and _holds(at, EXPRESSION))
        or (isinstance(at, list) and _holds(at, EXPRESSION))
    ):
        return path, TemplateFault(
            shown(path), "it is computed by an expression, and only a literal can be chosen", "", name
        )
    if is_expression(path):
        hint = "Write ${NAME} into the condition of the template's file, where a literal stands."
        return path, TemplateFault(
            shown(path), "a condition is code, which no parameter can stand for", hint, name
        )
    if path in ((), ("schema",)):
        return path, TemplateFault(shown(path), "this part cannot be a parameter", "", name)
    return path, None


def _step(at: Any, rest: list[Any]) -> tuple[Any, int]:
    """The next step into a value and how many of the given ones it takes: a key may hold dots."""
    if isinstance(at, list):
        text = str(rest[0])
        return (int(text), 1) if text.isdecimal() and int(text) < len(at) else (0, 0)
    if isinstance(at, dict):
        for width in range(1, len(rest) + 1):
            key = ".".join(map(str, rest[:width]))
            if key in at:
                return key, width
    return 0, 0


def _holds(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_holds(part, key) for part in value.values())
    return isinstance(value, list) and any(_holds(part, key) for part in value)


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _schema(
    document: dict[str, Any], path: Path, operations: Mapping[str, OperationSpec] | None
) -> dict[str, Any]:
    """The type of the input that a literal goes to, where that is known; otherwise the type of the literal."""
    value = _at(document, path)
    match path:
        case ("nodes", str(node), "params", str(port)) if operations is not None:
            spec = operations.get(document["nodes"][node].get("uses", ""))
            for each in spec.inputs if spec is not None else ():
                if each.name == port and document["nodes"][node].get("over") != port:
                    schema = _kept(each.schema)
                    if not value_faults(schema, value):
                        return schema
    return _type_of(value)


def _kept(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What of a port's schema a parameter can have; the rest is checked where the workflow is."""
    kept = {key: part for key, part in schema.items() if key in _PORT_KEYWORDS}
    items = schema.get("items")
    if isinstance(items, Mapping) and (inner := _kept(items)):
        kept["items"] = inner
    return kept


def _type_of(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"} if isinstance(value, float) else {"type": "integer"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        kinds = [_type_of(item) for item in value]
        same = bool(kinds) and all(kind == kinds[0] for kind in kinds) and bool(kinds[0])
        return {"type": "array", "items": kinds[0]} if same else {"type": "array"}
    return {"type": "object"} if isinstance(value, dict) else {}


def _escaped(value: Any, path: Path, places: Mapping[Path, str]) -> Any:
    """A part of the workflow with place holders where parameters are, and the rest so that it comes out unchanged."""
    if path in places:
        return {PARAM: places[path]}
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_escaped(part, (*path, index), places) for index, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made = {_escaped(key, (), {}): _escaped(part, (*path, key), places) for key, part in value.items()}
    if value.keys() & set(RESERVED):
        inside = [name for place, name in places.items() if place[: len(path)] == path]
        if not inside:
            return {VERBATIM: value}
        raise template_error(
            "the choice of parameters",
            [
                TemplateFault(
                    shown(path),
                    f"its keys mean something else in a template, so {inside[0]!r} cannot be within it",
                )
            ],
            code="SYM-W097",
        )
    return made


def literals_of(workflow: Workflow) -> list[tuple[str, Any]]:
    """The literals that are likeliest to become parameters: those that nodes are given, each with its place.

    Args:
        workflow: Any workflow.
    """
    return [
        (f"nodes.{id}.params.{port}", value)
        for id, node in to_document(workflow)["nodes"].items()
        for port, value in node.get("params", {}).items()
        if not _holds(value, EXPRESSION)
    ]
