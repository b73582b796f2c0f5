"""Foreign text for a prompt: on one line, without characters that could make it look like something else."""

import unicodedata
from typing import Final

LONGEST_REASON: Final = 300
"""Characters of a reason that are shown."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(text: str, longest: int = LONGEST_REASON) -> str:
    """`text` on one line without control, format (bidirectional, zero-width), private and unassigned characters.

    Args:
        text: Anything, perhaps written to deceive.
        longest: Characters that are kept.
    """
    kept = (" " if character.isspace() else character for character in text)
    plain = "".join(character for character in kept if unicodedata.category(character) not in _HIDDEN)
    line = " ".join(plain.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
