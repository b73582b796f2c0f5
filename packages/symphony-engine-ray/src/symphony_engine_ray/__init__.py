"""Runs ready nodes on the machines of a Ray cluster.

Ray starts the machines and carries the bytes; the names below are imported when they are first used, so that the host
reads the extension's hooks without Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_engine_ray.cluster import RayCluster
    from symphony_engine_ray.settings import RaySettings

__all__ = ["RayCluster", "RaySettings"]

_MODULES = {"RayCluster": "cluster", "RaySettings": "settings"}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
