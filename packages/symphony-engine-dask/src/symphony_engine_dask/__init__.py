"""Runs ready nodes on the workers of a Dask cluster.

Dask starts the machines and carries the bytes; the names below are imported when they are first used, so that the host
reads the extension's hooks without Dask.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_engine_dask.cluster import DaskCluster
    from symphony_engine_dask.settings import DaskSettings

__all__ = ["DaskCluster", "DaskSettings"]

_MODULES = {"DaskCluster": "cluster", "DaskSettings": "settings"}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
