"""`symphony list`, `symphony enable` and `symphony disable`."""

from typing import Any

import click

from symphony_host.catalogue import enablement_of, load_catalogue, quarantine_of
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.survey import Surveyed, kind_of, survey


@click.command(name="list")
@click.option("--operations", is_flag=True, help="List the operations, asking each extension for them.")
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, operations: bool) -> None:
    """List the installed extensions, the broken ones included.

    No code of an extension is loaded, except with --operations: that starts those that were never started
    before, each in its own process.

    \b
    Example:
      symphony list --operations
    """
    found = survey(settings_of(shell))
    if operations and any(_unknown(each) for each in found):
        found = survey(settings_of(shell), ask=True)
    if shell.json:
        shell.print_json([_document(each, operations) for each in found])
    elif not found:
        click.echo("no extensions are installed; `symphony new operator NAME` starts one")
    elif operations:
        _print_operations(shell, found)
    else:
        shell.table(
            ("extension", "kind", "version", "state", "operations", "problem"), [_row(each) for each in found]
        )
    if not shell.json and any(each.problems for each in found):
        click.echo("\n`symphony doctor` tells how to mend the problems", err=True)


@click.command()
@click.argument("extension")
@json_option
@debug_option
@pass_shell
def enable(shell: Shell, extension: str) -> None:
    """Switch EXTENSION on again; one that is quarantined gets one more try.

    \b
    Example:
      symphony enable acme.text
    """
    settings = settings_of(shell)
    changed = enablement_of(settings).enable(extension)
    changed = quarantine_of(settings).lift(extension) or changed
    if not changed:
        load_catalogue(settings).entry(extension)  # a name that was mistyped is an error
    _tell(shell, extension, "enabled", changed)


@click.command()
@click.argument("extension")
@click.option("--reason", default="", help="Why, for whoever reads `symphony list`.")
@json_option
@debug_option
@pass_shell
def disable(shell: Shell, extension: str, reason: str) -> None:
    """Switch EXTENSION off: no code of it runs any more, however broken it is.

    \b
    Example:
      symphony disable acme.text --reason "too slow"
    """
    settings = settings_of(shell)
    load_catalogue(settings).entry(extension)
    enablement = enablement_of(settings)
    changed = extension not in enablement.disabled()
    enablement.disable(extension, reason)
    _tell(shell, extension, "disabled", changed)


def _tell(shell: Shell, extension: str, state: str, changed: bool) -> None:
    if shell.json:
        shell.print_json({"extension": extension, "state": state, "changed": changed})
    else:
        click.echo(f"{extension} is {state}" if changed else f"{extension} was {state} already")


def _unknown(each: Surveyed) -> bool:
    return each.state == "resolved" and each.works_for_nodes and each.operations is None


def _row(each: Surveyed) -> tuple[str, ...]:
    record = each.record
    if each.operations is None and not each.works_for_nodes:
        count = ""
    else:
        count = "not known" if each.operations is None else str(len(each.operations))
    return (record.id, record.kind, record.version, each.state, count, each.reason.partition("\n")[0])


def _print_operations(shell: Shell, found: list[Surveyed]) -> None:
    rows = [
        (operation.id, kind_of(operation), each.record.version, operation.title or operation.description)
        for each in found
        for operation in each.operations or ()
    ]
    shell.table(("operation", "kind", "version", "what it does"), sorted(rows))
    for each in found:
        if each.problems:
            click.echo(f"{each.record.id}: {each.state}: {each.reason}", err=True)


def _document(each: Surveyed, operations: bool) -> dict[str, Any]:
    record = each.record
    known = each.operations
    return {
        "id": record.id,
        "kind": record.kind,
        "version": record.version,
        "distribution": record.distribution,
        "runs": record.runs,
        "state": each.state,
        "reason": each.reason,
        "problems": [error.payload() for error in each.problems],
        "operations": known if operations or known is None else [operation.id for operation in known],
    }
