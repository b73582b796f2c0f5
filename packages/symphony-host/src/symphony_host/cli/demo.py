"""`symphony demo`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import symphony_sdk
from symphony_workflow import Workflow, load

from symphony_host.cli.permission_prompt import needed_extensions, obtain_permissions
from symphony_host.cli.project_files import checkout, shipped
from symphony_host.cli.run import output_option, quiet_option, run_workflow
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell

if TYPE_CHECKING:
    from symphony_isolation.permissions import Authority

EXAMPLES = frozenset(
    {
        "symphony-operator-code-metrics",
        "symphony-instrument-file-type",
        "symphony-operator-files",
        "symphony-operator-report",
    }
)
"""Distributions of the example extensions that the demo runs."""


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@output_option
@quiet_option
@json_option
@debug_option
@pass_shell
def demo(shell: Shell, folder: Path | None, output: Path | None, quiet: bool) -> int:
    """Map FOLDER: classify each file with a model, measure it, and write a report. Works offline.

    Without FOLDER, it maps the checkout of Symphony that you are in, or else the installed Symphony itself. The
    example extensions that it runs get what they declare, for this run.

    \b
    Example:
      symphony demo
      symphony demo ~/code/my-project
    """
    where = folder or checkout() or Path(symphony_sdk.__file__).parent
    workflow = load(shipped("examples/workflows/code-atlas.json"))
    if not (shell.json or quiet):
        click.echo(f"mapping {where.absolute()}")
    return run_workflow(
        shell,
        workflow,
        {"path": str(where.absolute())},
        output=output,
        quiet=quiet,
        permit=partial(_permit_examples, told=not quiet),
    )


def _permit_examples(shell: Shell, authority: "Authority", workflow: Workflow, *, told: bool) -> None:
    """Grant what Symphony's own examples declare, for this run; any other extension is asked about as ever."""
    for extension in needed_extensions(authority, workflow):
        if authority.declarations[extension].publisher in EXAMPLES:
            for item in authority.standing(extension).request.items:
                if told and not shell.json:
                    click.echo(f"for this run, {extension} may {item.text}")
            authority.grant(extension, "once")
    obtain_permissions(shell, authority, workflow)
