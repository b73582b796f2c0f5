"""Registers the executor `dask`; Dask itself is imported when a run first uses it."""

import importlib.util
from collections.abc import Iterable

from symphony_sdk import Executor, Services, provides_executors
from symphony_sdk.ports import ExecutorPort


@provides_executors
def symphony_executors() -> Iterable[Executor]:
    """The executor that runs nodes on a Dask cluster."""
    yield Executor("dask", create_executor)


def create_executor(services: Services) -> ExecutorPort:
    """Make the executor `dask`.

    Args:
        services: What the host gives.
    """
    from symphony_isolation.cluster import Capacity, Fleet, FleetSettings

    from symphony_engine_dask.cluster import DaskCluster
    from symphony_engine_dask.settings import DaskSettings

    settings = DaskSettings.of(services.config)
    expected = None
    if importlib.util.find_spec("distributed") is None:
        expected = Capacity(0.0, 1)
    elif not settings.address:
        here = Capacity.of_this_machine()
        expected = Capacity(float(settings.cores_each), here.memory // settings.workers)
    return Fleet(
        DaskCluster(settings),
        services.extensions,
        lambda: services.pit.artifacts,
        FleetSettings(settings.project, settings.start_timeout, settings.patience, expected),
    )
