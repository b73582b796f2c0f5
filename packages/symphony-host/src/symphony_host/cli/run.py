"""`symphony run` and `symphony resume`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from symphony_sdk.ports import RunPolicy
from symphony_workflow import Workflow, describe, from_document, load

from symphony_host.cli import exits
from symphony_host.cli.displays import display_for
from symphony_host.cli.flow_inputs import missing_inputs, read_inputs, read_value
from symphony_host.cli.following import follow
from symphony_host.cli.permission_prompt import obtain_permissions
from symphony_host.cli.pipes import silence_stdout
from symphony_host.cli.results import hand_over
from symphony_host.cli.run_policy import policy_options
from symphony_host.cli.session import actor, open_host, settings_of, trace_label, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.summary import print_summary, shape_of

if TYPE_CHECKING:
    from symphony_isolation.permissions import Authority

    from symphony_host.composition import Host
    from symphony_host.configuration import Settings

Begin = Callable[["Host"], Awaitable[tuple[str, int]]]
"""Starts or resumes a run; gives its id and the number of the last event that is not to be shown again."""

Permit = Callable[[Shell, "Authority", Workflow], None]
"""Sees to it that the extensions of a workflow may do what they require, or raises PermissionDenied."""

output_option = click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy the resulting artifacts to this folder.",
)
address_option = click.option(
    "--address",
    metavar="ADDRESS",
    default="",
    help="The cluster that the executor uses: its setting `address` for this call.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Show no progress, only the result.")


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--input", "-i", "given", multiple=True, metavar="NAME=VALUE", help="Give an input; may be repeated."
)
@click.option("--executor", metavar="NAME", default="", help="Where nodes run; `local` unless set otherwise.")
@address_option
@policy_options
@output_option
@click.option("--no-input", is_flag=True, help="Ask for nothing: a missing input or permission is an error.")
@click.option(
    "--audit-only",
    is_flag=True,
    help="Let extensions do what nobody has denied, and record what they lack: see `permissions draft`.",
)
@quiet_option
@json_option
@debug_option
@pass_shell
def run(
    shell: Shell,
    flow: Path,
    given: tuple[str, ...],
    executor: str,
    address: str,
    policy: RunPolicy,
    output: Path | None,
    no_input: bool,
    audit_only: bool,
    quiet: bool,
) -> int:
    """Run the workflow in the file FLOW and show its progress.

    An input that takes text is taken as typed; any other is JSON, or @FILE for a file of JSON. Ctrl-C pauses
    the run so that `symphony resume` can go on with it; Ctrl-C twice stops at once, and it can be resumed too.
    With --json, each event is a line of JSON, and a summary is the last.

    \b
    Example:
      symphony run examples/workflows/code-atlas.json --input path=src
    """
    workflow = load(flow)
    values = read_inputs(workflow, given)
    if not (no_input or shell.json) and _on_a_terminal():
        values |= _asked_for(workflow, values)
    return run_workflow(
        shell,
        workflow,
        values,
        executor=executor,
        address=address,
        policy=policy,
        output=output,
        quiet=quiet,
        settings=settings_of(shell, "audit_only=true") if audit_only else None,
        permit=partial(obtain_permissions, no_input=no_input),
    )


@click.command()
@click.argument("run_id", metavar="RUN")
@address_option
@output_option
@quiet_option
@json_option
@debug_option
@pass_shell
def resume(shell: Shell, run_id: str, address: str, output: Path | None, quiet: bool) -> int:
    """Go on with RUN, which was paused, interrupted or failed; what is completed is not run again.

    RUN is the id of a run, or the first characters of it.

    \b
    Example:
      symphony resume 20260301-1
    """

    async def begin(host: "Host") -> tuple[str, int]:
        run = await whole_id(host.core, run_id)
        before = (await host.core.outcome(run)).status
        request = await host.core.request(run)
        if address:
            host.set_of_executor(request.executor, "address", address)
        obtain_permissions(shell, host.authority, from_document(request.workflow))
        await host.core.resume(run, actor=actor())
        return run, before.durable

    return show_run(shell, begin, output=output, quiet=quiet)


def run_workflow(
    shell: Shell,
    workflow: Workflow,
    values: Mapping[str, Any],
    *,
    executor: str = "",
    address: str = "",
    policy: RunPolicy | None = None,
    output: Path | None = None,
    quiet: bool = False,
    settings: "Settings | None" = None,
    permit: Permit = obtain_permissions,
) -> int:
    """Run a workflow to its end, show it, and hand its results over.

    Args:
        shell: How to print.
        workflow: The workflow.
        values: Its inputs by name.
        executor: Name of the executor; the one of the settings where it is empty.
        address: The executor's setting `address` for this call; that of the settings where it is empty.
        policy: How it is run; as usual where None.
        output: Where resulting artifacts are copied to; a folder of the run's own where None.
        quiet: Whether to show no progress.
        settings: The settings; those of this call where None.
        permit: Sees to it that its extensions may do what they require, or raises.

    Returns:
        The exit code.
    """
    chosen = settings or settings_of(shell)

    async def begin(host: "Host") -> tuple[str, int]:
        place = executor or chosen.executor
        if address:
            host.set_of_executor(place, "address", address)
        permit(shell, host.authority, workflow)
        run = await host.core.start(
            workflow, values, executor=place, labels=trace_label(), policy=policy, actor=actor()
        )
        return run, 0

    return show_run(shell, begin, output=output, quiet=quiet, settings=chosen)


def show_run(
    shell: Shell, begin: Begin, *, output: Path | None, quiet: bool, settings: "Settings | None" = None
) -> int:
    """Begin a run, show it to its end, and hand its results over.

    Args:
        shell: How to print.
        begin: Begins it.
        output: Where resulting artifacts are copied to; a folder of the run's own where None.
        quiet: Whether to show no progress.
        settings: The settings; those of this call where None.

    Returns:
        The exit code.
    """
    return asyncio.run(_run(shell, settings or settings_of(shell), begin, output, quiet))


async def _run(shell: Shell, settings: "Settings", begin: Begin, output: Path | None, quiet: bool) -> int:
    async with open_host(settings) as host:
        run, seen = await begin(host)
        status = (await host.core.outcome(run)).status
        display = await display_for(shell, host.core, status, quiet=quiet)
        here = status.process in (0, os.getpid())
        outcome, interrupted = await follow(host.core, run, display, after=seen, actor=actor(), steer=here)
        results = hand_over(outcome.outputs, host.artifacts, output or settings.data_dir / "runs" / run)
        shape = await shape_of(host.core, outcome.status)
    try:
        print_summary(shell, outcome, results, shape)
    except BrokenPipeError:  # what the run gave is kept, and the exit code tells how it ended
        silence_stdout()
    if outcome.status.state == "completed":
        return exits.OK
    return exits.INTERRUPTED if interrupted else exits.FAILED


def _asked_for(workflow: Workflow, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        input.name: read_value(
            input, click.prompt(f"{input.name} ({input.description or describe(input.schema)})")
        )
        for input in missing_inputs(workflow, values)
    }


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()
