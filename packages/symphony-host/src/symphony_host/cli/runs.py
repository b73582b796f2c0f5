"""`symphony runs`: what runs there are, where one is, and who did what."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click
from symphony_core import Outcome

from symphony_host.cli.run import resume
from symphony_host.cli.run_diff import diff
from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.steering import approve, cancel, pause, rerun, retry, skip, watch
from symphony_host.cli.summary import print_summary
from symphony_host.cli.text import clean, moment, seconds

if TYPE_CHECKING:
    from symphony_sdk.ports import HistoryEntry

    from symphony_host.composition import Host

T = TypeVar("T")
TOLD = 1000
"""Entries of the history that are read at a time, and that are told of one run."""

limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
)


@click.group(invoke_without_command=True)
@limit_option
@json_option
@debug_option
@pass_shell
@click.pass_context
def runs(context: click.Context, shell: Shell, limit: int) -> None:
    """List, show, follow and steer runs; without a further command, list them.

    RUN is the id of a run, or the first characters of it. A run can be steered from any terminal of the same
    user, whichever process works on it.

    \b
    Example:
      symphony runs
      symphony runs pause 20260301-1
    """
    if context.invoked_subcommand is None:
        _list(shell, limit)


@runs.command(name="list")
@limit_option
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, limit: int) -> None:
    """List the runs, the newest first.

    \b
    Example:
      symphony runs list --limit 5
    """
    _list(shell, limit)


@runs.command()
@click.argument("run_id", metavar="RUN")
@json_option
@debug_option
@pass_shell
def show(shell: Shell, run_id: str) -> None:
    """Show where RUN is: its nodes, how far it is, what waits for whom, and who did what.

    \b
    Example:
      symphony runs show 20260301-1
    """

    async def look(host: "Host") -> "tuple[Outcome, list[HistoryEntry]]":
        run = await whole_id(host.core, run_id)
        return await host.core.outcome(run), await _newest(host, run, 0, TOLD)

    outcome, history = _ask(shell, look)
    status = outcome.status
    if shell.json:
        shell.print_json({"status": status, "history": history})
        return
    print_summary(shell, outcome, [])
    if status.progress is not None and status.state not in ("completed", "failed", "cancelled"):
        eta = f", about {seconds(status.progress.eta)} left" if status.progress.eta is not None else ""
        done = f"{status.progress.nodes_done:,} of {status.progress.nodes_total:,} nodes"
        click.echo(f"{status.progress.percentage:.0f} % done: {done}{eta}")
    if status.origin:
        click.echo(f"took results over from {status.origin}")
    for node in status.nodes:
        if node.state == "waiting":
            who = ", ".join(node.approvers) or "anybody"
            click.echo(f"{clean(node.node)} asks {clean(who)}: {clean(node.prompt)}")
            click.echo(f"  answer with: symphony runs approve {status.run} {clean(node.node)}")
    click.echo()
    _print_history(shell, history)


@runs.command()
@click.argument("run_id", metavar="[RUN]", default="")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, help="Only entries after the one with this number."
)
@limit_option
@json_option
@debug_option
@pass_shell
def history(shell: Shell, run_id: str, after: int, limit: int) -> None:
    """Tell who gave which command to RUN, or to any run, and when; the newest last.

    \b
    Example:
      symphony runs history --limit 100
    """

    async def look(host: "Host") -> "list[HistoryEntry]":
        run = await whole_id(host.core, run_id) if run_id else ""
        return await _newest(host, run, after, limit)

    found = _ask(shell, look)
    if shell.json:
        shell.print_json(found)
    else:
        _print_history(shell, found)


for command in (approve, cancel, diff, pause, rerun, resume, retry, skip, watch):
    runs.add_command(command)


def _list(shell: Shell, limit: int) -> None:
    found = _ask(shell, lambda host: host.core.runs(limit))
    if shell.json:
        shell.print_json(found)
    elif found:
        rows = [
            (status.run, status.workflow, status.state, moment(status.started), seconds(status.seconds))
            for status in found
        ]
        shell.table(("run", "workflow", "state", "started", "time"), rows)
    else:
        click.echo("no runs yet; `symphony demo` makes one")


async def _newest(host: "Host", run: str, after: int, limit: int) -> "list[HistoryEntry]":
    """The newest entries of the history, in order."""
    kept: deque[HistoryEntry] = deque(maxlen=limit)
    while page := await host.core.history(run, after=after, limit=TOLD):
        kept.extend(page)
        after = page[-1].id
    return list(kept)


def _print_history(shell: Shell, entries: "list[HistoryEntry]") -> None:
    rows = [
        (str(entry.id), moment(entry.at), entry.run, entry.actor, entry.command, entry.node, entry.comment)
        for entry in entries
    ]
    if rows:
        shell.table(("no", "when", "run", "who", "command", "node", "comment"), rows)


def _ask(shell: Shell, question: "Callable[[Host], Awaitable[T]]") -> T:
    async def asked() -> T:
        async with open_host(settings_of(shell)) as host:
            return await question(host)

    return asyncio.run(asked())
