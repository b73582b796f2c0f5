"""`symphony show`."""

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell

if TYPE_CHECKING:
    from symphony_workflow import Workflow

_MAX_GRAPH = 40
"""Up to so many nodes a workflow is drawn as a graph unless the user asks for the other."""
_COLUMNS = 100
"""The room for a graph where there is no terminal."""


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "form",
    type=click.Choice(["tree", "graph"]),
    help="A tree tells every parameter; a graph shows the lines. Chosen by size unless given.",
)
@json_option
@debug_option
@pass_shell
def show(shell: Shell, flow: Path, form: str | None) -> None:
    """Draw the workflow in the file FLOW: what runs after what, and why.

    Where a graph would be wider than the terminal, a tree is drawn.

    \b
    Example:
      symphony show examples/workflows/code-atlas.json
      symphony show flow.json --as tree
    """
    from symphony_workflow import load

    workflow = load(flow)
    if shell.json:
        shell.print_json(_summary(workflow))
        return
    from symphony_workflow.drawing import draw_graph, draw_tree

    if form == "graph" or (form is None and len(workflow.nodes) <= _MAX_GRAPH):
        columns = shutil.get_terminal_size((_COLUMNS, 24)).columns
        click.echo(draw_graph(workflow, columns), nl=False)
    else:
        click.echo(draw_tree(workflow), nl=False)


def _summary(workflow: "Workflow") -> dict[str, Any]:
    from symphony_workflow import digest

    kinds = Counter(getattr(node, "control", node.kind) for node in workflow.nodes)
    uses = {
        node.uses for one in (workflow, *workflow.workflows) for node in one.nodes if hasattr(node, "uses")
    }
    return {
        "id": workflow.id,
        "name": workflow.name,
        "digest": digest(workflow),
        "nodes": len(workflow.nodes),
        "kinds": dict(sorted(kinds.items())),
        "edges": len(workflow.edges),
        "uses": sorted(uses),
        "inputs": [
            {"name": one.name, "schema": one.schema, "required": one.required, "description": one.description}
            for one in workflow.inputs
        ],
        "outputs": {one.name: f"{one.node}.{one.port}" for one in workflow.outputs},
        "workflows": [_summary(one) for one in workflow.workflows],
    }
