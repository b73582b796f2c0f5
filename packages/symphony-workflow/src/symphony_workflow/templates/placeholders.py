"""The place holders of a template: how they are written, and which of them stand where.

`{"$param": "NAME"}` stands for a whole value, `${NAME}` for text inside of a string or a key (`$${` is the text
`${`). An entry of an object or a list may be wrapped: `{"$each": "LIST", "$as": "item", "$value": ...}` makes an entry
for each item, `{"$if": "CONDITION", "$value": ..., "$else": ...}` makes one where the condition holds, and
`{"$verbatim": ...}` is taken as it is. A place holder may name a property of an object: `item.name`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from symphony_sdk.errors import WorkflowError

from symphony_workflow.conditions import condition_variables
from symphony_workflow.templates.cel_literals import expression_fault
from symphony_workflow.templates.faults import TemplateFault, nearest

PARAM = "$param"
EACH = "$each"
AS = "$as"
IF = "$if"
VALUE = "$value"
ELSE = "$else"
VERBATIM = "$verbatim"
RESERVED = (PARAM, EACH, AS, IF, VALUE, ELSE, VERBATIM)
EXPRESSION = "$expr"
"""The key of an object that stands for a computed value in a workflow file."""

INDEX = "_index"
"""What follows the name of a repetition's item in the name of its index, counted from 0."""

REFERENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
TEXT = re.compile(r"\$\$\{|\$\{([^{}]*)(\})?")
ESCAPED = "$${"

Path = tuple[str | int, ...]
Kind = Literal["value", "text", "name", "expression", "list", "condition"]

_NAMED = frozenset({"nodes", "inputs", "outputs", "workflows"})
_KNOWN_DOLLAR = frozenset({EXPRESSION, "$literal", "$ref", "$defs", "$schema", "$id", "$comment", "$anchor"})


