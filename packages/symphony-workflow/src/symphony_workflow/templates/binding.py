"""Puts values into the place holders of a template's workflow.

The work is bounded: however long the lists are that are given, the document has at most `MAX_VALUES` values and
`MAX_TEXT` characters in its strings.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.conditions import holds
from symphony_workflow.templates.cel_literals import cel_literal, with_literals
from symphony_workflow.templates.faults import TemplateFault
from symphony_workflow.templates.placeholders import (
    ELSE,
    ESCAPED,
    EXPRESSION,
    IF,
    INDEX,
    PARAM,
    TEXT,
    VALUE,
    VERBATIM,
    Path,
    Wrapper,
    is_expression,
    is_name,
    is_named,
    shown,
    wrapper_of,
)

MAX_VALUES = 1_000_000
"""How many values a document may have; a workflow of 10,000 nodes has about 300,000."""

MAX_TEXT = 64 << 20
"""How many characters the strings of a document may have together."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_USES = re.compile(r"#?[A-Za-z0-9_.-]+")

Scope = Mapping[str, Any]


class TooLarge(Exception):
    """The document would be larger than it may be."""


def expand(document: Any, values: Scope) -> tuple[Any, list[TemplateFault]]:
    """The document with every place holder replaced, and every value that cannot stand where it is used.

    Args:
        document: The workflow of a template, whose place holders are written well and name known parameters.
        values: The value of every parameter.

    Raises:
        TooLarge: The document would be larger than it may be.
    """
    expansion = _Expansion()
    return expansion.value(document, (), (), values), expansion.faults


