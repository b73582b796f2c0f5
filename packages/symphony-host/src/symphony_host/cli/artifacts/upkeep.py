"""`symphony artifacts gc`, `fsck`, `usage`, `keys` and `rotate-keys`: the store's space, wholeness and keys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from symphony_host.cli import exits
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.progress_line import ProgressLine
from symphony_host.cli.run_compaction import Age
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.text import clean, columns, counted, moment, size

if TYPE_CHECKING:
    from symphony_sdk.errors import ErrorPayload
    from symphony_sdk.ports import ArtifactStore, Collected

GRACE_DAYS: Final = "7d"
"""As `GRACE` of the port has it: that module is not imported to print a help text."""

NAMED = 10
"""Artifacts that are named of those that one fault touches."""


@click.command()
@click.option(
    "--grace",
    type=Age(),
    metavar="AGE",
    default=GRACE_DAYS,
    show_default=True,
    help="Only what was removed so long ago, such as `12h` or `7d`; `0d` for all.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@json_option
@debug_option
@pass_shell
def gc(shell: Shell, grace: float, dry_run: bool) -> None:
    """Free the space of what was removed and of what no artifact needs; it cannot be restored any more.

    Others may store and read meanwhile.

    \b
    Example:
      symphony artifacts gc --dry-run
      symphony artifacts gc --grace 30d
    """

    def collect(store: "ArtifactStore") -> "Collected":
        with ProgressLine("collecting") as line:
            return store.collect(grace=grace, dry_run=dry_run, on_progress=line)

    done = with_store(shell, collect)
    if shell.json:
        shell.print_json(done)
        return
    freed = "would be gone for good" if dry_run else "gone for good"
    click.echo(
        f"{counted(done.artifacts, 'artifact')} {freed}, {size(done.freed)} {'to free' if dry_run else 'freed'}"
    )
    if done.waiting:
        click.echo(f"{size(done.waiting)} can be freed later: somebody may still read or restore it")


@click.command()
@json_option
@debug_option
@pass_shell
def fsck(shell: Shell) -> int:
    """Read every byte of the store and name each fault with the artifacts that it touches.

    The exit code is 1 where there is a fault. Storing the same bytes again mends an artifact.

    \b
    Example:
      symphony artifacts fsck
    """

    def verify(store: "ArtifactStore") -> "Sequence[ErrorPayload]":
        with ProgressLine("reading") as line:
            return store.verify(line)

    faults = with_store(shell, verify)
    if shell.json:
        shell.print_json({"faults": faults})
    elif faults:
        _print_faults(faults)
    else:
        click.echo("every artifact is whole")
    return exits.FAILED if faults else exits.OK


@click.command()
@json_option
@debug_option
@pass_shell
def usage(shell: Shell) -> None:
    """Tell how much the store holds, and how much of the disk it takes.

    \b
    Example:
      symphony artifacts usage
    """
    found = with_store(shell, lambda store: store.usage())
    if shell.json:
        shell.print_json(found)
        return
    rows = [
        ("artifacts", f"{found.artifacts:,}"),
        ("their bytes", size(found.bytes)),
        ("on disk", f"{size(found.stored)} in {counted(found.packs, 'pack')}"),
        ("removed", f"{found.removed:,}"),
    ]
    for line in columns(rows):
        click.echo(line)


@click.command()
@json_option
@debug_option
@pass_shell
def keys(shell: Shell) -> None:
    """Tell which keys the store has, and where the master key is that protects them; never a key itself.

    \b
    Example:
      symphony artifacts keys
    """
    found = with_store(shell, lambda store: store.keys())
    if shell.json:
        shell.print_json(found)
        return
    rows = [(str(key.epoch), moment(key.created), "yes" if key.current else "", key.source) for key in found]
    shell.table(("key", "made", "seals what is new", "protected by"), rows)


@click.command(name="rotate-keys")
@click.option("--data", is_flag=True, help="Seal what is stored from now on with a new key as well.")
@json_option
@debug_option
@pass_shell
def rotate_keys(shell: Shell, data: bool) -> None:
    """Protect the store's keys by a new master key; nothing that is stored is written again.

    With SYMPHONY_ARTIFACT_NEW_PASSPHRASE set, the new master key is made of that passphrase.

    \b
    Example:
      symphony artifacts rotate-keys --data
    """
    key = with_store(shell, lambda store: store.rotate_keys(data=data))
    if shell.json:
        shell.print_json(key)
    else:
        click.echo(f"a new master key protects the store: {clean(key.source)}")
        click.echo(f"key {key.epoch}, made {moment(key.created)}, seals what is stored from now on")


def _print_faults(faults: "Sequence[ErrorPayload]") -> None:
    from symphony_sdk.errors import error_from_payload

    touched: set[str] = set()
    for fault in faults:
        for line in error_lines(error_from_payload(fault)):
            click.echo(line)
        ids = [str(id) for id in fault.details.get("artifacts", ())]
        touched |= set(ids)
        for id in ids[:NAMED]:
            click.echo(f"  touches {clean(id)}")
        if len(ids) > NAMED:
            click.echo(f"  and {counted(len(ids) - NAMED, 'artifact')} more")
    click.echo(f"{counted(len(faults), 'fault')}, {counted(len(touched), 'artifact')} touched")
