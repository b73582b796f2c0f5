"""Ready nodes on many machines: what every engine that brings machines, such as Dask, has in common.

In the host a [Fleet][symphony_isolation.cluster.fleet.Fleet] is the executor; on each machine a
[Machine][symphony_isolation.cluster.machine.Machine] runs extensions in isolated workers, as the host does. An engine
only starts machines and moves bytes: it implements [Cluster][symphony_isolation.cluster.engine.Cluster].
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_isolation.cluster.engine import Capacity, Cluster, ClusterListener
    from symphony_isolation.cluster.fleet import Fleet, FleetSettings
    from symphony_isolation.cluster.machine import Machine

__all__ = ["Capacity", "Cluster", "ClusterListener", "Fleet", "FleetSettings", "Machine"]

_MODULES = {
    "Capacity": "engine",
    "Cluster": "engine",
    "ClusterListener": "engine",
    "Fleet": "fleet",
    "FleetSettings": "fleet",
    "Machine": "machine",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
