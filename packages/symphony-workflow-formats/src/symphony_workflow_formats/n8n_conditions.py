"""Says the conditions of n8n's If and Switch in CEL, where they only compare fields of the item with literals."""

import json
import re
from collections.abc import Mapping
from typing import Any

from symphony_workflow import check_expression

_FIELD = re.compile(r"""=\s*\{\{\s*\$json((?:\.[A-Za-z_]\w*|\["[^"\\]+"\]|\['[^'\\]+'\])+)\s*\}\}\s*""")
_STEP = re.compile(r"""\.([A-Za-z_]\w*)|\["([^"]+)"\]|\['([^']+)'\]""")

_COMPARED = {
    "equal": "{0} == {1}",
    "equals": "{0} == {1}",
    "notEqual": "{0} != {1}",
    "notEquals": "{0} != {1}",
    "larger": "{0} > {1}",
    "gt": "{0} > {1}",
    "largerEqual": "{0} >= {1}",
    "gte": "{0} >= {1}",
    "smaller": "{0} < {1}",
    "lt": "{0} < {1}",
    "smallerEqual": "{0} <= {1}",
    "lte": "{0} <= {1}",
    "contains": "{0}.contains({1})",
    "notContains": "!{0}.contains({1})",
    "startsWith": "{0}.startsWith({1})",
    "notStartsWith": "!{0}.startsWith({1})",
    "endsWith": "{0}.endsWith({1})",
    "notEndsWith": "!{0}.endsWith({1})",
}
_ALONE = {
    "true": "{0} == true",
    "false": "{0} == false",
    "isEmpty": "size({0}) == 0",
    "empty": "size({0}) == 0",
    "isNotEmpty": "size({0}) > 0",
    "notEmpty": "size({0}) > 0",
}


def condition_of(parameters: Mapping[str, Any]) -> str:
    """The condition of an If, or of one rule of a Switch, over its input `value`; empty where CEL cannot say it.

    Args:
        parameters: What holds `conditions`, of the old or the new kind.
    """
    conditions = parameters.get("conditions")
    if not isinstance(conditions, dict):
        return ""
    if isinstance(conditions.get("conditions"), list):
        parts = [_new(one, conditions.get("options")) for one in conditions["conditions"]]
        joint = conditions.get("combinator", "and")
    else:
        parts = [_old(one, kind) for kind, each in conditions.items() for one in _listed(each)]
        joint = parameters.get("combineOperation", "all")
    if not parts or not all(parts):
        return ""
    return _checked((" || " if joint in ("or", "any") else " && ").join(parts))


def rule_of(value: Any, rule: Mapping[str, Any], kind: str) -> str:
    """The condition of a rule of an old Switch, which compares one value with several; empty where CEL cannot say it.

    Args:
        value: What is compared.
        rule: The rule.
        kind: The type that both have.
    """
    return _checked(_said(value, str(rule.get("operation", "equal")), rule.get("value2"), kind))


def _new(one: Any, options: Any) -> str:
    if not isinstance(one, dict) or not isinstance(one.get("operator"), dict):
        return ""
    kind = str(one["operator"].get("type", ""))
    if kind == "string" and isinstance(options, dict) and options.get("caseSensitive") is False:
        return ""
    return _said(one.get("leftValue"), str(one["operator"].get("operation", "")), one.get("rightValue"), kind)


def _old(one: Any, kind: str) -> str:
    if not isinstance(one, dict):
        return ""
    usual = "smaller" if kind == "number" else "equal"
    return _said(one.get("value1"), str(one.get("operation", usual)), one.get("value2"), kind)


def _said(left: Any, operation: str, right: Any, kind: str) -> str:
    known = _ALONE.get(operation) or _COMPARED.get(operation)
    if known is None or kind in ("dateTime", "date"):
        return ""
    first = _operand(left, kind)
    second = "true" if operation in _ALONE else _operand(right, kind)
    return f"({known.format(first, second)})" if first and second else ""


def _operand(value: Any, kind: str) -> str:
    if isinstance(value, str):
        if value.startswith("="):
            found = _FIELD.fullmatch(value)
            return _path(found[1]) if found else ""
        if kind == "number":
            try:
                value = float(value)
            except ValueError:
                return ""
    if kind == "number" and type(value) in (int, float):
        return repr(float(value))
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return ""


def _path(steps: str) -> str:
    names = [next(filter(None, step.groups())) for step in _STEP.finditer(steps)]
    return "value" + "".join(f"[{json.dumps(name, ensure_ascii=False)}]" for name in names)


def _checked(condition: str) -> str:
    return (
        condition
        if condition and not check_expression(condition, {"value": {}}, wants={"type": "boolean"})
        else ""
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
