"""`symphony explain`."""

import difflib

import click
from symphony_sdk.error_codes import CATALOGUE

from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error


@click.command()
@click.argument("code")
@json_option
@debug_option
@pass_shell
def explain(shell: Shell, code: str) -> None:
    """Explain the error CODE: why it happens and how to mend it.

    \b
    Example:
      symphony explain SYM-M001
    """
    known = code.upper()
    if known not in CATALOGUE:
        near = difflib.get_close_matches(known, CATALOGUE, n=3)
        raise usage_error(
            f"there is no error code {code!r}",
            f"Did you mean {' or '.join(near)}?"
            if near
            else "Codes look like SYM-M001; others are an extension's own.",
        )
    entry = CATALOGUE[known]
    if shell.json:
        shell.print_json({"code": known, "title": entry.title, "explanation": entry.explanation})
        return
    import textwrap

    click.secho(f"{known}: {entry.title}", bold=True)
    click.echo()
    click.echo(textwrap.fill(entry.explanation, 100))
