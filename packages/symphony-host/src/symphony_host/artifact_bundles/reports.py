"""What exports and imports tell of what they did."""

import msgspec
from symphony_sdk.errors import ErrorPayload


class Exported(msgspec.Struct, frozen=True):
    """What a bundle was made of.

    Args:
        file: The bundle.
        artifacts: How many artifacts are in it.
        bytes: How many bytes they have.
        size: How many bytes the bundle has.
        faults: Those that are not in it, as they are damaged or gone.
    """

    file: str
    artifacts: int
    bytes: int
    size: int
    faults: tuple[ErrorPayload, ...]


class TakenTag(msgspec.Struct, frozen=True):
    """A tag that another artifact has here, and keeps.

    Args:
        name: The tag.
        id: The artifact that has it in the bundle, by its id here.
        kept_by: The artifact that has it here.
    """

    name: str
    id: str
    kept_by: str


class Imported(msgspec.Struct, frozen=True):
    """What an import added, or would add.

    Args:
        file: The bundle.
        artifacts: How many artifacts were not here.
        bytes: How many bytes these have.
        present: How many were here already.
        restored: How many of those had been removed and are here again.
        mended: How many of those were damaged here.
        descriptions: How many descriptions were added, with those of new artifacts.
        tags: How many tags were given.
        pins: How many artifacts were pinned.
        holds: How many holds were made.
        scores: How many scores were kept.
        relations: How many relations were made.
        taken_tags: Tags that other artifacts have here.
        unrelated: How many relations lead to artifacts that are neither in the bundle nor here.
        faults: What is damaged in the bundle, or cannot be kept; all else was imported.
    """

    file: str
    artifacts: int = 0
    bytes: int = 0
    present: int = 0
    restored: int = 0
    mended: int = 0
    descriptions: int = 0
    tags: int = 0
    pins: int = 0
    holds: int = 0
    scores: int = 0
    relations: int = 0
    taken_tags: tuple[TakenTag, ...] = ()
    unrelated: int = 0
    faults: tuple[ErrorPayload, ...] = ()
