"""`symphony audit`: what was decided about extensions, and whether the record of it is whole."""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import click

from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean, counted, moment
from symphony_host.permissions import audit_directory, audit_head, audit_log

if TYPE_CHECKING:
    from symphony_isolation.audit import AuditRecord

F = TypeVar("F", bound=Callable[..., object])


def filter_options(function: F) -> F:
    """Add the options that choose records."""
    options = (
        click.option("--extension", metavar="ID", default="", help="Only those of this extension."),
        click.option(
            "--type", "kind", metavar="TYPE", default="", help="file, network, system, model, syscall."
        ),
        click.option(
            "--decision", metavar="WORD", default="", help="allow, deny, ask, grant, revoke, would-deny."
        ),
        click.option("--since", type=click.DateTime(), help="Only those from this time on."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def audit() -> None:
    """Show and check what was decided about extensions.

    Each access that was allowed or denied, each answer of yours, and each system call that the sandbox refused is a
    line of a log in which every line names the one before it; where it ends is kept elsewhere.

    \b
    Example:
      symphony audit list --decision deny
      symphony audit verify
    """


@audit.command(name="list")
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most so many, the latest ones.",
)
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, extension: str, kind: str, decision: str, since: datetime | None, limit: int) -> None:
    """List records, the oldest first.

    \b
    Example:
      symphony audit list --extension symphony.files --limit 10
    """
    records = deque(_chosen(shell, extension, kind, decision, since), maxlen=limit)
    if shell.json:
        for record in records:
            shell.print_json(record)
    elif records:
        rows = [
            (
                str(record.seq),
                moment(record.ts),
                record.extension,
                record.decision,
                record.rule,
                f"{record.type} {record.scope}",
                f"{record.count}x" if record.count > 1 else "",
                record.resource or "(others)",
            )
            for record in records
        ]
        shell.table(("", "when", "extension", "decision", "rule", "what", "", "resource"), rows)
    else:
        click.echo("nothing is recorded")


@audit.command()
@json_option
@debug_option
@pass_shell
def verify(shell: Shell) -> None:
    """Check that no record was changed, added, taken out or cut off; the exit code is 1 where one was.

    A record that a killed process left unfinished is told; it is no change.

    \b
    Example:
      symphony audit verify
    """
    from symphony_isolation.audit import verify as verify_log

    settings = settings_of(shell)
    verdict = verify_log(audit_directory(settings), audit_head(settings))
    if shell.json:
        shell.print_json(
            {"sound": True, **{name: getattr(verdict, name) for name in verdict.__struct_fields__}}
        )
        return
    if not verdict.records:
        click.echo("nothing is recorded yet")
        return
    click.echo(f"the chain holds: {counted(verdict.records, 'record')}, {verdict.first} to {verdict.last}")
    if verdict.unfinished:
        click.echo("the last one was left unfinished by a process that died; the next record completes it")


@audit.command()
@click.argument("file", type=click.File("wb", lazy=True), default="-")
@filter_options
@debug_option
@pass_shell
def export(
    shell: Shell, file: IO[bytes], extension: str, kind: str, decision: str, since: datetime | None
) -> None:
    """Write the records to FILE as they are kept: a line of JSON each. Without FILE, to the standard output.

    \b
    Example:
      symphony audit export audit.jsonl
    """
    from symphony_isolation.audit import line_of

    count = 0
    for record in _chosen(shell, extension, kind, decision, since):
        file.write(line_of(record) + b"\n")
        count += 1
    name = str(getattr(file, "name", "-"))
    if name not in ("-", "<stdout>"):
        click.echo(f"{counted(count, 'record')} in {clean(str(Path(name)))}", err=True)


def _chosen(
    shell: Shell, extension: str, kind: str, decision: str, since: datetime | None
) -> "Iterator[AuditRecord]":
    begin = since.timestamp() if since else 0.0
    for record in audit_log(settings_of(shell)).records():
        if (
            (not extension or record.extension == extension)
            and (not kind or record.type == kind)
            and (not decision or record.decision == decision)
            and record.ts >= begin
        ):
            yield record
