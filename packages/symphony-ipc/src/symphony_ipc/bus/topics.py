"""Topics and the patterns that match them.

A topic is words joined by dots, such as `run.started`. In a pattern `*` stands for one word and `>`, at the
end, for one or more. Neither stands for a first word that begins with `_`: those topics are the bus's own.
"""

import re
from typing import Final, Generic, TypeVar

from symphony_sdk.errors import BusError

TOPIC_LIMIT: Final = 240
"""Characters of a topic, a pattern or the name of an endpoint."""

OWN: Final = "_"
"""What the bus's own topics begin with."""

_OWN_LIMIT: Final = 255  # the bus puts a word before the topics of others

_WORD: Final = r"[^\s.*>\x00-\x1f\x7f]+"
_TOPIC: Final = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_PATTERN: Final = re.compile(rf"(?:(?:{_WORD}|\*)(?:\.(?:{_WORD}|\*))*(?:\.>)?|>)")

T = TypeVar("T")


def check_topic(topic: str, what: str = "topic") -> str:
    """The topic itself.

    Args:
        topic: What is to be one.
        what: What it is called in the error.

    Raises:
        BusError: It is not one (`SYM-T020`).
    """
    if len(topic) > _limit(topic) or not _TOPIC.fullmatch(topic):
        raise _refused(
            topic, what, "words joined by dots, without spaces, `*` and `>`, such as `run.started`"
        )
    return topic


def check_pattern(pattern: str) -> str:
    """The pattern itself.

    Raises:
        BusError: It is not one (`SYM-T020`).
    """
    if len(pattern) > _limit(pattern) or not _PATTERN.fullmatch(pattern):
        raise _refused(
            pattern,
            "pattern",
            "words joined by dots, or `*` for a word, or `>` for all that follow, as in `run.*.>`",
        )
    return pattern


def check_name(name: str) -> str:
    """The name of an endpoint itself.

    Raises:
        BusError: It is not one, or is the bus's own (`SYM-T020`).
    """
    if name.startswith(OWN):
        raise _refused(name, "name", "words joined by dots that do not begin with `_`")
    return check_topic(name, "name")


def check_group(group: str) -> str:
    """The name of a queue group itself; the empty one stands for none.

    Raises:
        BusError: It is not one (`SYM-T020`).
    """
    return check_topic(group, "group") if group else group


def matches(pattern: str, topic: str) -> bool:
    """Whether a valid pattern matches a valid topic."""
    table: Patterns[None] = Patterns()
    table.add(pattern, None)
    return bool(table.match(topic))


class _Node(Generic[T]):
    __slots__ = ("any", "end", "rest", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None  # behind `*`
        self.end: list[T] = []  # the value of the pattern that ends here
        self.rest: list[T] = []  # the value of the pattern that goes on with `>` from here


class Patterns(Generic[T]):
    """A value for each of many patterns, found by topic: a trie of their words."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: str, value: T) -> None:
        """Set the value of a pattern."""
        node = self._root
        for word in pattern.split("."):
            if word == ">":
                node.rest = [value]
                return
            if word == "*":
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.words.setdefault(word, _Node())
        node.end = [value]

    def remove(self, pattern: str) -> None:
        """Forget a pattern that was added, and what of the trie only it needed."""
        *words, last = pattern.split(".")
        path = [self._root]
        for word in words if last == ">" else [*words, last]:
            path.append((path[-1].any if word == "*" else None) or path[-1].words[word])
        if last == ">":
            path[-1].rest = []
        else:
            path[-1].end = []
            words.append(last)
        for word, parent, node in zip(reversed(words), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.end or node.rest or node.words or node.any is not None:
                return
            if word == "*":
                parent.any = None
            else:
                del parent.words[word]

    def match(self, topic: str) -> list[T]:
        """The values of all patterns that match a topic."""
        found: list[T] = []
        words = topic.split(".")
        level = [self._root]
        if topic.startswith(OWN):
            first = self._root.words.get(words.pop(0))
            level = [] if first is None else [first]
        for word in words:
            below = []
            for node in level:
                found += node.rest
                if (child := node.words.get(word)) is not None:
                    below.append(child)
                if node.any is not None:
                    below.append(node.any)
            level = below
        for node in level:
            found += node.end
        return found


def _limit(text: str) -> int:
    return _OWN_LIMIT if text.startswith(OWN) else TOPIC_LIMIT


def _refused(text: str, what: str, expected: str) -> BusError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return BusError(
        f"{shown!r} is no {what}; expected {expected}, of at most {TOPIC_LIMIT} characters",
        hint="Write numbers and ids as words of their own: `run.42.started`.",
        details={what: text[:TOPIC_LIMIT]},
    )
