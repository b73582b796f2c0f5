"""`symphony new`."""

import re
from pathlib import Path

import click
from symphony_sdk.errors import ConfigurationError

from symphony_host.cli.project_files import shipped
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command()
@click.argument("kind", type=click.Choice(["instrument", "operator", "addon"]))
@click.argument("name")
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
def new(shell: Shell, kind: str, name: str, no_input: bool, output: Path) -> None:
    """Start a project for an extension of your own: KIND is instrument, operator or addon.

    \b
    Example:
      symphony new operator word-count
    """
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        raise usage_error(
            f"the name {name!r} is not lower-case words joined by hyphens",
            f"Use {near!r}." if _NAME.fullmatch(near) else "Use a name such as 'word-count'.",
        )
    project = _generated(kind, name, output, ask=not (no_input or shell.json))
    if shell.json:
        shell.print_json({"kind": kind, "name": name, "path": str(project)})
        return
    click.echo(
        f"made {project}\n\nnext:\n  pip install -e {project}\n  pytest {project}\n  symphony list --operations"
    )


def _generated(kind: str, name: str, output: Path, *, ask: bool) -> Path:
    from cookiecutter.exceptions import CookiecutterException  # type: ignore[import-untyped]
    from cookiecutter.main import cookiecutter  # type: ignore[import-untyped]

    template = shipped("cookiecutter-extension")
    try:
        made = cookiecutter(
            str(template),
            no_input=not ask,
            extra_context={"kind": kind, "name": name},
            output_dir=str(output),
            default_config=True,
        )
    except CookiecutterException as error:
        raise ConfigurationError(
            f"the project cannot be made: {error}",
            code="SYM-C042",
            hint="Choose another name, or another folder with --output.",
        ) from error
    return Path(made)
