"""`symphony runs`."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import moment, seconds

if TYPE_CHECKING:
    from symphony_sdk.ports import RunStatus

    from symphony_host.configuration import Settings


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@json_option
@debug_option
@pass_shell
def runs(shell: Shell, limit: int) -> None:
    """List the runs, the newest first.

    \b
    Example:
      symphony runs --limit 5
    """
    found = asyncio.run(_runs(settings_of(shell), limit))
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


async def _runs(settings: "Settings", limit: int) -> "Sequence[RunStatus]":
    async with open_host(settings) as host:
        return await host.core.runs(limit)
