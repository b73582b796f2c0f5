"""A tier: a place away from this machine that keeps the sealed files of an Artifact Store.

What is handed to a tier is sealed already. A tier needs to keep nothing secret, and what it gives back is checked.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec


class TierFile(msgspec.Struct, frozen=True):
    """A file in a tier.

    Args:
        name: Its name, such as `packs/3f2a`.
        size: Bytes of it.
    """

    name: str
    size: int


class ArtifactTier(Protocol):
    """Keeps files by name. Each method blocks; safe with many threads.

    A name is letters, digits, `-`, `_` and `.`, with `/` between parts of it. Every method raises an ArtifactError
    (`SYM-A050`) where the tier cannot be reached or refuses; its message names the tier's URL and the reason.
    """

    @property
    def url(self) -> str:
        """Where it is, as the user wrote it; without credentials."""

    def put(self, name: str, data: bytes | memoryview) -> bool:
        """Keep a file, durably; tells whether it did: a file that has the name already stays as it is.

        Args:
            name: Its name.
            data: Its bytes; all of them are there under that name, or nothing is.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """

    def get(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file; fewer at its end, none behind it.

        Args:
            name: Its name.
            offset: First byte, counted from 0.
            length: How many bytes, at least 1.

        Raises:
            FileNotFoundError: There is no such file.
            ArtifactError: The tier cannot be reached, or refuses.
        """

    def list(self, prefix: str) -> Iterator[TierFile]:
        """The files whose name begins so, in any order.

        Args:
            prefix: A whole part of their names, such as `packs/`.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none.

        Args:
            name: Its name.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """

    def delete(self, name: str) -> None:
        """Delete a file; does nothing where there is none.

        Args:
            name: Its name.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """


OpenTier = Callable[[str], ArtifactTier]
"""Opens the tier at a URL, without reaching for it yet; an ArtifactError (`SYM-A051`) where it cannot be one."""
