"""Brings documents of older formats up to date, one step a version.

A change of the format adds 1 to `SCHEMA`, one function to `MIGRATIONS`, and a kept file of the old version to the
tests. A migration takes the document of version n and returns that of version n + 1; it may change what it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.model import SCHEMA

Migration = Callable[[dict[str, Any]], dict[str, Any]]


def _from_1(document: dict[str, Any]) -> dict[str, Any]:
    """Version 2 names the first wait `delay`, bounds every wait and the lists of maps, and has expressions."""
    nodes = document.get("nodes")
    if isinstance(nodes, dict):
        document["nodes"] = {id: _node_from_1(node) for id, node in nodes.items()}
    return document


def _node_from_1(node: Any) -> Any:
    if not isinstance(node, dict):
        return node  # no version allows it: the shape check says so
    node = dict(node)
    if node.get("control") == "map":
        node["max_items"] = None
    if isinstance(node.get("retry"), dict):
        node["retry"] = _retry_from_1(node["retry"])
    if isinstance(node.get("params"), dict):
        node["params"] = {port: _param_from_1(value) for port, value in node["params"].items()}
    return node


def _retry_from_1(retry: dict[str, Any]) -> dict[str, Any]:
    """The same waits; where one was longer than a year, it is a year."""
    if "delay" in retry:  # that version knew no such key: the shape check says what is wrong
        return retry
    renamed = {"delay" if key == "backoff" else key: value for key, value in retry.items()}
    attempts, delay, factor = (renamed.get(key, usual) for key, usual in _RETRY_OF_1.items())
    if type(attempts) is int and attempts > 1 and all(type(one) in (int, float) for one in (delay, factor)):
        try:
            longest = delay * float(factor) ** (attempts - 2)
        except OverflowError:
            longest = _YEAR
        if longest > _HOUR:
            renamed["limit"] = min(longest, _YEAR)
    return renamed


def _param_from_1(value: Any) -> Any:
    looks = isinstance(value, dict) and len(value) == 1 and not {"$expr", "$literal"}.isdisjoint(value)
    return {"$literal": value} if looks else value


_RETRY_OF_1 = {"attempts": 1, "delay": 0.0, "factor": 2.0}
_HOUR, _YEAR = 3600, 31_536_000

MIGRATIONS: Mapping[int, Migration] = {1: _from_1}
"""The migration from each older version to the next."""


def migrate(
    document: dict[str, Any],
    *,
    file: str = "",
    migrations: Mapping[int, Migration] = MIGRATIONS,
    current: int = SCHEMA,
) -> dict[str, Any]:
    """The document in the version `current`.

    Args:
        document: A decoded workflow file; left as it is.
        file: Where it came from, for errors.
        migrations: The step from each version to the next.
        current: The version to reach.

    Raises:
        WorkflowError: The document is of a newer version than `current`.
    """
    version = document.get("schema")
    if type(version) is not int or version == current:
        return document  # a version that is missing or no number is a fault of the shape, reported with the others
    if version > current:
        raise WorkflowError(
            f"the workflow is written in format {version}; this version of Symphony reads up to {current}",
            code="SYM-W005",
            hint="Upgrade symphony-workflow, or export the workflow again from where it was made.",
            details={"schema": version, "known": current},
            file=file,
        )
    document = dict(document)
    while version < current and version in migrations:
        document = migrations[version](document)
        version += 1
        document["schema"] = version
    return document
