"""Puts values into CEL expressions as literals, so that no value can change what an expression computes.

An expression with place holders may hold strings in plain quotes only (no comments, no raw, bytes or triple-quoted
strings), and a place holder stands where a literal can: outside of quotes, and not against a name or a number.
"""

import re
from collections.abc import Callable
from typing import Any

_ESCAPED = "$${"
_TOKEN = re.compile(
    r"""(?P<refused>//|\"\"\"|'''|[A-Za-z0-9_]["'])"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<quote>["'])"""
    r"""|(?P<escaped>\$\$\{)"""
    r"""|(?P<place>\$\{[^{}]*\})"""
)
_BEFORE = re.compile(r"[\w.)\]\"'}]\Z")
_AFTER = re.compile(r"[\w(\"'{$]")
_PLAIN = frozenset(
    " !#%&()*+,-./:;<=>?@[]^_{|}~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


def expression_fault(text: str) -> str:
    """Why place holders cannot stand where they do in a CEL expression; empty where they can.

    Args:
        text: The expression with `${NAME}` in it.
    """
    if not re.search(r"(?<!\$)\$\{", text):
        return ""
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "refused":
            return f"{token[0]!r} cannot stand in an expression with place holders"
        if kind == "quote":
            return f"the string that begins at column {token.start() + 1} does not end"
        if kind == "string" and "${" in token[0].replace(_ESCAPED, ""):
            return f"the place holder stands inside of the string {token[0]}; it becomes a literal by itself"
        if kind == "place" and (
            _BEFORE.search(text[: token.start()]) or _AFTER.match(text[token.end() : token.end() + 1])
        ):
            return f"{token[0]} stands against a name, a number or a bracket, where no literal can stand"
    return ""


def with_literals(text: str, value_of: Callable[[str], Any]) -> str:
    """A CEL expression whose place holders have become literals.

    Args:
        text: An expression without an [expression_fault][symphony_workflow.templates.cel_literals.expression_fault].
        value_of: The JSON value of a place holder's name.
    """
    parts, end = [], 0
    for token in _TOKEN.finditer(text):
        parts.append(text[end : token.start()])
        end = token.end()
        if token.lastgroup == "place":
            literal = cel_literal(value_of(token[0][2:-1].strip()))
            parts.append(f"({literal})" if literal.startswith("-") or text[end : end + 1] == "." else literal)
        else:
            parts.append(token[0].replace(_ESCAPED, "${"))
    return "".join(parts) + text[end:]


def cel_literal(value: Any) -> str:
    """The CEL literal of a JSON value.

    Args:
        value: A JSON value.
    """
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"' + "".join(map(_character, value)) + '"'
    if isinstance(value, int):
        return f"{value}u" if value >= 2**63 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(cel_literal, value)) + "]"
    return "{" + ", ".join(f"{cel_literal(key)}: {cel_literal(item)}" for key, item in value.items()) + "}"


def _character(char: str) -> str:
    if char in _PLAIN:
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
