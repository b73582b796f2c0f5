"""Runs every Symphony extension in a supervised process of its own.

The names below are imported when they are first used: a worker, which executes
`symphony_isolation.bootstrap`, imports nothing of the host's side.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_isolation.executor import LocalExecutor
    from symphony_isolation.extensions import IsolatedExtensions
    from symphony_isolation.host_lane import HostLane
    from symphony_isolation.spec import WorkerLimits, WorkerSpec, fingerprint

__all__ = ["HostLane", "IsolatedExtensions", "LocalExecutor", "WorkerLimits", "WorkerSpec", "fingerprint"]

_MODULES = {
    "HostLane": "host_lane",
    "IsolatedExtensions": "extensions",
    "LocalExecutor": "executor",
    "WorkerLimits": "spec",
    "WorkerSpec": "spec",
    "fingerprint": "spec",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
