"""The commands of `symphony runs` that steer a run or follow it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from symphony_workflow import from_document

from symphony_host.cli import exits
from symphony_host.cli.displays import display_for
from symphony_host.cli.flow_inputs import read_inputs
from symphony_host.cli.following import follow
from symphony_host.cli.permission_prompt import obtain_permissions
from symphony_host.cli.pipes import silence_stdout
from symphony_host.cli.run import output_option, quiet_option, show_run
from symphony_host.cli.session import actor, open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error
from symphony_host.cli.summary import print_summary, shape_of
from symphony_host.cli.text import clean

if TYPE_CHECKING:
    from symphony_core import SymphonyCore
    from symphony_sdk.ports import RunStatus

    from symphony_host.composition import Host

Steer = Callable[["SymphonyCore", str], Awaitable[None]]
"""Gives a command to the run of an id."""

run_argument = click.argument("run_id", metavar="RUN")


@click.command()
@run_argument
@json_option
@debug_option
@pass_shell
def pause(shell: Shell, run_id: str) -> None:
    """Start no further node of RUN; what runs may end first.

    \b
    Example:
      symphony runs pause 20260301-1
    """
    _steer(shell, run_id, lambda core, run: core.pause(run, actor=actor()))


@click.command()
@run_argument
@json_option
@debug_option
@pass_shell
def cancel(shell: Shell, run_id: str) -> None:
    """End RUN; what runs is told to stop.

    \b
    Example:
      symphony runs cancel 20260301-1
    """
    _steer(shell, run_id, lambda core, run: core.cancel(run, actor=actor()))


@click.command()
@run_argument
@click.argument("node")
@json_option
@debug_option
@pass_shell
def skip(shell: Shell, run_id: str, node: str) -> None:
    """Let NODE of RUN end without a result; what needs it is skipped, too.

    Retrying the node takes that back.

    \b
    Example:
      symphony runs skip 20260301-1 upload
    """
    _steer(shell, run_id, lambda core, run: core.skip(run, node, actor=actor()))


@click.command()
@run_argument
@click.argument("node", metavar="[NODE]", default="")
@click.option("--reject", is_flag=True, help="Say no.")
@click.option("--comment", metavar="TEXT", default="", help="Why.")
@json_option
@debug_option
@pass_shell
def approve(shell: Shell, run_id: str, node: str, reject: bool, comment: str) -> None:
    """Answer NODE of RUN, which waits for a person; NODE may be left out where only one does.

    \b
    Example:
      symphony runs approve 20260301-1 publish --comment "looks good"
      symphony runs approve 20260301-1 publish --reject
    """

    async def answer(core: "SymphonyCore", run: str) -> None:
        name = node or _only_waiting((await core.outcome(run)).status)
        await core.answer(run, name, not reject, by=actor(), comment=comment)

    _steer(shell, run_id, answer)


@click.command()
@run_argument
@click.argument("node", metavar="[NODE]", default="")
@output_option
@quiet_option
@json_option
@debug_option
@pass_shell
def retry(shell: Shell, run_id: str, node: str, output: Path | None, quiet: bool) -> int:
    """Run NODE of RUN again, and all that depends on it; without NODE, whatever failed.

    The results of all other nodes are kept. A run that is not under way goes on in this process.

    \b
    Example:
      symphony runs retry 20260301-1 summarize
    """

    async def begin(host: "Host") -> tuple[str, int]:
        run = await whole_id(host.core, run_id)
        seen = (await host.core.outcome(run)).status.durable
        workflow = from_document((await host.core.request(run)).workflow)
        obtain_permissions(shell, host.authority, workflow)
        await host.core.retry(run, node, actor=actor())
        return run, seen

    return show_run(shell, begin, output=output, quiet=quiet)


@click.command()
@run_argument
@click.option(
    "--input", "-i", "given", multiple=True, metavar="NAME=VALUE", help="Change an input of the workflow."
)
@click.option(
    "--param", "-p", multiple=True, metavar="NODE.PORT=VALUE", help="Change a param; VALUE is JSON or text."
)
@click.option("--from", "nodes", multiple=True, metavar="NODE", help="Run this node again without a change.")
@output_option
@quiet_option
@json_option
@debug_option
@pass_shell
def rerun(
    shell: Shell,
    run_id: str,
    given: tuple[str, ...],
    param: tuple[str, ...],
    nodes: tuple[str, ...],
    output: Path | None,
    quiet: bool,
) -> int:
    """Begin a new run from RUN with some things changed; what depends on no change is not run again.

    Without an option, everything that did not complete in RUN is run.

    \b
    Example:
      symphony runs rerun 20260301-1 --input text=hello --param summarize.words=50
    """
    params = _params(param)

    async def begin(host: "Host") -> tuple[str, int]:
        run = await whole_id(host.core, run_id)
        workflow = from_document((await host.core.request(run)).workflow)
        values = read_inputs(workflow, given)
        obtain_permissions(shell, host.authority, workflow)
        return await host.core.rerun(run, nodes=nodes, inputs=values, params=params, actor=actor()), 0

    return show_run(shell, begin, output=output, quiet=quiet)


@click.command()
@run_argument
@click.option("--after", type=click.IntRange(min=0), help="Show events after the one with this number.")
@json_option
@debug_option
@pass_shell
def watch(shell: Shell, run_id: str, after: int | None) -> int:
    """Follow RUN to its end, wherever it runs; Ctrl-C only stops watching.

    With --json, each event is a line; after an interruption, go on from the last one with --after.

    \b
    Example:
      symphony runs watch 20260301-1
    """
    try:
        return asyncio.run(_watch(shell, run_id, after))
    except BrokenPipeError:
        silence_stdout()
        return exits.UNREAD


async def _watch(shell: Shell, run_id: str, after: int | None) -> int:
    async with open_host(settings_of(shell)) as host:
        run = await whole_id(host.core, run_id)
        status = (await host.core.outcome(run)).status
        if after is None:
            after = 0 if shell.json else status.durable
        display = await display_for(shell, host.core, status, quiet=False)
        outcome, left = await follow(host.core, run, display, after=after, steer=False)
        shape = await shape_of(host.core, outcome.status)
    if left:
        click.echo(f"{run} is {outcome.status.state}; it is no longer watched", err=True)
        return exits.INTERRUPTED
    print_summary(shell, outcome, [], shape)
    return exits.OK if outcome.status.state == "completed" else exits.FAILED


def _steer(shell: Shell, run_id: str, command: Steer) -> None:
    status = asyncio.run(_steered(shell, run_id, command))
    if shell.json:
        shell.print_json(status)
        return
    busy = sum(node.state == "running" for node in status.nodes)
    rest = f"; {busy:,} of its nodes still {'runs' if busy == 1 else 'run'}" if busy else ""
    click.echo(f"{status.run} is {status.state}{rest}")


async def _steered(shell: Shell, run_id: str, command: Steer) -> "RunStatus":
    async with open_host(settings_of(shell)) as host:
        run = await whole_id(host.core, run_id)
        await command(host.core, run)
        return (await host.core.outcome(run)).status


def _only_waiting(status: "RunStatus") -> str:
    waiting = [node.node for node in status.nodes if node.state == "waiting"]
    if len(waiting) == 1:
        return waiting[0]
    if not waiting:
        raise usage_error(f"no node of {status.run} waits for an answer", f"It is {status.state}.")
    names = ", ".join(map(clean, waiting))
    raise usage_error(f"{len(waiting)} nodes of {status.run} wait for an answer", f"Name one of {names}.")


def _params(given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    params: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        node, dot, port = place.rpartition(".")
        if not (equals and dot and node and port):
            raise usage_error(f"the param {text!r} is not NODE.PORT=VALUE", "Such as summarize.words=50.")
        try:
            params.setdefault(node, {})[port] = json.loads(value)
        except (ValueError, RecursionError):
            params.setdefault(node, {})[port] = value
    return params
