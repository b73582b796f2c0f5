"""`symphony artifacts diff`: what is different between two artifacts."""

from difflib import unified_diff
from typing import TYPE_CHECKING, Final

import click

from symphony_host.cli.artifacts.describing import facts, short_id
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.shell import Shell, clean_lines, debug_option, json_option, pass_shell
from symphony_host.cli.text import size

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactInfo, ArtifactStore

COMPARED: Final = 1 << 20
"""Bytes of an artifact from which on it is not compared line by line."""

_WIDTH = 48


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@json_option
@debug_option
@pass_shell
def diff(shell: Shell, first: str, second: str) -> None:
    """Compare the artifacts A and B: their descriptions side by side, and their lines where both are text below 1 MiB.

    \b
    Example:
      symphony artifacts diff b3-3f2a b3-91c0
    """

    def compare(store: "ArtifactStore") -> "tuple[ArtifactInfo, ArtifactInfo, str, list[str]]":
        a, b = store.info(first), store.info(second)
        return a, b, *content_difference(store, a, b)

    a, b, verdict, lines = with_store(shell, compare)
    left, right = facts(a), facts(b)
    names = list({**left, **right})
    if shell.json:
        differences = {
            name: {"a": left.get(name), "b": right.get(name)}
            for name in names
            if left.get(name) != right.get(name)
        }
        shell.print_json({"a": a, "b": b, "differences": differences, "content": verdict, "lines": lines})
        return
    rows = [
        (
            name,
            _cut(left.get(name, "-")),
            _cut(right.get(name, "-")),
            "" if left.get(name) == right.get(name) else "differs",
        )
        for name in names
    ]
    shell.table(("", "a", "b", ""), rows)
    click.echo()
    for line in lines:
        for cleaned in clean_lines(line.replace("\r", "^M").expandtabs(4)):
            click.echo(cleaned)
    if not lines:
        click.echo(verdict)


def content_difference(store: "ArtifactStore", a: "ArtifactInfo", b: "ArtifactInfo") -> tuple[str, list[str]]:
    """What is different in the bytes of two artifacts, in words, and their unified diff where both are short text.

    Args:
        store: Where they are.
        a: The first.
        b: The second.

    Raises:
        ArtifactError: One is damaged.
    """
    if a.ref.id == b.ref.id:
        return "the bytes are the same", []
    if a.removed or b.removed:
        return "the bytes are different: one was removed, so they are not compared line by line", []
    if max(a.ref.size, b.ref.size) >= COMPARED:
        return (
            f"the bytes are different: {size(COMPARED)} or more are not compared line by line",
            [],
        )
    before, after = _text(store.get(a.ref.id)), _text(store.get(b.ref.id))
    if before is None or after is None:
        return "the bytes are different: they are binary, so they are not compared line by line", []
    old, new = (f"{short_id(info.ref.id)} {info.ref.name}".rstrip() for info in (a, b))
    lines = unified_diff(before.split("\n"), after.split("\n"), old, new, lineterm="")
    return "the lines are different", list(lines)


def _text(data: bytes) -> str | None:
    """Bytes as text; None where they are none."""
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 2]}.."
