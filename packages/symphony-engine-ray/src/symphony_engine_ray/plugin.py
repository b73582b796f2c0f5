"""Registers the executor `ray`; Ray itself is imported when a run first uses it."""

import importlib.util
from collections.abc import Iterable

from symphony_sdk import Executor, Services, provides_executors
from symphony_sdk.ports import ExecutorPort


@provides_executors
def symphony_executors() -> Iterable[Executor]:
    """The executor that runs nodes on a Ray cluster."""
    yield Executor("ray", create_executor)


def create_executor(services: Services) -> ExecutorPort:
    """Make the executor `ray`.

    Args:
        services: What the host gives.
    """
    from symphony_isolation.cluster import Capacity, Fleet, FleetSettings

    from symphony_engine_ray.cluster import RayCluster
    from symphony_engine_ray.settings import RaySettings

    settings = RaySettings.of(services.config)
    expected = None
    if importlib.util.find_spec("ray") is None:
        expected = Capacity(0.0, 1)
    elif not settings.address:
        here = Capacity.of_this_machine()
        expected = Capacity(float(settings.cores or here.cores), here.memory, here.gpus)
    return Fleet(
        RayCluster(settings),
        services.extensions,
        lambda: services.pit.artifacts,
        FleetSettings(settings.project_directory, settings.start_timeout, settings.patience, expected),
    )
