"""The file `keys` of a store in its tier: wrapped by the master key, which never leaves the machine."""

from typing import Final

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactTier

from pit_artifact_store.tiering.remote import KEYS

_MOST_BYTES: Final = 1 << 20
"""More than any file `keys` has."""


def put_keys(tier: ArtifactTier, store: str, content: bytes) -> None:
    """Have the newest keys in the tier, read back and compared, and no older ones.

    Args:
        tier: The tier.
        store: What the store is called there.
        content: The file `keys`.

    Raises:
        ArtifactError: The tier cannot be used, or it is that of another store.
    """
    numbers = _numbers(tier, store)
    newest = max(numbers, default=0)
    if not newest or tier.get(_name(store, newest), 0, _MOST_BYTES) != content:
        newest += 1
        tier.put(_name(store, newest), content)
        if tier.get(_name(store, newest), 0, _MOST_BYTES) != content:
            raise ArtifactError(
                f"the tier {tier.url} gives other keys than were put there as {_name(store, newest)}",
                code="SYM-A053",
                hint="Back up again. If that does not help, the place is not to be trusted: set another one.",
                details={"url": tier.url},
            )
    for number in numbers:
        if number != newest:  # a master key that was given up opens them still
            tier.delete(_name(store, number))


def has_keys(tier: ArtifactTier, store: str) -> bool:
    """Whether the store was ever backed up to the tier.

    Args:
        tier: The tier.
        store: What the store is called there.

    Raises:
        ArtifactError: The tier cannot be used, or it is that of another store.
    """
    return bool(_numbers(tier, store))


def newest_keys(tier: ArtifactTier) -> tuple[str, bytes]:
    """Where the newest keys in a tier are, and the file.

    Args:
        tier: The tier.

    Raises:
        ArtifactError: There are none, there are those of several stores, or the tier cannot be used.
    """
    found = _found(tier)
    if not found:
        raise ArtifactError(
            f"there is no artifact store in the tier {tier.url}",
            code="SYM-A054",
            hint="Give the URL that the store was backed up to.",
            details={"url": tier.url},
        )
    store, number = max(found, key=lambda each: each[1])
    _numbers(tier, store)
    return f"{tier.url}/{_name(store, number)}", tier.get(_name(store, number), 0, _MOST_BYTES)


def _numbers(tier: ArtifactTier, store: str) -> list[int]:
    found = _found(tier)
    if others := {other for other, _ in found} - {store}:
        raise ArtifactError(
            f"the tier {tier.url} is that of another artifact store: it has the keys of {', '.join(sorted(others))}, "
            f"and this store is {store}",
            code="SYM-A052",
            hint="Set another place as the `tier` of symphony.artifact-store, such as another folder of the bucket.",
            details={"url": tier.url, "found": sorted(others), "expected": store},
        )
    return [number for _, number in found]


def _found(tier: ArtifactTier) -> list[tuple[str, int]]:
    found = []
    for file in tier.list(KEYS):
        match file.name.removeprefix(KEYS).split("/"):
            case [store, number] if number.isdecimal():
                found.append((store, int(number)))
    return found


def _name(store: str, number: int) -> str:
    return f"{KEYS}{store}/{number}"
