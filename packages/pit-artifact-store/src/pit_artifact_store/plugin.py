"""Registers the store as the Artifact Store of the Pit; nothing of it is imported until it is first used."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import PitComponent, Services, provides_pit_components

if TYPE_CHECKING:
    from pit_artifact_store.store import Store


@provides_pit_components
def symphony_pit_components() -> Iterable[PitComponent]:
    """The Artifact Store of the Pit."""
    yield PitComponent("artifact_store", create_store)


def create_store(services: Services) -> "Store":
    """Open the store in the extension's directory.

    Args:
        services: What the host gives to the parts that it creates.
    """
    from pit_artifact_store.store import Store

    return Store(services.data_dir)
