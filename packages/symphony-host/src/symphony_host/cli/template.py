"""`symphony template`: find templates of workflows and use them."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from symphony_host.cli import exits
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error
from symphony_host.cli.template_making import add, new, validate
from symphony_host.cli.text import clean, columns, counted

if TYPE_CHECKING:
    from symphony_workflow import Workflow
    from symphony_workflow.templates import Template, TemplateEntry, TemplateLibrary

    from symphony_host.configuration import Settings

F = TypeVar("F", bound=Callable[..., Any])

_FILTERS = (
    click.option("--category", metavar="NAME", default="", help="Only those of this category."),
    click.option("--keyword", metavar="WORD", default="", help="Only those with this keyword."),
    click.option("--author", metavar="NAME", default="", help="Only those of this author."),
    click.option(
        "--source",
        metavar="NAME",
        default="",
        help="Only those from here: `user`, a folder, an extension's id.",
    ),
    click.option(
        "--kind", metavar="KIND", default="", help="Only those with such a node: `instrument`, `map`, ..."
    ),
    click.option("--operation", metavar="ID", default="", help="Only those that use this operation."),
    click.option("--installed", is_flag=True, help="Only those whose operations are all installed."),
    click.option("--all-versions", is_flag=True, help="Older versions, too."),
    click.option(
        "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many."
    ),
)


def _filter_options(function: F) -> F:
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.group()
def template() -> None:
    """Find, make and use templates: workflows with parameters.

    \b
    Example:
      symphony template search report
      symphony template show symphony.code-report
      symphony template instantiate symphony.code-report -p title=Mine -o flow.json
    """


@template.command(name="list")
@_filter_options
@json_option
@debug_option
@pass_shell
def list_(shell: Shell, /, limit: int, installed: bool, **wanted: Any) -> int:
    """List the templates of the library by title, and name those that are broken.

    \b
    Example:
      symphony template list --kind map
    """
    return _found(shell, "", limit, installed, wanted)


@template.command()
@click.argument("words", nargs=-1, required=True)
@_filter_options
@json_option
@debug_option
@pass_shell
def search(shell: Shell, /, words: tuple[str, ...], limit: int, installed: bool, **wanted: Any) -> int:
    """Search the library for WORDS, the best first; beginnings of words and misspelt ones are found, too.

    The exit code is 1 where nothing was found.

    \b
    Example:
      symphony template search code report
    """
    return _found(shell, " ".join(words), limit, installed, wanted)


@template.command()
@click.argument("reference", metavar="TEMPLATE")
@json_option
@debug_option
@pass_shell
def show(shell: Shell, reference: str) -> None:
    """Tell what TEMPLATE is for and which parameters it takes: an id, id@version, or a file.

    \b
    Example:
      symphony template show symphony.code-report
    """
    from symphony_workflow.templates import to_document

    found, file, versions = _template(settings_of(shell), reference)
    if shell.json:
        shell.print_json({"file": file, "versions": versions, **to_document(found)})
        return
    facts = [
        ("template", found.reference),
        ("title", found.title),
        ("about", found.description),
        ("author", found.author),
        ("categories", ", ".join(found.categories)),
        ("keywords", ", ".join(found.keywords)),
        ("versions", ", ".join(versions)),
        ("file", file),
    ]
    for line in columns([fact for fact in facts if fact[1]]):
        click.echo(line)
    import json

    rows = [
        (
            each.name,
            each.type,
            "required" if each.required else json.dumps(each.default, ensure_ascii=False),
            each.group,
            each.description or each.schema.get("title", ""),
        )
        for each in found.parameters
    ]
    if rows:
        click.echo()
        shell.table(("parameter", "takes", "default", "group", "meaning"), rows)


@template.command()
@click.argument("reference", metavar="[TEMPLATE]", required=False)
@click.option(
    "--param",
    "-p",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a parameter; text where it takes text, else JSON or @FILE; may be repeated.",
)
@click.option(
    "--upgrade",
    metavar="FLOW",
    type=click.Path(path_type=Path),
    help="Make the workflow in this file again with the latest version of its template, and show what changes.",
)
@click.option(
    "--id", default="", metavar="ID", help="The id of the workflow; the template's own unless given."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the workflow to this file instead of standard output.",
)
@click.option("--no-input", is_flag=True, help="Ask for nothing: a missing parameter is an error.")
@json_option
@debug_option
@pass_shell
def instantiate(
    shell: Shell,
    reference: str | None,
    given: tuple[str, ...],
    upgrade: Path | None,
    id: str,
    output: Path | None,
    no_input: bool,
) -> None:
    """Make a workflow of TEMPLATE: an id, id@version, or a file. On a terminal, missing parameters are asked for.

    With --upgrade, the template and the parameters are those that the workflow remembers; what changes is shown,
    and --output writes it.

    \b
    Example:
      symphony template instantiate symphony.code-report -p title=Mine -o flow.json
    """
    from symphony_workflow.templates import instantiate as make

    from symphony_host.cli.template_values import asked_for, read_values

    if (reference is None) == (upgrade is None):
        raise usage_error(
            "expected a template, or --upgrade with a workflow", "`symphony template list` shows some."
        )
    settings = settings_of(shell)
    if upgrade is not None:
        _upgraded(shell, settings, upgrade, given, output)
        return
    found, _, _ = _template(settings, str(reference))
    values = read_values(found, given)
    if not (no_input or shell.json) and sys.stdin.isatty():
        values |= asked_for(found, values)
    _handed_over(shell, make(found, values, id=id), output)


def _found(shell: Shell, text: str, limit: int, installed: bool, wanted: dict[str, Any]) -> int:
    from symphony_workflow.templates import Filter

    settings = settings_of(shell)
    filter = Filter(**wanted, installed=_installed_operations(settings) if installed else None)
    with _library(settings) as library:
        entries = library.search(text, filter, limit=limit)
        broken = [] if text else library.broken()
    if shell.json:
        shell.print_json(
            {
                "templates": [dataclasses.asdict(each) for each in entries],
                "broken": [dataclasses.asdict(each) for each in broken],
            }
        )
    elif entries:
        rows = [
            (each.id, each.version, each.title, each.source, ", ".join(each.parameters)) for each in entries
        ]
        shell.table(("template", "version", "title", "from", "parameters"), rows)
    else:
        click.echo("no templates")
    if not shell.json:
        for each in broken:
            line = (
                f"{click.style('broken', fg='yellow', bold=True)}: {clean(each.file)}: {clean(each.problem)}"
            )
            click.echo(line, err=True)
    return exits.FAILED if text and not entries else exits.OK


def _library(settings: "Settings") -> "TemplateLibrary":
    from symphony_host.template_library import open_library

    return open_library(settings)


def _template(settings: "Settings", reference: str) -> "tuple[Template, str, list[str]]":
    """A template of the library or of a file, where it is, and its versions."""
    from symphony_workflow.templates import load

    if reference.endswith(".json"):
        found = load(reference)
        return found, reference, [found.version]
    with _library(settings) as library:
        entry: TemplateEntry = library.find(reference)
        return load(entry.file), entry.file, [each.version for each in library.versions(entry.id)]


def _upgraded(
    shell: Shell, settings: "Settings", flow: Path, given: tuple[str, ...], output: Path | None
) -> None:
    from difflib import unified_diff

    from symphony_sdk.errors import WorkflowError
    from symphony_workflow import dumps, load
    from symphony_workflow.templates import instantiate as make
    from symphony_workflow.templates import origin_of

    from symphony_host.cli.template_values import read_values

    workflow = load(flow)
    origin = origin_of(workflow)
    if origin is None:
        raise WorkflowError(
            "the workflow was not made from a template",
            code="SYM-W098",
            hint="`symphony template instantiate` makes one that remembers its template.",
            file=str(flow),
        )
    found, _, _ = _template(settings, origin.id)
    again = make(found, {**origin.parameters, **read_values(found, given)}, id=workflow.id)
    before, after = dumps(workflow).splitlines(), dumps(again).splitlines()
    changes = list(
        unified_diff(before, after, f"{flow} ({origin.version})", f"{found.reference}", lineterm="", n=2)
    )
    if output is not None:
        _handed_over(shell, again, output, changes=changes)
    elif shell.json:
        shell.print_json({"from": origin.version, "to": found.version, "changes": changes})
    else:
        for line in changes or ["nothing changes"]:
            click.echo(clean(line) if line.isprintable() else line)


def _handed_over(
    shell: Shell, workflow: "Workflow", output: Path | None, *, changes: list[str] | None = None
) -> None:
    from symphony_workflow import dumps, save

    if output is not None:
        save(workflow, output)
    if shell.json:
        import json

        document = json.loads(dumps(workflow))
        more = {} if changes is None else {"changes": changes}
        shell.print_json({"file": str(output or ""), "workflow": document, **more})
    elif output is None:
        click.echo(dumps(workflow), nl=False)
    else:
        click.echo(f"{output}: {counted(len(workflow.nodes), 'node')}; run it with `symphony run {output}`")


def _installed_operations(settings: "Settings") -> "tuple[str, ...]":
    """The ids of all operations that can be used; asks the workers of those that are not known yet."""
    import asyncio

    from symphony_host.cli.session import open_host

    async def asked() -> tuple[str, ...]:
        async with open_host(settings) as host:
            return tuple(await host.extensions.operations())

    return asyncio.run(asked())


for _command in (new, add, validate):
    template.add_command(_command)
