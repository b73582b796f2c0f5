"""`symphony runs compact`: makes the logs of old runs small."""

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import size

if TYPE_CHECKING:
    from symphony_sdk.ports import CompactedRun

_AGE = re.compile(r"([0-9]{1,9}) ?(min|h|d|w)", re.ASCII)
_SECONDS = {"min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


class Age(click.ParamType[float]):
    """A number and a unit such as `30d`, as seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, float):  # the default
            return value
        parts = _AGE.fullmatch(value)
        if parts is None:
            self.fail(
                f"{value!r} is no age: write a number and one of {', '.join(_SECONDS)}, such as 30d.",
                param,
                ctx,
            )
        return int(parts[1]) * _SECONDS[parts[2]]


@click.command(name="compact")
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@click.option(
    "--older-than", type=Age(), default=0.0, metavar="AGE", help="Only runs that ended so long ago."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
@debug_option
@pass_shell
def compact(shell: Shell, run_ids: tuple[str, ...], older_than: float, dry_run: bool) -> None:
    """Make the log of each RUN small, or that of all runs that are completed or cancelled.

    Intermediate events are dropped; states, outputs, results in the cache and the history are kept, and a compacted
    run can be shown, compared, retried and rerun like any other. Runs under way go on meanwhile. Old runs are
    compacted by themselves: see the settings `compact_after` and `compact_beyond` of `symphony.dag-tracker`.

    \b
    Example:
      symphony runs compact --older-than 30d --dry-run
    """
    if run_ids and older_than:
        raise click.UsageError("name runs, or say how old they have to be, but not both")
    found = asyncio.run(_compacted(shell, run_ids, older_than, dry_run))
    if shell.json:
        shell.print_json(found)
        return
    rows = [(one.run, one.state, f"{one.events:,}", size(one.before), size(one.after)) for one in found]
    if rows:
        shell.table(("run", "state", "events dropped", "before", "after"), rows)
    freed = max(0, sum(one.before - one.after for one in found))
    would = "would free" if dry_run else "freed"
    click.echo(f"{len(found):,} {'run' if len(found) == 1 else 'runs'}; {would} {size(freed)}")


async def _compacted(
    shell: Shell, run_ids: tuple[str, ...], older_than: float, dry_run: bool
) -> "Sequence[CompactedRun]":
    async with open_host(settings_of(shell)) as host:
        runs = [await whole_id(host.core, run) for run in run_ids]
        return await host.core.compact(runs, older_than=older_than, dry_run=dry_run)
