"""`symphony artifacts tier`: the store's sealed packs away from this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from symphony_host.cli import exits
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.progress_line import ProgressLine
from symphony_host.cli.run_compaction import Age
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.text import clean, columns, counted, size

if TYPE_CHECKING:
    from symphony_sdk.errors import ErrorPayload
    from symphony_sdk.ports import ArtifactStore, OnArtifactProgress, TierReport

AGE_DAYS: Final = "30d"


@click.group()
def tier() -> None:
    """Keep artifacts in a tier: a bucket, or another disk.

    The setting `tier` of symphony.artifact-store says where. What goes there is sealed as it is here; the master key
    never leaves this machine.

    \b
    Example:
      symphony artifacts tier back-up
      symphony artifacts tier offload --age 30d
      symphony artifacts tier status
    """


@click.command(name="back-up")
@json_option
@debug_option
@pass_shell
def back_up(shell: Shell) -> int:
    """Copy to the tier what is not there yet; each copy is read back and compared before it counts.

    The exit code is 1 where something could not be copied.

    \b
    Example:
      symphony artifacts tier back-up
    """
    return _moved(
        shell, "backing up", "copied to the tier", lambda store, line: store.back_up(on_progress=line)
    )


@click.command()
@click.option(
    "--age",
    type=Age(),
    metavar="AGE",
    default=AGE_DAYS,
    show_default=True,
    help="Only packs last written so long ago, such as `12h` or `7d`; `0d` for all.",
)
@json_option
@debug_option
@pass_shell
def offload(shell: Shell, age: float) -> int:
    """Free this machine of old packs: each is backed up and compared, then is in the tier alone.

    What is offloaded is read from the tier from then on. The exit code is 1 where something could not be moved.

    \b
    Example:
      symphony artifacts tier offload --age 90d
    """
    return _moved(
        shell,
        "offloading",
        "in the tier alone now",
        lambda store, line: store.offload(age=age, on_progress=line),
    )


@click.command()
@json_option
@debug_option
@pass_shell
def recall(shell: Shell) -> int:
    """Bring back to this machine everything that is in the tier alone.

    The exit code is 1 where something in the tier is not what was put there.

    \b
    Example:
      symphony artifacts tier recall
    """
    return _moved(
        shell, "recalling", "back on this machine", lambda store, line: store.recall(on_progress=line)
    )


@click.command()
@click.argument("url")
@json_option
@debug_option
@pass_shell
def restore(shell: Shell, url: str) -> int:
    """Bring a store back from the tier at URL, into an empty data directory, as on a new machine.

    The master key has to be here: SYMPHONY_ARTIFACT_PASSPHRASE, the keyring, or the file artifact-master.key. Cut short,
    it goes on where it was. The exit code is 1 where something in the tier is damaged; the rest is restored.

    \b
    Example:
      symphony artifacts tier restore s3://bucket/folder
    """
    return _moved(
        shell,
        "restoring",
        "restored",
        lambda store, line: store.rebuild(on_progress=line),
        url,
        f'set `tier = "{clean(url)}"` of symphony.artifact-store, so that this machine goes on with it; the old one must not',
    )


@click.command()
@json_option
@debug_option
@pass_shell
def status(shell: Shell) -> int:
    """Tell how much of the store is in its tier.

    The exit code is 1 where the tier lacks what it should have, and 3 where it cannot be asked.

    \b
    Example:
      symphony artifacts tier status
    """
    found = with_store(shell, lambda store: store.tier())
    code = exits.ENVIRONMENT if found.problem else exits.FAILED if found.missing else exits.OK
    if shell.json:
        shell.print_json(found)
        return code
    rows = [
        ("tier", clean(found.url)),
        ("the store", f"{size(found.bytes)} in {counted(found.packs, 'pack')}"),
        ("here and there", size(found.backed_up)),
        ("there alone", f"{size(found.offloaded)} in {counted(found.offloaded_packs, 'pack')}"),
        ("not backed up", size(max(found.bytes - found.backed_up - found.offloaded, 0))),
    ]
    if found.unknown:
        rows.append(("unknown there", counted(found.unknown, "pack")))
    for line in columns(rows):
        click.echo(line)
    for pack in found.missing:
        click.echo(f"the tier does not have {clean(pack)}, which should be there")
    if found.problem:
        _print_fault(found.problem)
    return code


def _moved(
    shell: Shell,
    doing: str,
    done: str,
    move: "Callable[[ArtifactStore, OnArtifactProgress], TierReport]",
    url: str = "",
    advice: str = "",
) -> int:
    """Move packs with a line of progress, and say what was done; gives the exit code."""

    def use(store: "ArtifactStore") -> "TierReport":
        with ProgressLine(doing) as line:
            return move(store, line)

    report = with_store(shell, use, tier=url)
    if shell.json:
        shell.print_json(report)
    else:
        click.echo(f"{counted(report.packs, 'pack')} {done}, {size(report.bytes)}")
        if advice:
            click.echo(advice)
        for fault in report.faults:
            _print_fault(fault)
    return exits.FAILED if report.faults else exits.OK


def _print_fault(fault: "ErrorPayload") -> None:
    from symphony_sdk.errors import error_from_payload

    for line in error_lines(error_from_payload(fault)):
        click.echo(line)


for _command in (back_up, offload, recall, status, restore):
    tier.add_command(_command)
