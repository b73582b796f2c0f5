"""Ids of artifacts: the keyed BLAKE3 hash of the bytes, as 32 bytes inside, as `b3-` and 64 hex digits outside.

Without the key of the store nobody can tell from an id whether it is that of some file that they know.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from blake3 import blake3
from symphony_sdk.errors import ArtifactError

ID_BYTES: Final = 32
CHUNK_ID_BYTES: Final = 16
"""Of the hash of a chunk, what is its id: enough to tell all apart, and half as much to keep of each."""

SCHEME: Final = "b3-"

_WRITTEN = re.compile(r"b3-([0-9a-f]{1,64})")


class ContentIds:
    """Gives the ids of a store.

    Args:
        key: 32 bytes that only this store has.
    """

    __slots__ = ("stream",)

    def __init__(self, key: bytes) -> None:
        self.stream: Callable[..., blake3] = partial(blake3, key=key)

    def __call__(self, data: bytes | memoryview) -> bytes:
        """The id of some bytes.

        Args:
            data: The bytes.
        """
        return self.stream(data).digest()

    def of_chunk(self, data: bytes | memoryview) -> bytes:
        """The id of a chunk.

        Args:
            data: Its bytes.
        """
        return self.stream(data).digest(CHUNK_ID_BYTES)


def text_of(id: bytes) -> str:
    """How an id is written.

    Args:
        id: The id.
    """
    return SCHEME + id.hex()


def is_written_as_id(text: str) -> bool:
    """Whether a text is meant as an id, or the beginning of one; otherwise it is a tag.

    Args:
        text: What was given for an artifact.
    """
    return text.startswith(SCHEME)


def id_range(text: str) -> tuple[bytes, bytes]:
    """The lowest and the highest id that begin with what was written; one and the same for a whole id.

    Args:
        text: An id, or the first characters of it.

    Raises:
        ArtifactError: It is not how ids are written.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ArtifactError(
            f"{text[:100]!r} is not the id of an artifact; expected `{SCHEME}` and up to {2 * ID_BYTES} "
            "hex digits in lower case",
            code="SYM-A004",
            hint="`symphony artifacts list` shows the ids.",
            details={"id": text[:100]},
        )
    digits = written[1]
    return bytes.fromhex(digits.ljust(2 * ID_BYTES, "0")), bytes.fromhex(digits.ljust(2 * ID_BYTES, "f"))
