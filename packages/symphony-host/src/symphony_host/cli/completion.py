"""`symphony completion`."""

import click
from click.shell_completion import get_completion_class

from symphony_host.cli.shell import debug_option


@click.command()
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
@click.pass_context
def completion(context: click.Context, shell_name: str) -> None:
    """Print the script that completes commands and options in SHELL: bash, zsh or fish.

    \b
    Example:
      bash:  eval "$(symphony completion bash)"                                    in ~/.bashrc
      zsh:   eval "$(symphony completion zsh)"                                     in ~/.zshrc
      fish:  symphony completion fish > ~/.config/fish/completions/symphony.fish   once
    """
    kind = get_completion_class(shell_name)
    if kind is None:
        raise click.BadParameter(f"click completes nothing in {shell_name}")
    click.echo(kind(context.find_root().command, {}, "symphony", "_SYMPHONY_COMPLETE").source())
