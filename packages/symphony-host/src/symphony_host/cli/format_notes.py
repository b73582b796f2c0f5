"""Prints what an import or export could not take over, and refuses it where that was asked for."""

from collections.abc import Sequence

import click
from symphony_sdk import FormatNote
from symphony_sdk.errors import WorkflowError

from symphony_host.cli.text import clean, columns


def refuse_notes(notes: Sequence[FormatNote], what: str, file: str) -> None:
    """Refuse what is not exact.

    Args:
        notes: What could not be taken over.
        what: `import` or `export`.
        file: The file that was read.

    Raises:
        WorkflowError: SYM-W105, there are notes.
    """
    if notes:
        import msgspec

        shown = [f"{one.node}: {one.what} - {one.why}" for one in notes[:20]]
        more = [f"and {len(notes) - 20} more"] if len(notes) > 20 else []
        raise WorkflowError(
            f"the {what} is not exact\n  " + "\n  ".join([*shown, *more]),
            code="SYM-W105",
            hint="Without `--strict` it is made all the same, with these notes.",
            details={"notes": msgspec.to_builtins(notes)},
            file=file,
        )


def print_notes(notes: Sequence[FormatNote]) -> None:
    """Print the notes as a table, to where it spoils no output: stderr.

    Args:
        notes: What could not be taken over.
    """
    if not notes:
        return
    rows = [
        (clean(one.node), clean(one.becomes or "-"), clean(one.what), clean(f"{one.why}: {one.instead}"))
        for one in notes
    ]
    first, *rest = columns([("node", "becomes", "found", "why, and what was done"), *rows])
    click.secho(first, bold=True, err=True)
    for line in rest:
        click.echo(line, err=True)
