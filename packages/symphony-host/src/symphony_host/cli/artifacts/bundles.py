"""`symphony artifacts export` and `import`: bundles that take artifacts from one store into another."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from symphony_host.cli import exits
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import TEXT
from symphony_host.cli.artifacts.progress_line import ProgressLine
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell, usage_error
from symphony_host.cli.text import clean, counted, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from symphony_sdk.errors import ErrorPayload
    from symphony_sdk.ports import ArtifactStore

    from symphony_host.artifact_bundles import Exported, Imported

PASSPHRASE: Final = "SYMPHONY_BUNDLE_PASSPHRASE"  # noqa: S105 - the name of a variable


@click.command()
@click.argument("artifacts", metavar="[ARTIFACT]...", nargs=-1)
@click.option("--run", metavar="RUN", type=TEXT, default="", help="Those of this run.")
@click.option("--name", metavar="TEXT", type=TEXT, default="", help="Those with this text in their name.")
@click.option("--tag", metavar="TAG", type=TEXT, default="", help="Those with a tag that begins so.")
@click.option("--all", "everything", is_flag=True, help="All that there are.")
@click.option("--lineage", is_flag=True, help="Also all artifacts that they come from.")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bundle to this file.",
)
@click.option(
    "--encrypt",
    is_flag=True,
    help=f"Seal it with a passphrase: that in {PASSPHRASE}, or else it is asked for.",
)
@json_option
@debug_option
@pass_shell
def export(
    shell: Shell,
    artifacts: tuple[str, ...],
    run: str,
    name: str,
    tag: str,
    everything: bool,
    lineage: bool,
    output: Path,
    encrypt: bool,
) -> int:
    """Write artifacts, and all that is known of them, into one file: each ARTIFACT, or those that fit.

    The file is a zip file that anybody can open, or sealed with --encrypt. What is damaged in the store is named and
    left out, and the exit code is 1.

    \b
    Example:
      symphony artifacts export --run RUN --lineage --output run.bundle
      symphony artifacts export --all --encrypt --output backup.bundle
    """
    filters = bool(run or name or tag)
    if bool(artifacts) + filters + everything != 1:
        raise usage_error(
            "expected artifacts, or filters, or --all",
            "Name what to export in one of these ways; several filters together are one.",
        )
    passphrase = _passphrase(output, confirm=True) if encrypt else None

    def write(store: "ArtifactStore") -> "Exported":
        from symphony_host.artifact_bundles import export_bundle, select

        ids = select(
            store, artifacts=artifacts, run=run, name=name, tag=tag, everything=everything, lineage=lineage
        )
        with ProgressLine("exporting") as line:
            return export_bundle(store, ids, output, passphrase=passphrase, on_progress=line)

    done = with_store(shell, write)
    if shell.json:
        shell.print_json(done)
    else:
        _print_faults(done.faults)
        held = f"{counted(done.artifacts, 'artifact')}, {size(done.bytes)}"
        click.echo(f"{clean(done.file)} ({held}{', sealed' if encrypt else ''})")
    return exits.FAILED if done.faults else exits.OK


@click.command(name="import")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check it, and say what would be added.")
@json_option
@debug_option
@pass_shell
def import_(shell: Shell, file: Path, dry_run: bool) -> int:
    """Add to the store what the bundle FILE holds and the store does not; a second time, that is nothing.

    Tags that other artifacts have here stay with these. What is damaged in the bundle is named and left out, and the
    exit code is 1.

    \b
    Example:
      symphony artifacts import run.bundle --dry-run
      symphony artifacts import run.bundle
    """
    from symphony_host.artifact_bundles import import_bundle, is_sealed

    passphrase = _passphrase(file, confirm=False) if is_sealed(file) else None

    def read(store: "ArtifactStore") -> "Imported":
        with ProgressLine(file.name) as line:
            return import_bundle(store, file, passphrase=passphrase, dry_run=dry_run, on_progress=line)

    done = with_store(shell, read)
    if shell.json:
        shell.print_json(done)
    else:
        _print_imported(done, dry_run)
    return exits.FAILED if done.faults else exits.OK


def _passphrase(file: Path, *, confirm: bool) -> bytes:
    given = os.environ.get(PASSPHRASE, "")
    if not given and sys.stdin.isatty():
        given = click.prompt(
            f"Passphrase of {clean(file.name)}", hide_input=True, confirmation_prompt=confirm, err=True
        )
    if not given:
        from symphony_host.artifact_bundles.failures import no_passphrase

        raise no_passphrase(file)
    return os.fsencode(given)


def _print_imported(done: "Imported", dry_run: bool) -> None:
    _print_faults(done.faults)
    for tag in done.taken_tags:
        click.echo(f"the tag {clean(tag.name)} stays with {tag.kept_by}; in the bundle {tag.id} has it")
    if done.unrelated:
        click.echo(
            f"{counted(done.unrelated, 'relation')} left out: to artifacts neither in the bundle nor here"
        )
    would = "would be " if dry_run else ""
    click.echo(
        f"{counted(done.artifacts, 'artifact')} {would}added, {size(done.bytes)}; "
        f"{done.present:,} {'is' if done.present == 1 else 'are'} here already"
    )
    changes = (
        (done.descriptions, "description"),
        (done.tags, "tag"),
        (done.pins, "pin"),
        (done.holds, "hold"),
        (done.scores, "score"),
        (done.relations, "relation"),
    )
    if added := [counted(count, noun) for count, noun in changes if count]:
        click.echo(f"{would}added: {', '.join(added)}")
    if done.restored or done.mended:
        click.echo(f"{would}restored: {done.restored:,}; {would}mended: {done.mended:,}")


def _print_faults(faults: "Sequence[ErrorPayload]") -> None:
    from symphony_sdk.errors import error_from_payload

    for fault in faults:
        for line in error_lines(error_from_payload(fault)):
            click.echo(line)
