"""`symphony runs timeline`."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from symphony_sdk.errors import RunError

from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error
from symphony_host.cli.text import counted, seconds

if TYPE_CHECKING:
    from symphony_core import SymphonyCore
    from symphony_sdk.events import RunEvent

    from symphony_host.timeline import Timeline

FORMS = (".html", ".svg")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, .html or .svg; RUN.html unless given.",
)
@click.option("--open", "show", is_flag=True, help="Show it in the browser.")
@json_option
@debug_option
@pass_shell
def timeline(shell: Shell, run_id: str, output: Path | None, show: bool) -> None:
    """Draw what ran when in RUN: every attempt, what waited, the pauses, and the critical path.

    The critical path, the same that `symphony runs metrics` tells, leads from the node that ended last back over the
    one that each had to wait for longest: only a quicker node on it makes the run quicker. A page (.html) can be zoomed
    and searched; a picture (.svg) has no script. Both fetch nothing. RUN may be under way, here or in another process.

    \b
    Example:
      symphony runs timeline 20260301-1 --open
      symphony runs timeline 20260301-1 -o timeline.svg
    """
    if output is not None and output.suffix.lower() not in FORMS:
        raise usage_error(
            f"{str(output)!r} ends with neither {' nor '.join(FORMS)}", "Give a name such as timeline.html."
        )
    found = asyncio.run(_read(shell, run_id))
    path = output or Path(f"{found.run}.html")
    data = _drawn(found, path.suffix.lower()).encode()
    _save(path, data)
    if shell.json:
        bars = len(found.bars)
        shell.print_json({"file": str(path), "bytes": len(data), "bars": bars, "critical_path": found.path})
    else:
        click.echo(
            f"{path}: {counted(len(found.bars), 'bar')} in {seconds(found.seconds)}, {len(data):,} bytes"
        )
    if show:
        click.launch(str(path.resolve()))


async def _read(shell: Shell, run_id: str) -> "Timeline":
    from symphony_host.run_shape import RunShape
    from symphony_host.timeline import timeline_of

    async with open_host(settings_of(shell)) as host:
        run = await whole_id(host.core, run_id)
        status = (await host.core.outcome(run)).status
        request = await host.core.request(run)
        events = await _events_until(host.core, run, status.durable)
        path = (await host.core.metrics(run)).critical_path
    now = time.time() if status.process else None
    found = timeline_of(events, RunShape.of_document(request.workflow), path, now)
    found.state = status.state
    return found


async def _events_until(core: "SymphonyCore", run: str, last: int) -> "list[RunEvent]":
    """The numbered events up to one, without waiting for those that may still come."""
    events: list[RunEvent] = []
    if last:
        async for event in core.events(run):
            events.append(event)
            if event.sequence >= last:
                break
    return events


def _drawn(found: "Timeline", suffix: str) -> str:
    from symphony_host.timeline import to_html, to_svg

    return to_svg(found) if suffix == ".svg" else to_html(found)


def _save(path: Path, data: bytes) -> None:
    from symphony_workflow.atomic_file import write_atomically

    try:
        write_atomically(path, data)
    except OSError as error:
        raise RunError(
            f"the timeline cannot be written: {error.strerror}",
            code="SYM-C035",
            hint="Choose a folder that exists and may be written to: `-o FILE`.",
            file=str(path),
        ) from error
