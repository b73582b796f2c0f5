"""Tells whether a value is plain JSON, so that a workflow file gives back exactly what was put into it."""

import math
from typing import Any

MAX_DEPTH = 64
"""How deeply lists and objects may nest in one value."""


def json_fault(value: Any, depth: int = 0) -> str:
    """What keeps `value` from being written as JSON and read back unchanged; empty where nothing does.

    Args:
        value: Any object.
        depth: How many lists and objects are around it.
    """
    if value is None or value is True or value is False:
        return ""
    kind = type(value)
    if kind is str:
        return "" if value.isascii() or _encodes(value) else "a string holds half of a surrogate pair"
    if kind is int:
        return "" if -(2**63) <= value < 2**64 else "an integer does not fit into 64 bits"
    if kind is float:
        return "" if math.isfinite(value) else f"{value} is not a JSON number"
    if depth == MAX_DEPTH:
        return f"lists and objects nest deeper than {MAX_DEPTH}"
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return f"the key {key!r} is not a string"
            if not key.isascii() and (fault := json_fault(key)):
                return fault
            # Most values are short texts: a call for each would take most of the time.
            if (type(item) is not str or not item.isascii()) and (fault := json_fault(item, depth + 1)):
                return fault
        return ""
    if kind is list:
        return next((fault for item in value if (fault := json_fault(item, depth + 1))), "")
    return f"{kind.__name__} is not a JSON type (null, boolean, number, string, list, object)"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
