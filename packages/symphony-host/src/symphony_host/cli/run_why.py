"""`symphony runs why`: why each node of a run was computed, or what it is the same as."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean

if TYPE_CHECKING:
    from symphony_sdk.ports import Explanation


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("node", metavar="[NODE]", default="")
@json_option
@debug_option
@pass_shell
def why(shell: Shell, run_id: str, node: str) -> None:
    """Say why each node of RUN was computed, or which earlier result stood in for it.

    A result stands in where the operation, its extension with its settings, and every input are what they were.
    `symphony run --no-cache` computes everything anew, `symphony runs rerun RUN --from NODE` one node.

    \b
    Example:
      symphony runs why 20260301-1
      symphony runs why 20260301-1 summarize --json
    """
    found = asyncio.run(_explained(shell, run_id, node))
    if shell.json:
        shell.print_json(found)
        return
    shell.table(("node", "", "why"), [(clean(one.node), one.code, clean(one.text)) for one in found])
    if not node:
        same = sum(one.code in ("hit", "taken-over") for one in found)
        click.echo(f"{same:,} of {len(found):,} nodes were not computed again")


async def _explained(shell: Shell, run_id: str, node: str) -> "Sequence[Explanation]":
    async with open_host(settings_of(shell)) as host:
        return await host.core.explain(await whole_id(host.core, run_id), node)
