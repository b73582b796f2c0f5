"""Keeps every result of a workflow, addressed by its content."""

from pit_artifact_store.store import Store

__all__ = ["Store"]
