"""How a command speaks: JSON or text, errors with place and hint, and what every command's options share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from symphony_sdk.errors import SymphonyError

from symphony_host.cli.text import clean, columns

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Shell:
    """What was asked of this call of `symphony` as a whole.

    Args:
        json: Whether to print JSON.
        debug: Whether to print tracebacks.
        config: The file of settings; None for the user's own.
    """

    json: bool = False
    debug: bool = False
    config: str | None = None

    def print_json(self, value: Any) -> None:
        """Print one line of JSON.

        Args:
            value: Anything that msgspec encodes.
        """
        import msgspec

        click.echo(msgspec.json.encode(value, enc_hook=str))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows below their headings.

        Args:
            headings: Names of the columns.
            rows: The cells of each row.
        """
        first, *rest = columns([headings, *rows])
        click.secho(first, bold=True)
        for line in rest:
            click.echo(line)

    def error(self, error: SymphonyError) -> None:
        """Print an error: to stdout as JSON where that was asked for, to stderr as text else.

        Args:
            error: What was raised.
        """
        if self.json:
            self.print_json({"error": error.payload()})
        else:
            for line in error_lines(error):
                click.echo(line, err=True)
        if self.debug:
            import traceback

            click.echo(error.traceback or "".join(traceback.format_exception(error)), err=True)


def error_lines(error: SymphonyError, *, label: str = "error") -> list[str]:
    """An error for people: what, where, what to do.

    Args:
        error: The error.
        label: `error` or `warning`.
    """
    first, *rest = (clean_lines(error.message)) or [""]
    color = "red" if label == "error" else "yellow"
    lines = [f"{click.style(f'{label}[{error.code}]', fg=color, bold=True)}: {click.style(first, bold=True)}"]
    lines += [line if line.startswith("  ") else f"  {line}" for line in rest]
    if error.place:
        lines.append(f"  {click.style('-->', fg='blue', bold=True)} {clean(error.place)}")
    if error.hint:
        lines.append(f"  {click.style('hint', fg='cyan', bold=True)}: {clean(error.hint)}")
    return lines


def clean_lines(text: str) -> list[str]:
    """The lines of `text`, each made harmless.

    Args:
        text: Anything, perhaps from an extension.
    """
    return [line[: len(line) - len(line.lstrip(" "))] + clean(line.lstrip(" ")) for line in text.split("\n")]


def usage_error(message: str, hint: str) -> SymphonyError:
    """The error of a command line that asks for something impossible.

    Args:
        message: What was found and what was expected.
        hint: What to type instead.
    """
    from symphony_sdk.errors import ConfigurationError

    return ConfigurationError(message, code="SYM-C040", hint=hint)


def json_option(function: F) -> F:
    """Add `--json`, which [Shell][symphony_host.cli.shell.Shell] takes note of."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note("json"),
        help="Print JSON instead of text.",
    )(function)


def debug_option(function: F) -> F:
    """Add `--debug`, which [Shell][symphony_host.cli.shell.Shell] takes note of."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note("debug"),
        help="Print the traceback of an error.",
    )(function)


def _note(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        shell = context.ensure_object(Shell)
        setattr(shell, name, getattr(shell, name) or value)

    return note


pass_shell = click.make_pass_decorator(Shell, ensure=True)
"""Give a command the [Shell][symphony_host.cli.shell.Shell] as its first argument."""
