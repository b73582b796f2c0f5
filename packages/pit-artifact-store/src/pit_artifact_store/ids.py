"""Ids of artifacts: the BLAKE3 hash of the bytes, as 32 bytes inside and as `b3-` and 64 hex digits outside."""

import re
from typing import Final

from blake3 import blake3
from symphony_sdk.errors import ArtifactError

ID_BYTES: Final = 32
SCHEME: Final = "b3-"

_WRITTEN = re.compile(r"b3-([0-9a-f]{1,64})")


def content_id(data: bytes | memoryview) -> bytes:
    """The id of some bytes.

    Args:
        data: The bytes.
    """
    return blake3(data).digest()


def text_of(id: bytes) -> str:
    """How an id is written.

    Args:
        id: The id.
    """
    return SCHEME + id.hex()


def id_range(text: str) -> tuple[bytes, bytes]:
    """The lowest and the highest id that begin with what was written; one and the same for a whole id.

    Nothing but hex digits passes, so no id can name a file outside of the store.

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