class _Expansion:
    """One walk over a template's workflow."""

    def __init__(self) -> None:
        self.faults: list[TemplateFault] = []
        self.left = MAX_VALUES
        self.text_left = MAX_TEXT

    def value(self, value: Any, path: Path, logical: Path, scope: Scope) -> Any:
        self._count(1)
        if isinstance(value, str):
            return self._string(value, path, logical, scope)
        if isinstance(value, list):
            return [
                self.value(part, place, (*logical, index), inner)
                for index, (part, place, inner) in enumerate(self._parts(value, path, scope))
            ]
        if not isinstance(value, dict):
            return value
        if VERBATIM in value:
            return self._copied(value[VERBATIM])
        if PARAM in value:
            found = self._lookup(value[PARAM], path, scope)
            return cel_literal(found) if is_expression(logical) else self._copied(found)
        return self._object(value, path, logical, scope)

    def _object(self, value: dict[str, Any], path: Path, logical: Path, scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, wrapped in value.items():
            here = (*path, key)
            for part, place, inner in self._entries(wrapped, here, scope):
                name = self._key(key, here, logical, inner)
                if name in made:
                    self._fault(
                        here, f"two entries are named {name!r}", f"Put something of the item into {key!r}."
                    )
                made[name] = self.value(part, place, (*logical, name), inner)
        return made

    def _parts(self, value: list[Any], path: Path, scope: Scope) -> Iterator[tuple[Any, Path, Scope]]:
        for index, wrapped in enumerate(value):
            yield from self._entries(wrapped, (*path, index), scope)

    def _entries(self, value: Any, path: Path, scope: Scope) -> Iterator[tuple[Any, Path, Scope]]:
        """What an entry of an object or a list becomes: itself, nothing, or one for each item."""
        wrapper = wrapper_of(value)
        if wrapper is None:
            yield value, path, scope
            return
        for inner in self._scopes(wrapper, path, scope):
            if self._wanted(wrapper, path, inner):
                yield from self._entries(wrapper.value, (*path, VALUE), inner)
            elif wrapper.has_otherwise:
                yield from self._entries(wrapper.otherwise, (*path, ELSE), inner)

    def _scopes(self, wrapper: Wrapper, path: Path, scope: Scope) -> Iterator[Scope]:
        if not wrapper.each:
            yield scope
            return
        items = self._lookup(wrapper.each, path, scope)
        if not isinstance(items, list):
            self._fault(
                path, f"{wrapper.each!r} is not a list: {items!r:.60}", "Repeat an entry over a list."
            )
            return
        for index, item in enumerate(items):
            self._count(1)
            yield {**scope, wrapper.item: item, wrapper.item + INDEX: index}

    def _wanted(self, wrapper: Wrapper, path: Path, scope: Scope) -> bool:
        if not wrapper.condition:
            return True
        known = scope.get(wrapper.condition)
        if isinstance(known, bool):
            return known
        try:
            return holds(wrapper.condition, scope)
        except WorkflowError as error:
            self._fault((*path, IF), error.message, error.hint)
            return False

    def _string(self, text: str, path: Path, logical: Path, scope: Scope) -> str:
        if "${" not in text:
            return text
        if is_expression(logical):
            made = with_literals(text, lambda name: self._lookup(name, path, scope))
        else:
            allowed = None if not is_name(logical) else _USES if logical[-1] == "uses" else _NAME
            made = self._interpolated(text, path, scope, allowed)
        self._count_text(len(made))
        return made

    def _key(self, text: str, path: Path, logical: Path, scope: Scope) -> str:
        if "${" not in text:
            return text
        made = self._interpolated(text, path, scope, _NAME if is_named(logical) else None)
        if made == EXPRESSION:
            self._fault(path, f"the key becomes {made!r}, and a value cannot make an expression", "")
        return made

    def _interpolated(self, text: str, path: Path, scope: Scope, allowed: re.Pattern[str] | None) -> str:
        def replaced(found: re.Match[str]) -> str:
            if found[0] == ESCAPED:
                return "${"
            reference = found[1].strip()
            before = len(self.faults)
            value = self._lookup(reference, path, scope)
            if len(self.faults) > before:
                return ""
            shown_value = value if isinstance(value, str) else _plain(value)
            if shown_value is None:
                self._fault(
                    path,
                    f"{reference!r} is a {type(value).__name__}, which cannot stand inside of text",
                    f'Write {{"{PARAM}": "{reference}"}} for the whole value.',
                    reference,
                )
                return ""
            if allowed is not None and not allowed.fullmatch(shown_value):
                self._fault(
                    path,
                    f"{reference!r} is {shown_value!r:.60}, which cannot be part of a name here",
                    "Give letters, digits, `-` and `_` only.",
                    reference,
                )
                return "_"
            self._count_text(len(shown_value))
            return shown_value

        return TEXT.sub(replaced, text)

    def _lookup(self, reference: str, path: Path, scope: Scope) -> Any:
        name, *properties = reference.split(".")
        value = scope[name]
        for done, step in enumerate(properties):
            if not isinstance(value, dict) or step not in value:
                owner = ".".join([name, *properties[:done]])
                self._fault(path, f"{owner!r} has no property {step!r}", f"It is {value!r:.60}.", name)
                return None
            value = value[step]
        return value

    def _copied(self, value: Any) -> Any:
        self._count_all(value)
        return deepcopy(value)

    def _count_all(self, value: Any) -> None:
        self._count(1)
        if isinstance(value, str):
            self._count_text(len(value))
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                self._count_all(part)

    def _count(self, values: int) -> None:
        self.left -= values
        if self.left < 0:
            raise TooLarge(f"more than {MAX_VALUES:,} values")

    def _count_text(self, characters: int) -> None:
        self.text_left -= characters
        if self.text_left < 0:
            raise TooLarge(f"more than {MAX_TEXT:,} characters")

    def _fault(self, path: Path, message: str, hint: str, reference: str = "") -> None:
        self.faults.append(TemplateFault(shown(path), message, hint, reference.partition(".")[0]))


def _plain(value: Any) -> str | None:
    """A number or truth value as text; None for what has no plain text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
