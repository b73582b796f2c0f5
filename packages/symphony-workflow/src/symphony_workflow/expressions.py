"""Expressions in the Common Expression Language (https://cel.dev): conditions, and values that a run computes.

An expression has no side effects and no loop without an end; it is never given to Python. It can be checked against the
types of what it is given before anything runs, and it is refused where evaluating it may take more work than a bound.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from symphony_sdk.errors import WorkflowError

from symphony_workflow.expression_bounds import MAX_STEPS, excess, steps
from symphony_workflow.expression_check import Checker, result_fault, unknown_call
from symphony_workflow.expression_syntax import SyntaxFault, Tree, free_names, parse
from symphony_workflow.expression_types import ANY, type_of_schema
from symphony_workflow.json_values import json_fault

if TYPE_CHECKING:
    import cel

Schema = Mapping[str, Any]

MAX_LENGTH = 1000
"""Characters of the longest expression."""

BOOLEAN: Schema = {"type": "boolean"}
"""What a condition gives: `check_expression(text, types, wants=BOOLEAN)`."""


def expression_names(text: str) -> frozenset[str]:
    """The names that an expression needs values for.

    Args:
        text: A CEL expression.

    Raises:
        WorkflowError: It is too long, no CEL, or calls what there is not.
    """
    return _compile(text).names


def check_expression(
    text: str, types: Mapping[str, Schema] | None = None, *, wants: Schema | None = None
) -> list[str]:
    """Everything in an expression that can never work, in words; empty where nothing is.

    Args:
        text: A CEL expression.
        types: The JSON Schema of each name that it may use, `{}` for any; None where any name may be used.
        wants: The JSON Schema of what it should give; None for anything that is JSON.
    """
    try:
        tree = _compile(text).tree
    except WorkflowError as error:
        return [error.message]
    known = {name: type_of_schema(schema) for name, schema in types.items()} if types is not None else None
    checker = Checker(text, known)
    result = checker.type_of(tree, {})
    unfit = result_fault(result, type_of_schema(wants) if wants is not None else ANY)
    faults = checker.faults + ([unfit] if unfit else [])
    return [f"the expression {_quote(text)} cannot work: {fault}" for fault in faults]


def evaluate(text: str, values: Mapping[str, Any], *, node: str = "") -> Any:
    """What an expression gives for the given values.

    Args:
        text: A CEL expression.
        values: A JSON-like value for each of its names; more may be given.
        node: The node that asks, for errors.

    Returns:
        A JSON-like value.

    Raises:
        WorkflowError: The text is not CEL, a value is missing, the types do not fit its operators, the result is
            not JSON, or it may take too many steps.
    """
    compiled = _compile(text)
    missing = sorted(compiled.names - values.keys())
    if missing:
        given = ", ".join(sorted(values)) or "nothing"
        raise failed(text, node, f"it uses {', '.join(missing)}", f"It is given {given}.")
    used = {name: values[name] for name in compiled.names}
    for name, value in used.items():
        if why := excess(value):
            raise failed(
                text,
                node,
                f"`{name}` {why}",
                "Let an operator take out of it what the expression needs.",
                code="SYM-W071",
            )
    needed = steps(compiled.tree, used)
    if needed > MAX_STEPS:
        raise failed(
            text,
            node,
            f"with these values it may take {needed:,} steps; {MAX_STEPS:,} are allowed",
            "Compute the answer in an operator, and let the expression use its output.",
            code="SYM-W071",
        )
    try:
        result = compiled.program.execute(used)
    except Exception as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise failed(text, node, reason, "CEL converts no types: write int(x) or string(x).") from error
    if fault := json_fault(result):
        raise failed(text, node, f"it gave no JSON: {fault}", "Convert it, such as with string(...).")
    return result


class _Compiled(NamedTuple):
    program: "cel.Program"
    tree: Tree
    names: frozenset[str]


@lru_cache(maxsize=4096)
def _compile(text: str) -> _Compiled:
    if len(text) > MAX_LENGTH:
        raise _invalid(
            f"{_quote(text)} has {len(text):,} characters; {MAX_LENGTH:,} are allowed",
            "Compute the answer in an operator, and let the expression use its output.",
        )
    try:
        tree = parse(text)
    except SyntaxFault as fault:
        raise _invalid(f"{_quote(text)} is not CEL: {fault}", _LIKE) from None
    if unknown := unknown_call(tree):
        raise _invalid(f"{_quote(text)} {unknown}", "Compute it in an operator.")
    import cel  # its import costs more than most workflows take to load

    try:
        program = cel.compile(text)
    except Exception as error:
        raise _invalid(f"{_quote(text)} is not CEL: {_syntax(str(error))}", _LIKE) from error
    return _Compiled(program, tree, free_names(tree))


_LIKE = "CEL is written like `count > 3 && name.startsWith('a')`."


def _invalid(message: str, hint: str) -> WorkflowError:
    return WorkflowError(f"the expression {message}", code="SYM-W021", hint=hint)


def _syntax(message: str) -> str:
    found = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", message)
    if not found:
        return message.partition("\n")[0][-120:]
    what = re.sub(r" expecting \{.*", "", found[3])
    return f"{what} at column {found[2]}"


def _quote(text: str) -> str:
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"


def failed(text: str, node: str, reason: str, hint: str, *, code: str = "SYM-W030") -> WorkflowError:
    """An expression that cannot be evaluated.

    Args:
        text: The expression.
        node: The node that asks; empty where none does.
        reason: Why it cannot.
        hint: What to do about it.
        code: Its code.
    """
    where = f" of node {node!r}" if node else ""
    return WorkflowError(
        f"the expression {_quote(text)}{where} cannot be evaluated: {reason}",
        code=code,
        hint=hint,
        details={"node": node, "expression": text},
    )
