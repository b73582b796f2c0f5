"""Tiers of artifacts in object stores: S3, Google Cloud Storage, Azure Blob Storage, or a directory.

The name below is imported when it is first used: the host reads the extension's hooks without the client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_tier_objects.tier import ObjectTier as ObjectTier

__all__ = ["ObjectTier"]


def __getattr__(name: str) -> Any:
    if name != "ObjectTier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from symphony_tier_objects.tier import ObjectTier

    return ObjectTier