@dataclass(frozen=True, slots=True)
class Use:
    """A place that a value goes to.

    Args:
        path: Where it stands in the template.
        name: The parameter, or the item of the repetition around it.
        reference: The name with the properties after it.
        kind: What becomes of the value there.
    """

    path: str
    name: str
    reference: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A repeated or optional entry.

    Args:
        each: The list that it is repeated for; empty where it is not.
        item: The name of an item of that list.
        condition: What must hold; empty for nothing.
        value: The entry itself.
        otherwise: The entry where the condition does not hold; it counts only where `has_otherwise`.
        has_otherwise: Whether there is one.
    """

    each: str
    item: str
    condition: str
    value: Any
    otherwise: Any = None
    has_otherwise: bool = False


def wrapper_of(value: Any) -> Wrapper | None:
    """The wrapper that `value` is; None where it is none. What is wrong with it, `wrapper_fault` tells.

    Args:
        value: Any value of a template's workflow.
    """
    if not isinstance(value, dict) or (EACH not in value and IF not in value):
        return None
    return Wrapper(
        value.get(EACH, ""),
        value.get(AS, "item"),
        value.get(IF, ""),
        value.get(VALUE),
        value.get(ELSE),
        ELSE in value,
    )


def is_expression(path: Path) -> bool:
    """Whether the value at a place of a workflow's document is a CEL expression.

    Args:
        path: The place inside of the document; wrappers do not count.
    """
    if path and path[-1] == EXPRESSION:
        return True
    match _inside(path):
        case ["nodes", _, "condition" | "until"] | ["edges", _, "condition"]:
            return True
        case ["nodes", _, "cases", *rest]:
            return bool(rest) and (rest[-1] == "condition" or (len(rest) == 1 and isinstance(rest[0], str)))
    return False


def is_name(path: Path) -> bool:
    """Whether text at a place of a workflow's document is part of a name, where it cannot be of any form.

    Args:
        path: The place inside of the document; wrappers do not count.
    """
    match _inside(path):
        case ["nodes", _, "uses" | "over"] | ["edges", _, "from" | "to"] | ["outputs", _] | ["id"]:
            return True
    return False


def is_named(path: Path) -> bool:
    """Whether the keys of the object at a place are names of parts.

    Args:
        path: The place inside of the document; wrappers do not count.
    """
    inside = _inside(path)
    return (len(inside) == 1 and inside[0] in _NAMED) or path == ("workflows",)


def shown(path: Path) -> str:
    """A place for people.

    Args:
        path: The place inside of a template's workflow.
    """
    text = "workflow"
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def find_uses(document: Any, names: Mapping[str, Any]) -> tuple[list[Use], list[TemplateFault]]:
    """Every place holder of a template's workflow, and every one that is written wrongly.

    Args:
        document: The workflow of a template.
        names: The parameters by name.
    """
    search = _Search(names)
    search.visit(document, (), (), {})
    return search.uses, search.faults


class _Search:
    """One walk over a template's workflow."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.uses: list[Use] = []
        self.faults: list[TemplateFault] = []

    def visit(self, value: Any, path: Path, logical: Path, items: dict[str, str]) -> None:
        if isinstance(value, str):
            self._text(value, path, items, "expression" if is_expression(logical) else _text_kind(logical))
        elif isinstance(value, list):
            for index, part in enumerate(value):
                self.visit(part, (*path, index), (*logical, index), items)
        elif isinstance(value, dict):
            self._object(value, path, logical, items)

    def _object(self, value: dict[str, Any], path: Path, logical: Path, items: dict[str, str]) -> None:
        if VERBATIM in value:
            self._only(value, VERBATIM, path)
        elif PARAM in value:
            self._only(value, PARAM, path)
            kind: Kind = "expression" if is_expression(logical) else "value"
            self._reference(value[PARAM], path, items, kind)
        elif (wrapper := wrapper_of(value)) is not None:
            self._wrapped(value, wrapper, path, logical, items)
        else:
            for key, part in value.items():
                self._misspelt(key, path)
                self._text(key, (*path, key), items | _items(part), "name" if is_named(logical) else "text")
                self.visit(part, (*path, key), (*logical, key), items)

    def _wrapped(
        self, value: dict[str, Any], wrapper: Wrapper, path: Path, logical: Path, items: dict[str, str]
    ) -> None:
        for key in value:
            if key not in RESERVED[1:-1]:
                hint = nearest(key, RESERVED[1:-1])
                self._fault((*path, key), f"{key!r} cannot stand beside {EACH} or {IF}", hint)
        if VALUE not in value:
            self._fault(path, f"{VALUE} is missing", f"Write the entry as {VALUE}.")
        if ELSE in value and IF not in value:
            self._fault(path, f"{ELSE} stands without {IF}", "")
        if AS in value and EACH not in value:
            self._fault(path, f"{AS} stands without {EACH}", "")
        if EACH in value:
            self._reference(wrapper.each, (*path, EACH), items, "list")
            if (
                not isinstance(wrapper.item, str)
                or not REFERENCE.fullmatch(wrapper.item)
                or "." in wrapper.item
            ):
                self._fault(
                    (*path, AS), f"{wrapper.item!r} is no name of an item", "Write for example `item`."
                )
                return
            for name in (wrapper.item, wrapper.item + INDEX):
                if name in self.names or name in items:
                    self._fault((*path, AS), f"{name!r} is taken already", f"Give {AS} another name.")
            items = items | {wrapper.item: "", wrapper.item + INDEX: ""}
        if IF in value:
            self._condition(wrapper.condition, (*path, IF), items)
        self.visit(wrapper.value, (*path, VALUE), logical, items)
        self.visit(wrapper.otherwise, (*path, ELSE), logical, items)

    def _condition(self, text: Any, path: Path, items: dict[str, str]) -> None:
        if not isinstance(text, str):
            self._fault(path, f"expected a CEL expression over the parameters, found {text!r:.60}", "")
            return
        try:
            names = condition_variables(text)
        except WorkflowError as error:
            self._fault(path, error.message, error.hint)
            return
        for name in sorted(names):
            self._reference(name, path, items, "condition")

    def _text(self, text: str, path: Path, items: dict[str, str], kind: Kind) -> None:
        if "${" not in text:
            return
        if kind == "expression" and (fault := expression_fault(text)):
            self._fault(path, fault, "Write the place holder outside of quotes, where a literal could stand.")
            return
        for found in TEXT.finditer(text):
            if found[0] == ESCAPED:
                continue
            if found[2] is None:
                self._fault(
                    path,
                    f"the place holder {found[0]!r:.60} does not end",
                    f"For the text `${{`, write `{ESCAPED}`.",
                )
            else:
                self._reference(found[1].strip(), path, items, kind)

    def _reference(self, reference: Any, path: Path, items: dict[str, str], kind: Kind) -> None:
        if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
            hint = f"For the text `${{`, write `{ESCAPED}`." if kind in ("text", "name") else ""
            self._fault(path, f"{reference!r:.60} is no name of a parameter", hint)
            return
        name = reference.partition(".")[0]
        if name not in self.names and name not in items:
            hint = nearest(name, [*self.names, *items]) or "The template has no parameters."
            self._fault(path, f"there is no parameter {name!r}", hint, name)
            return
        self.uses.append(Use(shown(path), name, reference, kind))

    def _only(self, value: dict[str, Any], key: str, path: Path) -> None:
        if len(value) > 1:
            others = ", ".join(sorted(value.keys() - {key}))
            self._fault(path, f"{key} stands for the whole value, and {others} cannot stand beside it", "")

    def _misspelt(self, key: str, path: Path) -> None:
        if key.startswith("$") and not key.startswith("${") and key not in _KNOWN_DOLLAR:
            hint = nearest(key, RESERVED)
            if hint.startswith("Did"):
                self._fault(
                    (*path, key),
                    f"{key!r} is no key of a template",
                    f'{hint} For the key itself, use "{VERBATIM}".',
                )

    def _fault(self, path: Path, message: str, hint: str, parameter: str = "") -> None:
        self.faults.append(TemplateFault(shown(path), message, hint, parameter))


def _items(value: Any) -> dict[str, str]:
    """The names that the repetitions around an entry give to its key."""
    names: dict[str, str] = {}
    while (wrapper := wrapper_of(value)) is not None:
        if wrapper.each and isinstance(wrapper.item, str):
            names |= {wrapper.item: "", wrapper.item + INDEX: ""}
        value = wrapper.value
    return names


def _text_kind(logical: Path) -> Kind:
    return "name" if is_name(logical) else "text"


def _inside(path: Path) -> list[str | int]:
    """A place inside of the workflow of the file that it is in."""
    return list(path[2:] if len(path) > 2 and path[0] == "workflows" else path)
