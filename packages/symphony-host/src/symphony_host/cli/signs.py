"""The signs that a progress display draws with: those of Unicode, or of ASCII where a terminal has no others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from symphony_sdk.ports.pit import NodeState


@dataclass(frozen=True)
class Signs:
    """One set of signs.

    Args:
        states: What stands before a node in a state; a node that runs has a spinner.
        spinner: The pictures of the spinner, one after the other.
        full: The part of a bar that is done.
        empty: The rest of a bar.
        dot: Stands between two facts.
        cut: Stands where text was cut off.
        ascii: Whether only ASCII may be written.
    """

    states: Mapping[NodeState, str] = field(default_factory=dict)
    spinner: str = ""
    full: str = ""
    empty: str = ""
    dot: str = ""
    cut: str = ""
    ascii: bool = False


UNICODE = Signs(
    {
        "completed": "✓",
        "failed": "✗",
        "skipped": "-",
        "cancelled": "-",
        "retrying": "↻",
        "waiting": "?",
        "paused": "‖",
    },
    "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
    "━",
    "─",
    " · ",
    "…",
)
ASCII = Signs(
    {
        "completed": "+",
        "failed": "x",
        "skipped": "-",
        "cancelled": "-",
        "retrying": "~",
        "waiting": "?",
        "paused": "=",
    },
    "|/-\\",
    "#",
    ".",
    ", ",
    "..",
    ascii=True,
)


def signs_for(encoding: str, environment: Mapping[str, str] = os.environ) -> Signs:
    """The signs that a terminal can show.

    Python writes UTF-8 even where the user's locale has only ASCII, so the locale is asked, too.

    Args:
        encoding: The encoding of what is written.
        environment: The environment variables.
    """
    locale = environment.get("LC_ALL") or environment.get("LANG") or ""
    return UNICODE if encoding.lower().startswith("utf") and locale not in ("C", "POSIX") else ASCII
