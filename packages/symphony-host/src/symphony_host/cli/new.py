"""`symphony new`."""

from pathlib import Path
from typing import get_args

import click

from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.template import ExtensionKind, create_extension


@click.command()
@click.argument("kind", type=click.Choice(get_args(ExtensionKind)))
@click.argument("name")
@click.option(
    "--publisher", default="", help="Your name, the first part of the extension's id; asked for unless given."
)
@click.option("--no-input", is_flag=True, help="Ask for nothing; take the defaults.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Make the project in this folder; the current one unless given.",
)
@json_option
@debug_option
@pass_shell
def new(shell: Shell, kind: ExtensionKind, name: str, publisher: str, no_input: bool, output: Path) -> None:
    """Start a project for an extension of your own: KIND is operator, instrument or addon.

    \b
    Example:
      symphony new operator word-count
    """
    project = create_extension(kind, name, output, publisher=publisher, no_input=no_input or shell.json)
    if shell.json:
        shell.print_json({"kind": kind, "name": name, "path": str(project)})
        return
    click.echo(
        f"made {project}\n\nnext:\n  cd {project}\n  python -m pip install --editable . --group dev\n  pytest\n"
        f"  symphony run workflows/{name}.json"
    )
