"""Keeps every result of a workflow, addressed by its content."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pit_artifact_store.store import Store as Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pit_artifact_store.store import Store  # the plugin is imported at every start, the store is not

    return Store
