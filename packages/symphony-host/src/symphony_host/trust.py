"""Who may run where nothing contains an extension for certain: the family, and whom the user trusts by name."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from symphony_host.configuration import Sandbox
from symphony_host.records import ExtensionRecord

if TYPE_CHECKING:
    from symphony_sdk.errors import ExtensionError

FAMILY = frozenset(
    {
        "pit-arbitration-engine",
        "pit-artifact-store",
        "pit-dag-tracker",
        "pit-pool-manager",
        "pit-stale-manager",
        "symphony-conductor",
        "symphony-data",
        "symphony-editor-neovim",
        "symphony-editor-xi",
        "symphony-engine-dask",
        "symphony-engine-ray",
        "symphony-isolation",
        "symphony-mcp",
        "symphony-ofb",
        "symphony-registry",
        "symphony-telemetry",
        "symphony-tier-objects",
        "symphony-transport-nats",
        "symphony-transports",
        "symphony-ui",
        "symphony-workflow-formats",
    }
)
"""Distributions of Symphony itself, whose extensions may run in the host without being asked about."""


def is_trusted(record: ExtensionRecord, trusted: Collection[str]) -> bool:
    """Whether an extension is of the family, or trusted by name.

    Args:
        record: The extension.
        trusted: Ids of the extensions that the user trusts by name.
    """
    return record.distribution in FAMILY or record.id in trusted


def sandbox_of(record: ExtensionRecord, wanted: Sandbox, trusted: Collection[str]) -> Sandbox:
    """The sandbox that an extension's workers are to run in: a trusted one may do with an unverified one.

    Args:
        record: The extension.
        wanted: The setting `sandbox`.
        trusted: Ids of the extensions that the user trusts by name.
    """
    return "unverified" if wanted == "auto" and is_trusted(record, trusted) else wanted


def refusal_in_host(record: ExtensionRecord, trusted: Collection[str]) -> "ExtensionError | None":
    """Why an extension that asks to run in the host may not; None where it may.

    Args:
        record: The extension; its manifest says `runs = "host"`.
        trusted: Ids of the extensions that the user trusts by name.
    """
    if is_trusted(record, trusted):
        return None
    from symphony_sdk.errors import ExtensionError

    return ExtensionError(
        f"the extension {record.id} of {record.distribution} wants to run in the host, where nothing contains it",
        code="SYM-E027",
        hint=f'Ask its author for `runs = "worker"`, or trust it: `trusted = ["{record.id}"]` in the '
        "configuration.",
        file=record.manifest_file,
    )
