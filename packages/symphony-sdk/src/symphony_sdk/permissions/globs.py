"""Patterns of slash-separated names, and whether one pattern covers another.

A pattern covers another when its parts can be laid over the other's so that each wildcard lies over what
it stands for. That is sound (it never covers a name it does not match), reflexive and transitive, and runs
in time proportional to the product of the two lengths. It is not complete: `?*` does not cover `*a`, though
each name that `*a` matches is matched by `?*`; the user is then asked once more than needed.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any


class Wildcard(Enum):
    """What in a pattern stands for other text; an enum, so that no character can be taken for one."""

    ONE = "?"
    RUN = "*"
    DEPTH = "**"


Segment = str | tuple[str | Wildcard, ...] | Wildcard
Segments = tuple[Segment, ...]

_IN_A_NAME = {wildcard.value: wildcard for wildcard in (Wildcard.ONE, Wildcard.RUN)}


def segment_of(text: str) -> Segment:
    """One name of a pattern, its wildcards told apart from its characters.

    Args:
        text: The name between two slashes, such as `*.py`, `src` or `**`.
    """
    if text == Wildcard.DEPTH.value:
        return Wildcard.DEPTH
    if "*" not in text and "?" not in text:
        return text
    return tuple(_IN_A_NAME.get(character, character) for character in text)


def segments_cover(granted: Segments, asked: Segments) -> bool:
    """Whether each path that `asked` stands for is one that `granted` stands for.

    Args:
        granted: Segments of the wider pattern.
        asked: Segments of the narrower pattern, or of a path: text without wildcards.
    """
    return _lies_over(granted, asked, Wildcard.DEPTH, _segment_covers)


def _segment_covers(granted: Segment, asked: Segment) -> bool:
    if isinstance(granted, str):
        return granted == asked
    if isinstance(granted, Wildcard) or isinstance(asked, Wildcard):
        return False
    return _lies_over(granted, asked, Wildcard.RUN, _character_covers)


def _character_covers(granted: str | Wildcard, asked: str | Wildcard) -> bool:
    return granted == asked or (granted is Wildcard.ONE and asked is not Wildcard.RUN)


def _lies_over(
    granted: Sequence[Any], asked: Sequence[Any], star: Wildcard, covers_one: Callable[[Any, Any], bool]
) -> bool:
    """Greedy wildcard matching with one resume point, over patterns instead of text."""
    at_granted = at_asked = 0
    after_star = resume = -1
    while at_asked < len(asked):
        if at_granted < len(granted) and granted[at_granted] is star:
            at_granted += 1
            if at_granted == len(granted):
                return True
            after_star, resume = at_granted, at_asked
        elif at_granted < len(granted) and covers_one(granted[at_granted], asked[at_asked]):
            at_granted += 1
            at_asked += 1
        elif after_star >= 0:
            resume += 1
            at_granted, at_asked = after_star, resume
        else:
            return False
    return all(token is star for token in granted[at_granted:])
