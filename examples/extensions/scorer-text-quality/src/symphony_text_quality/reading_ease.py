"""How easy English text is to read.

Rudolf Flesch, "A new readability yardstick", Journal of Applied Psychology 32 (1948).
"""

import re

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_END = re.compile(r"[.!?]+(?=\s|$)|\n\s*\n")
_VOWELS = re.compile(r"[aeiouy\u00e0-\u00f6\u00f8-\u00ff]+")


def reading_ease(text: str) -> float | None:
    """The Flesch reading ease of a text: 100 is very easy, 60 plain English, 30 hard; None without a word.

    Args:
        text: English text.
    """
    words = _WORD.findall(text)
    if not words:
        return None
    sentences = sum(1 for part in _END.split(text) if _WORD.search(part))
    syllables = sum(map(count_syllables, words))
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


def count_syllables(word: str) -> int:
    """About how many syllables an English word has, at least 1.

    Args:
        word: The word.
    """
    word = word.lower()
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee", "ie", "oe", "ye"))
    return max(groups - silent, 1)
