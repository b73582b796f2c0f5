"""The names of operations and addons, and titles made from names of code."""

import re

from symphony_sdk.errors import ExtensionError

_OPERATION_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){2,}")


def check_operation_id(id: str) -> str:
    """`id`, if it can be the id of an operation or an addon.

    Args:
        id: At least three dotted parts of lower-case letters, digits and hyphens.

    Raises:
        ExtensionError: It cannot.
    """
    if not _OPERATION_ID.fullmatch(id):
        raise ExtensionError(
            f"{id!r} cannot be the id of an operation",
            code="SYM-E011",
            hint="Write `publisher.extension.operation` in lower case, such as `acme.text.word-count`.",
        )
    return id


def title_of(name: str) -> str:
    """`word_count` and `WordCount` as `Word count`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip().lower()
    return words[:1].upper() + words[1:]
