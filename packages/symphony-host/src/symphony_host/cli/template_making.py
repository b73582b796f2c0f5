"""`symphony template new`, `add` and `validate`: make templates of workflows."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symphony_host.cli import exits
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean, counted

if TYPE_CHECKING:
    from symphony_sdk.contributions import OperationSpec
    from symphony_workflow import Workflow
    from symphony_workflow.templates import Template

    from symphony_host.configuration import Settings


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("--id", required=True, metavar="ID", help="The id of the template, such as acme.tidy-folder.")
@click.option(
    "--param",
    "-p",
    "given",
    multiple=True,
    metavar="NAME=PLACE",
    help="Make a parameter of the literal at this place, such as depth=nodes.walk.params.depth; may be repeated.",
)
@click.option("--version", default="1.0.0", show_default=True, help="Its version.")
@click.option("--title", default="", help="A few words for people; the workflow's name unless given.")
@click.option("--description", default="", help="What it is for.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="Where it is listed.")
@click.option(
    "--keyword", "keywords", multiple=True, metavar="WORD", help="A word that a search finds it by."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write it into this folder instead of the user's library.",
)
@click.option("--replace", is_flag=True, help="Write over the same id and version.")
@click.option("--no-input", is_flag=True, help="Ask for nothing.")
@json_option
@debug_option
@pass_shell
def new(
    shell: Shell,
    /,
    flow: Path,
    given: tuple[str, ...],
    output: Path | None,
    replace: bool,
    no_input: bool,
    **about: Any,
) -> None:
    """Make a template of the workflow in the file FLOW; the literals that it has become the defaults.

    On a terminal, and without --param, each literal that a node is given is offered.

    \b
    Example:
      symphony template new flow.json --id acme.report -p title=nodes.report.params.title
    """
    from symphony_workflow import load
    from symphony_workflow.templates import make_template, save_template

    from symphony_host.cli.template_values import pairs
    from symphony_host.template_library import user_folder

    settings = settings_of(shell)
    workflow = load(flow)
    places: dict[str, str] = pairs(given, "--param")
    if not places and not (no_input or shell.json) and sys.stdin.isatty():
        places = _chosen(workflow)
    made = make_template(workflow, dict(places), operations=_remembered_operations(settings), **about)
    _saved(shell, save_template(made, output or user_folder(settings), replace=replace), made)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Write over the same id and version.")
@json_option
@debug_option
@pass_shell
def add(shell: Shell, file: Path, replace: bool) -> None:
    """Add the template in FILE to the user's library.

    \b
    Example:
      symphony template add acme.report@1.0.0.json
    """
    from symphony_workflow.templates import load, save_template

    from symphony_host.template_library import user_folder

    made = load(file)
    _saved(shell, save_template(made, user_folder(settings_of(shell)), replace=replace), made)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@debug_option
@pass_shell
def validate(shell: Shell, file: Path) -> int:
    """Find every fault of the template in FILE, by making workflows of its defaults and of each choice.

    The exit code is 1 where an error was found. Operations are checked where it is known what they take: after
    `symphony list --check`, or once they ran.

    \b
    Example:
      symphony template validate acme.report@1.0.0.json
    """
    from symphony_workflow.templates import check_template, read_template
    from symphony_workflow.templates.definition import parse, read_bytes

    found, faults = read_template(parse(read_bytes(str(file)), file=str(file)))
    if all(fault.severity == "warning" for fault in faults):
        known = _remembered_operations(settings_of(shell))
        used = {
            node.get("uses") for node in found.workflow.get("nodes", {}).values() if isinstance(node, dict)
        }
        faults += check_template(found, known if used <= known.keys() else None)
    errors = sum(fault.severity == "error" for fault in faults)
    if shell.json:
        shell.print_json({"file": str(file), "faults": [dataclasses.asdict(each) for each in faults]})
        return exits.FAILED if errors else exits.OK
    for fault in faults:
        color = "red" if fault.severity == "error" else "yellow"
        click.echo(f"{click.style(fault.severity, fg=color, bold=True)}: {clean(str(fault))}")
    warnings = len(faults) - errors
    click.echo(
        f"{file}: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
        if faults
        else f"{file}: no fault found"
    )
    return exits.FAILED if errors else exits.OK


def _chosen(workflow: "Workflow") -> dict[str, str]:
    """The places that the user has named a parameter for."""
    from symphony_workflow.templates.making import literals_of

    places = {}
    for place, value in literals_of(workflow):
        name = click.prompt(
            f"{place} = {value!r:.60}; parameter (empty for none)", default="", show_default=False
        )
        if name:
            places[name] = place
    return places


def _saved(shell: Shell, file: Path, made: "Template") -> None:
    if shell.json:
        shell.print_json({"file": str(file), "template": made.reference})
    else:
        names = ", ".join(parameter.name for parameter in made.parameters) or "none"
        click.echo(f"{made.reference} is in {file}; parameters: {names}")


def _remembered_operations(settings: "Settings") -> "dict[str, OperationSpec]":
    """The operations whose ports are known without starting a worker."""
    from symphony_host.cli.survey import survey

    return {spec.id: spec for each in survey(settings) for spec in each.operations or ()}
