"""`symphony runs`: what runs there are, where one is, and who did what."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec
from symphony_core import Outcome

from symphony_host.cli.displays import short
from symphony_host.cli.run import resume
from symphony_host.cli.run_compaction import compact
from symphony_host.cli.run_diff import diff
from symphony_host.cli.run_metrics import metrics
from symphony_host.cli.run_policy import in_words
from symphony_host.cli.run_why import why
from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.steering import approve, cancel, pause, rerun, retry, skip, watch
from symphony_host.cli.summary import print_summary, shape_of
from symphony_host.cli.text import clean, moment, seconds
from symphony_host.cli.timeline import timeline

if TYPE_CHECKING:
    from symphony_sdk.ports import HistoryEntry, NodeStatus, RunPolicy, RunStatus

    from symphony_host.composition import Host
    from symphony_host.run_shape import RunShape

T = TypeVar("T")
TOLD = 1000
"""Entries of the history that are read at a time, and that are told of one run."""
TOLD_WAITING = 5
"""Nodes that wait for an answer of which the question is told."""

FAILED = frozenset({"failed"})
AT_WORK = frozenset({"running", "retrying"})

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
@click.option("--failed", is_flag=True, help="Only the nodes that failed, with their errors.")
@click.option("--running", is_flag=True, help="Only the nodes that are at work.")
@click.option(
    "--level",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the nodes with N others before them on the longest way to them.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many of these nodes.",
)
@json_option
@debug_option
@pass_shell
def show(shell: Shell, run_id: str, failed: bool, running: bool, level: int | None, limit: int) -> None:
    """Show where RUN is: its nodes, how far it is, what failed, what waits for whom, and who did what.

    Of a large run its nodes are counted; `--failed`, `--running` and `--level` list some of them. With --json, all
    of these are printed.

    \b
    Example:
      symphony runs show 20260301-1
      symphony runs show 20260301-1 --failed --limit 100
    """
    states = (FAILED if failed else frozenset()) | (AT_WORK if running else frozenset())
    chosen = bool(states) or level is not None

    async def look(host: "Host") -> "tuple[Outcome, RunShape | None, RunPolicy, list[HistoryEntry]]":
        run = await whole_id(host.core, run_id)
        policy = (await host.core.request(run)).policy
        outcome = await host.core.outcome(run)
        shape = await shape_of(host.core, outcome.status, needed=level is not None)
        return outcome, shape, policy, await _newest(host, run, 0, TOLD)

    outcome, shape, policy, history = _ask(shell, look)
    status = outcome.status
    if chosen:
        nodes = tuple(
            node
            for node in status.nodes
            if (not states or node.state in states)
            and (level is None or (shape is not None and shape.level(node.node) == level))
        )
        status = msgspec.structs.replace(status, nodes=nodes)
    if shell.json:
        shell.print_json({"status": status, "policy": policy, "history": history})
    elif chosen:
        _print_chosen(shell, status.nodes, limit)
    else:
        print_summary(shell, outcome, [], shape)
        if words := in_words(policy):
            click.echo(f"the run {words}")
        _print_progress(status)
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


for command in (
    approve,
    cancel,
    compact,
    diff,
    metrics,
    pause,
    rerun,
    resume,
    retry,
    skip,
    timeline,
    watch,
    why,
):
    runs.add_command(command)


def _print_progress(status: "RunStatus") -> None:
    """How far a run is, and who has to do what for it to go on."""
    if status.progress is not None and status.state not in ("completed", "failed", "cancelled"):
        eta = f", about {seconds(status.progress.eta)} left" if status.progress.eta is not None else ""
        done = f"{status.progress.nodes_done:,} of {status.progress.nodes_total:,} nodes"
        click.echo(f"{status.progress.percentage:.0f} % done: {done}{eta}")
    if status.origin:
        click.echo(f"took results over from {status.origin}")
    waiting = [node for node in status.nodes if node.state == "waiting"]
    for node in waiting[:TOLD_WAITING]:
        who = ", ".join(node.approvers) or "anybody"
        click.echo(f"{clean(node.node)} asks {clean(who)}: {clean(node.prompt)}")
        click.echo(f"  answer with: symphony runs approve {status.run} {clean(node.node)}")
    if len(waiting) > TOLD_WAITING:
        click.echo(f"and {len(waiting) - TOLD_WAITING:,} more wait for an answer")


def _print_chosen(shell: Shell, nodes: "Sequence[NodeStatus]", limit: int) -> None:
    if not nodes:
        click.echo("no such node")
        return
    placed = any(node.place for node in nodes[:limit])
    rows = [
        (
            node.node,
            node.state,
            seconds(node.seconds) if node.attempt else "",
            str(node.attempt or ""),
            *([node.place] if placed else ()),
            short(node.error) if node.error else "",
        )
        for node in nodes[:limit]
    ]
    shell.table(("node", "state", "time", "attempts", *(["place"] if placed else ()), "error"), rows)
    if len(nodes) > limit:
        click.echo(f"and {len(nodes) - limit:,} more; show them with --limit {len(nodes)}")


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
