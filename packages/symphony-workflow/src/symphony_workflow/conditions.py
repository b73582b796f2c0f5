"""Conditions in the Common Expression Language: no side effects, no loops without an end, never `eval`.

The work of one evaluation is bounded: the text is short, and macros over lists (`all`, `exists`, `exists_one`, `map`,
`filter`) are refused where nesting them over the values at hand would take too many steps.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from symphony_sdk.errors import WorkflowError

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 1000
"""Characters of the longest condition."""

MAX_STEPS = 2_000_000
"""How often the innermost part of nested macros may run in one evaluation; about a second."""

_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def condition_variables(text: str) -> frozenset[str]:
    """The names that a condition needs values for.

    Args:
        text: A CEL expression.

    Raises:
        WorkflowError: It is too long or not CEL.
    """
    return _compile(text)[1]


def check_condition(text: str, known: Collection[str] | None = None) -> str:
    """What is wrong with a condition; empty where nothing is.

    Args:
        text: A CEL expression.
        known: The names that it may use; None for any.
    """
    try:
        names = condition_variables(text)
    except WorkflowError as error:
        return error.message
    unknown = sorted(names - set(known)) if known is not None else []
    return f"the condition {_quote(text)} uses {', '.join(unknown)}, which it is not given" if unknown else ""


def holds(text: str, values: Mapping[str, Any], *, node: str = "") -> bool:
    """Whether a condition is true for the given values.

    Args:
        text: A CEL expression.
        values: A JSON-like value for each of its variables; more may be given.
        node: The node that asks, for errors.

    Raises:
        WorkflowError: The text is not CEL, a value is missing, the types do not fit its operators, the result is
            not a boolean, or it would take too many steps.
    """
    program, names, macros = _compile(text)
    missing = sorted(names - values.keys())
    if missing:
        given = ", ".join(sorted(values)) or "nothing"
        raise _failed(text, node, f"it uses {', '.join(missing)}", f"It is given {given}.")
    given_values = {name: values[name] for name in names}
    if macros > 1 and _longest(given_values) ** macros > MAX_STEPS:
        raise _failed(
            text,
            node,
            f"its {macros} list macros over {_longest(given_values):,} items would take more than {MAX_STEPS:,} steps",
            "Compute the answer in an operator, and let the condition test its output.",
        )
    try:
        result = program.execute(given_values)
    except Exception as error:
        reason = str(error).partition(". ")[0]
        raise _failed(text, node, reason, "CEL converts no types: write int(x) or string(x).") from error
    if not isinstance(result, bool):
        raise _failed(text, node, f"it gave {result!r:.60}, not true or false", "End it in a comparison.")
    return result


@lru_cache(maxsize=4096)
def _compile(text: str) -> "tuple[cel.Program, frozenset[str], int]":
    """The compiled condition, its free variables, and how many macros over lists it has."""
    if len(text) > MAX_LENGTH:
        raise WorkflowError(
            f"the condition {_quote(text)} has {len(text):,} characters; {MAX_LENGTH:,} are allowed",
            code="SYM-W021",
            hint="Compute the answer in an operator, and let the condition test its output.",
        )
    import cel  # its import costs more than most workflows take to load

    try:
        program = cel.compile(text)
    except Exception as error:
        raise WorkflowError(
            f"the condition {_quote(text)} is not CEL: {_syntax(str(error))}",
            code="SYM-W021",
            hint="CEL is written like `count > 3 && name.startsWith('a')`.",
        ) from error
    code = _STRING.sub("''", text)
    bound = _MACRO.findall(code)
    return program, frozenset(program.variables()) - set(bound), len(bound)


def _longest(value: Any, depth: int = 0) -> int:
    """The items of the longest list or object in `value`."""
    if not isinstance(value, list | tuple | dict) or depth > 64:
        return 0
    children = value.values() if isinstance(value, dict) else value
    return max(len(value), max((_longest(child, depth + 1) for child in children), default=0))


def _syntax(message: str) -> str:
    found = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", message)
    if not found:
        return message.partition("\n")[0][-120:]
    what = re.sub(r" expecting \{.*", "", found[3])
    return f"{what} at column {found[2]}"


def _quote(text: str) -> str:
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"


def _failed(text: str, node: str, reason: str, hint: str) -> WorkflowError:
    where = f" of node {node!r}" if node else ""
    return WorkflowError(
        f"the condition {_quote(text)}{where} cannot be evaluated: {reason}",
        code="SYM-W030",
        hint=hint,
        details={"node": node, "condition": text},
    )
