"""The root of the command line: finds the command, calls it, and turns whatever goes wrong into an exit code."""

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem
from symphony_sdk.errors import ExtensionError, SymphonyError, foreign_error

from symphony_host.cli import exits
from symphony_host.cli.commands import COMMANDS, CommandEntry
from symphony_host.cli.extension_commands import extension_commands
from symphony_host.cli.front_page import front_page
from symphony_host.cli.shell import Shell, debug_option, usage_error


class Root(click.Group):
    """The group of all commands; imports the module of the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the family's commands and of those that extensions add."""
        return [*COMMANDS, *extension_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        own = COMMANDS.get(cmd_name)
        if own is not None:
            if sys.stdout.isatty() and "--help" in sys.argv:
                from rich_click.patch import patch

                patch()  # the classes that the module about to be imported makes its commands of
            return _imported(own)
        added = extension_commands().get(cmd_name)
        return _contained(added) if added else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin with what was typed, told without importing one."""
        entries = (*COMMANDS.values(), *extension_commands().values())
        named = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in entries
            if entry.name.startswith(incomplete)
        ]
        return named or click.Command.shell_complete(self, ctx, incomplete)

    def get_help(self, ctx: click.Context) -> str:
        """The front page."""
        return front_page()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.option("--config", type=click.Path(dir_okay=False), help="Read the settings from this file.")
@debug_option
@click.pass_context
def root(context: click.Context, version: bool, config: str | None) -> None:
    """Build AI workflows out of extensions, each in a process of its own."""
    context.ensure_object(Shell).config = config
    if version:
        import symphony_sdk

        click.echo(f"symphony {symphony_sdk.__version__}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line; every error is printed, none is raised.

    Args:
        arguments: What was typed after `symphony`.

    Returns:
        The exit code.
    """
    shell = Shell()
    try:
        result = root.main(list(arguments), prog_name="symphony", standalone_mode=False, obj=shell)
    except click.UsageError as error:
        shell.json = shell.json or "--json" in arguments
        shell.error(_usage(error))
        return exits.USAGE
    except click.ClickException as error:
        shell.error(usage_error(error.format_message(), ""))
        return exits.USAGE
    except SymphonyError as error:
        shell.error(error)
        return exits.exit_code(error)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return exits.INTERRUPTED
    except OSError as error:
        shell.error(_of_system(error))
        return exits.ENVIRONMENT
    except Exception as error:  # noqa: BLE001 - the last resort: a defect is shown as an error, not as a traceback
        shell.error(_defect(error))
        return exits.ENVIRONMENT
    return result if isinstance(result, int) else exits.OK


def _imported(entry: CommandEntry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    command: Any = getattr(importlib.import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.target} is a {type(command).__name__}, not a click command")
    return command


def _contained(entry: CommandEntry) -> click.Command:
    """The command that an extension adds; whatever its import raises is an error of that extension."""
    try:
        return _imported(entry)
    except (Exception, SystemExit) as error:
        owner = entry.section.removeprefix("From ")
        raise ExtensionError(
            f"the command {entry.name!r} of {owner} cannot be imported: {type(error).__name__}: {error}",
            code="SYM-E080",
            hint=f"Install another version of the extension, or `symphony disable {owner}`.",
            traceback=foreign_error(error, owner).traceback if isinstance(error, Exception) else "",
        ) from error


def _usage(error: click.UsageError) -> SymphonyError:
    path = error.ctx.command_path if error.ctx else "symphony"
    message = error.format_message().rstrip(".")
    hint = f"`{path} --help` shows what can be given, with an example."
    if isinstance(error, click.NoSuchCommand) and path == "symphony":
        near = get_close_matches(error.command_name, [*COMMANDS, *extension_commands()], n=1)
        hint = f"Did you mean `symphony {near[0]}`?" if near else hint
    return usage_error(message[:1].lower() + message[1:], hint)


def _of_system(error: OSError) -> SymphonyError:
    from symphony_sdk.errors import ConfigurationError

    return ConfigurationError(
        f"the system refused: {error.strerror or error}",
        code="SYM-C041",
        hint="`symphony doctor` checks the directories that Symphony writes to.",
        file=str(error.filename or ""),
    )


def _defect(error: Exception) -> SymphonyError:
    import traceback

    return SymphonyError(
        f"{type(error).__name__}: {error}",
        code="SYM-X001",
        hint="This is a defect of Symphony: please report it with what `--debug` prints.",
        traceback="".join(traceback.format_exception(error)),
    )
