"""Registers the store as the Artifact Store of the Pit; nothing of it is imported until it is first used."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from symphony_sdk import PitComponent, Services, provides_pit_components

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactTier

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

    url = services.config["tier"]
    return Store(services.data_dir, partial(open_tier, services, url) if url else None)


def open_tier(services: Services, url: str) -> "ArtifactTier":
    """Open the tier that the settings name.

    Args:
        services: What the host gives to the parts that it creates.
        url: Its URL.

    Raises:
        ArtifactError: SYM-A051, no extension provides tiers of that scheme; otherwise that one's own.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in services.artifact_tiers:
        from symphony_sdk.errors import ArtifactError

        installed = ", ".join(services.artifact_tiers) or "none"
        raise ArtifactError(
            f"no usable extension provides tiers for the URL {url!r:.200} that the setting `tier` of "
            "symphony.artifact-store names",
            code="SYM-A051",
            hint=f"Installed are those of the schemes: {installed}. symphony-tier-objects brings `s3`, `gs`, `az` and "
            "`file`; see `symphony doctor`.",
            details={"installed": [*services.artifact_tiers]},
        )
    return services.artifact_tiers[scheme](url)
