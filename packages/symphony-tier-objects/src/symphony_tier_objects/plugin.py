"""Registers the tiers by the schemes of their URLs; the client is imported when one is opened."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from symphony_sdk import Services, TierScheme, provides_artifact_tiers

if TYPE_CHECKING:
    from symphony_sdk.ports import OpenTier

SCHEMES: Final = ("s3", "gs", "az", "file")


@provides_artifact_tiers
def symphony_artifact_tiers() -> Iterable[TierScheme]:
    """A tier for each scheme."""
    for scheme in SCHEMES:
        yield TierScheme(scheme, create_opener)


def create_opener(services: Services) -> "OpenTier":
    """What opens a tier.

    Args:
        services: What the host gives to the parts that it creates.
    """
    from symphony_tier_objects.tier import ObjectTier

    return ObjectTier
