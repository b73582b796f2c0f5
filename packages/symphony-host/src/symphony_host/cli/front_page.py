"""What `symphony --help` prints, from the table of commands alone, so that no framework is imported."""

import os
import sys
from collections.abc import Iterable

from symphony_host.cli.commands import COMMANDS, CommandEntry
from symphony_host.cli.exits import EXPLAINED
from symphony_host.cli.extension_commands import extension_commands
from symphony_host.cli.text import columns

_INTRODUCTION = """\
Usage: symphony COMMAND [OPTIONS]

Build AI workflows out of extensions, each in a process of its own."""

_OPTIONS = (
    ("--version", "Print the version"),
    ("--config FILE", "Read the settings from this file"),
    ("--help", "Print this; after a command, its options and an example"),
)


def front_page(*, color: bool | None = None) -> str:
    """The whole page.

    Args:
        color: Whether to colour it; None to do so on a terminal.
    """
    if color is None:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    entries: dict[str, list[CommandEntry]] = {}
    for entry in (*COMMANDS.values(), *extension_commands().values()):
        entries.setdefault(entry.section, []).append(entry)
    blocks = [_INTRODUCTION]
    names = [entry.name for group in entries.values() for entry in group]
    width = max(map(len, [*names, *(option for option, _ in _OPTIONS)]))
    for section, group in entries.items():
        blocks.append(_block(section, ((entry.name, entry.summary) for entry in group), width, color))
    blocks.append(_block("Options", _OPTIONS, width, color))
    blocks.append(_block("Exit codes", ((str(code), text) for code, text in EXPLAINED), width, color))
    return "\n\n".join(blocks)


def _block(heading: str, rows: Iterable[tuple[str, str]], width: int, color: bool) -> str:
    lines = columns([(name.ljust(width), text) for name, text in rows], indent=2)
    if color:
        heading = f"\033[1m{heading}\033[0m"
        lines = [f"  \033[36m{line[2 : 2 + width]}\033[0m{line[2 + width :]}" for line in lines]
    return "\n".join([f"{heading}:", *lines])
