"""`symphony demo`."""

from pathlib import Path

import click
import symphony_sdk
from symphony_workflow import load

from symphony_host.cli.project_files import checkout, shipped
from symphony_host.cli.run import output_option, quiet_option, run_workflow
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@output_option
@quiet_option
@json_option
@debug_option
@pass_shell
def demo(shell: Shell, folder: Path | None, output: Path | None, quiet: bool) -> int:
    """Map FOLDER: classify each file with a model, measure it, and write a report. Works offline.

    Without FOLDER, it maps the checkout of Symphony that you are in, or else the installed Symphony itself.

    \b
    Example:
      symphony demo
      symphony demo ~/code/my-project
    """
    where = folder or checkout() or Path(symphony_sdk.__file__).parent
    workflow = load(shipped("examples/workflows/code-atlas.json"))
    if not (shell.json or quiet):
        click.echo(f"mapping {where.absolute()}")
    return run_workflow(shell, workflow, {"path": str(where.absolute())}, output=output, quiet=quiet)
