"""Brings documents of older formats up to date, one step a version.

A change of the format adds 1 to `SCHEMA`, one function to `MIGRATIONS`, and a kept file of the old version to the
tests. A migration takes the document of version n and returns that of version n + 1; it may change what it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.model import SCHEMA

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: Mapping[int, Migration] = {}
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
