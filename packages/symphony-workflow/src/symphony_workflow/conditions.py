"""Conditions: expressions that are true or false, on edges, branches, switches and loops."""

from collections.abc import Mapping
from typing import Any

from symphony_workflow.expressions import (
    evaluate,
    expression_names,
    failed,
)


def condition_variables(text: str) -> frozenset[str]:
    """The names that a condition needs values for.

    Args:
        text: A CEL expression.

    Raises:
        WorkflowError: It is too long, or not CEL.
    """
    return expression_names(text)


def holds(text: str, values: Mapping[str, Any], *, node: str = "") -> bool:
    """Whether a condition is true for the given values.

    Args:
        text: A CEL expression.
        values: A JSON-like value for each of its names; more may be given.
        node: The node that asks, for errors.

    Raises:
        WorkflowError: The text is not CEL, a value is missing, the types do not fit its operators, the result is
            not a boolean, or it may take too many steps.
    """
    result = evaluate(text, values, node=node)
    if not isinstance(result, bool):
        raise failed(text, node, f"it gave {result!r:.60}, not true or false", "End it in a comparison.")
    return result
