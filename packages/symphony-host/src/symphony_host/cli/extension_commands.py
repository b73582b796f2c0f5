"""The commands that extensions add to the family's own."""

from symphony_host.cli.commands import COMMANDS, CommandEntry
from symphony_host.hosted_contributions import hosted_commands


def extension_commands() -> dict[str, CommandEntry]:
    """The added commands by name, sorted; a name that Symphony uses itself is not given away.

    Never raises: an extension that cannot be asked adds nothing, and `symphony doctor` says why.
    """
    return {
        name: CommandEntry(name, target, summary, f"From {extension}")
        for name, target, summary, extension in hosted_commands()
        if name not in COMMANDS
    }
