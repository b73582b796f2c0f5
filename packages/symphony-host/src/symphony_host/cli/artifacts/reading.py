"""`symphony artifacts list`, `show`, `log` and `get`: what there is, and its bytes."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symphony_host.cli import exits
from symphony_host.cli.artifacts.describing import facts, quality, related, source
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import TEXT, artifact_argument, filter_options, limit_option
from symphony_host.cli.pipes import silence_stdout
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error
from symphony_host.cli.text import clean, columns, counted, moment, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from symphony_sdk.ports import ArtifactInfo, ArtifactStore, Relation

RELATED = 20
"""Relations of an artifact that are told."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


@click.command(name="list")
@filter_options
@click.option("--removed", is_flag=True, help="Those that were removed and can still be restored, instead.")
@limit_option(50)
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, /, removed: bool, limit: int, **filters: Any) -> None:
    """List artifacts, the newest first.

    \b
    Example:
      symphony artifacts list --name report --since 2026-03-01
      symphony artifacts list --type text/ --quality 0.7
    """
    found = with_store(shell, lambda store: store.find(removed=removed, limit=limit, **filters))
    if shell.json:
        shell.print_json(found)
    elif found:
        rows = [
            (
                info.ref.id,
                info.ref.name,
                str(info.version or ""),
                size(info.ref.size),
                info.ref.media_type,
                moment(info.created),
                quality(info.quality),
                info.lineage.run,
                ", ".join(info.tags),
            )
            for info in found
        ]
        shell.table(("artifact", "name", "version", "size", "type", "stored", "quality", "run", "tags"), rows)
    else:
        click.echo("no artifacts")


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def show(shell: Shell, artifact: str) -> None:
    """Tell what is known of ARTIFACT, and what it is to others; also of one that was removed.

    \b
    Example:
      symphony artifacts show b3-3f2a
    """

    def look(store: "ArtifactStore") -> "tuple[ArtifactInfo, Sequence[Relation]]":
        info = store.info(artifact)
        return info, store.relations(info.ref.id)

    info, relations = with_store(shell, look)
    if shell.json:
        import msgspec

        shell.print_json({**msgspec.to_builtins(info), "relations": relations})
        return
    rows = [*facts(info).items(), *(related(relation, info.ref.id) for relation in relations[:RELATED])]
    for line in columns(rows):
        click.echo(line)
    if len(relations) > RELATED:
        click.echo(f"and {counted(len(relations) - RELATED, 'relation')} more; --json has all")


@click.command()
@click.argument("artifact", metavar="[ARTIFACT]", required=False)
@click.option("--name", metavar="NAME", type=TEXT, help="The versions of this name instead; the whole name.")
@limit_option(100)
@json_option
@debug_option
@pass_shell
def log(shell: Shell, artifact: str | None, name: str | None, limit: int) -> None:
    """Tell everything that ARTIFACT was ever stored with, or the versions of a name; the newest first.

    \b
    Example:
      symphony artifacts log b3-3f2a
      symphony artifacts log --name report.html
    """
    if (artifact is None) == (name is None):
        raise usage_error(
            "expected an artifact, or --name with the name of some",
            "`symphony artifacts list` shows ids and names.",
        )
    if artifact is not None:
        described = with_store(shell, lambda store: store.history(artifact))[:limit]
        _print_log(shell, described, ("name", "type"))
    else:
        _print_log(shell, with_store(shell, lambda store: store.versions(name or "", limit)), ("artifact",))


@click.command()
@artifact_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of standard output.",
)
@debug_option
@pass_shell
def get(shell: Shell, artifact: str, output: Path | None) -> int:
    """Fetch the bytes of ARTIFACT, checked against its id.

    \b
    Example:
      symphony artifacts get b3-3f2a --output report.html
    """

    def fetch(store: "ArtifactStore") -> int:
        if output is None:
            return _to_stdout(store, artifact)
        from symphony_host.cli.results import copy

        ref = store.info(artifact).ref
        copy(store, ref, output)
        click.echo(f"{clean(str(output))} ({size(ref.size)})")
        return exits.OK

    return with_store(shell, fetch)


def _to_stdout(store: "ArtifactStore", artifact: str) -> int:
    terminal = sys.stdout.isatty()
    for part in store.stream(artifact):
        if terminal and _CONTROL.search(part):
            raise usage_error(
                f"the artifact {artifact!r} is nothing for a terminal: it holds control characters",
                "Write it to a file: `--output FILE`.",
            )
        try:
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # as after `| head`
            silence_stdout()
            return exits.UNREAD
    return exits.OK


def _print_log(shell: Shell, found: "Sequence[ArtifactInfo]", fields: tuple[str, ...]) -> None:
    if shell.json:
        shell.print_json(found)
    elif found:
        headings = ("stored", "version", *fields, "run", "node", "extension", "metadata")
        shell.table(headings, [_log_row(info, fields) for info in found])
    else:
        click.echo("no artifacts")


def _log_row(info: "ArtifactInfo", fields: tuple[str, ...]) -> tuple[str, ...]:
    shown = {"artifact": info.ref.id, "name": info.ref.name, "type": info.ref.media_type}
    return (
        moment(info.created),
        str(info.version or ""),
        *(shown[field] for field in fields),
        info.lineage.run,
        info.lineage.node,
        source(info.lineage),
        ", ".join(f"{name}={value}" for name, value in sorted(info.metadata.items())),
    )
