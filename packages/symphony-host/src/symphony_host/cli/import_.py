"""`symphony import`."""

from collections.abc import Iterator
from pathlib import Path

import click
from symphony_workflow import Workflow, dumps, save

from symphony_host.cli.format_notes import print_notes, refuse_notes
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FLOW", type=click.Path(path_type=Path), help="The workflow file to write."
)
@click.option("--from", "name", metavar="FORMAT", help="The format of FILE; by what is in it unless given.")
@click.option(
    "--map",
    "map_file",
    metavar="TOML",
    type=click.Path(path_type=Path),
    help="Which operations stand for node types: a table for each type.",
)
@click.option("--strict", is_flag=True, help="Refuse a file of which something cannot be taken over.")
@json_option
@debug_option
@pass_shell
def import_command(
    shell: Shell, file: Path, output: Path | None, name: str | None, map_file: Path | None, strict: bool
) -> None:
    """Make a workflow of FILE, which another program wrote: ComfyUI, n8n, WfFormat, CWL, or what extensions add.

    Nothing of the file is run, and nothing that it names is fetched. Notes say, node by node, what could not be taken
    over; a node type that no operation is known for becomes a placeholder that keeps the node's data. Without `-o`
    the workflow is printed.

    \b
    Example:
      symphony import portrait.json -o portrait.flow.json
      symphony import variants.cwl -o variants.json --map tools.toml
    """
    from symphony_host.workflow_formats import (
        format_named,
        format_of,
        import_workflow,
        installed_formats,
        load_mapping,
        read_file,
        workflow_name,
    )

    if output and output.exists() and file.exists() and output.samefile(file):
        raise usage_error(f"{output} is the file itself", "Give another name after `-o`.")
    data = read_file(file)
    mapping = load_mapping(map_file) if map_file else {}
    formats = installed_formats(settings_of(shell))
    format = format_named(formats, name) if name else format_of(formats, data, file=str(file))
    workflow, made = import_workflow(format, data, name=workflow_name(file), mapping=mapping, file=str(file))
    if strict:
        refuse_notes(made.notes, "import", str(file))
    if output:
        save(workflow, output)
    if shell.json:
        result = {"file": str(file), "format": format.name, "output": str(output) if output else None}
        shown = {} if output else {"workflow": made.document}
        shell.print_json({**result, "nodes": len(workflow.nodes), "notes": made.notes, **shown})
        return
    print_notes(made.notes)
    if not output:
        click.echo(dumps(workflow), nl=False)
        return
    placeholders = sum(1 for _ in _placeholders(workflow))
    click.echo(f"{output}: {len(workflow.nodes)} nodes from {format.title}")
    if placeholders:
        click.echo(
            f"  {placeholders} placeholders: change what they use, or name operations for their types with `--map`"
        )


def _placeholders(workflow: Workflow) -> Iterator[str]:
    for each in (workflow, *workflow.workflows):
        for node in each.nodes:
            if "placeholder" in node.metadata:
                yield node.id
