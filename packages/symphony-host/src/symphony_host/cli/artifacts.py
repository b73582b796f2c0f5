"""`symphony artifacts`: what runs have kept."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from symphony_host.cli import exits
from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.text import clean, columns, moment, size

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactStore

T = TypeVar("T")


@click.group()
def artifacts() -> None:
    """List, show, fetch and verify the artifacts that runs have kept.

    \b
    Example:
      symphony artifacts list --run RUN
      symphony artifacts get ID --output report.html
    """


@artifacts.command(name="list")
@click.option("--run", metavar="RUN", default="", help="Only those of this run.")
@click.option("--name", metavar="TEXT", default="", help="Only those with this text in their name.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, run: str, name: str, limit: int) -> None:
    """List artifacts, the newest first.

    \b
    Example:
      symphony artifacts list --name report
    """
    found = _with_store(shell, lambda store: store.find(run=run, name=name, limit=limit))
    if shell.json:
        shell.print_json(found)
    elif found:
        rows = [
            (
                info.ref.id,
                info.ref.name,
                size(info.ref.size),
                info.ref.media_type,
                moment(info.created),
                info.lineage.run,
            )
            for info in found
        ]
        shell.table(("artifact", "name", "size", "type", "stored", "run"), rows)
    else:
        click.echo("no artifacts")


@artifacts.command()
@click.argument("artifact")
@json_option
@debug_option
@pass_shell
def show(shell: Shell, artifact: str) -> None:
    """Tell what is known of ARTIFACT: an id, or the first characters of one.

    \b
    Example:
      symphony artifacts show 3f2a
    """
    info = _with_store(shell, lambda store: store.info(artifact))
    if shell.json:
        shell.print_json(info)
        return
    facts = [
        ("artifact", info.ref.id),
        ("name", info.ref.name),
        ("size", f"{size(info.ref.size)} ({info.ref.size:,} bytes)"),
        ("type", info.ref.media_type),
        ("stored", moment(info.created)),
        ("run", info.lineage.run),
        ("node", info.lineage.node),
        ("extension", info.lineage.extension),
        ("made from", ", ".join(info.lineage.inputs)),
        *info.metadata.items(),
    ]
    for line in columns([fact for fact in facts if fact[1]]):
        click.echo(line)


@artifacts.command()
@click.argument("artifact")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of standard output.",
)
@debug_option
@pass_shell
def get(shell: Shell, artifact: str, output: Path | None) -> None:
    """Fetch the bytes of ARTIFACT, checked against its id.

    \b
    Example:
      symphony artifacts get 3f2a --output report.html
    """

    def fetch(store: "ArtifactStore") -> None:
        from symphony_host.cli.results import PART, copy

        ref = store.info(artifact).ref
        if output is not None:
            copy(store, ref, output)
            click.echo(f"{output} ({size(ref.size)})")
            return
        for offset in range(0, ref.size, PART):
            sys.stdout.buffer.write(store.read(ref.id, offset, PART))
        sys.stdout.buffer.flush()

    _with_store(shell, fetch)


@artifacts.command()
@json_option
@debug_option
@pass_shell
def verify(shell: Shell) -> int:
    """Read every artifact and name each that is damaged; the exit code is 1 where there is one.

    \b
    Example:
      symphony artifacts verify
    """
    from symphony_sdk.errors import error_from_payload

    damaged = _with_store(shell, lambda store: store.verify())
    if shell.json:
        shell.print_json({"damaged": damaged})
    elif damaged:
        for payload in damaged:
            for line in error_lines(error_from_payload(payload)):
                click.echo(line)
        click.echo(
            f"{len(damaged)} damaged: {', '.join(clean(str(each.details.get('id', ''))) for each in damaged)}"
        )
    else:
        click.echo("every artifact is whole")
    return exits.FAILED if damaged else exits.OK


def _with_store(shell: Shell, use: "Callable[[ArtifactStore], T]") -> T:
    async def opened() -> T:
        async with open_host(settings) as host:
            return use(host.artifacts)

    settings = settings_of(shell)
    return asyncio.run(opened())
