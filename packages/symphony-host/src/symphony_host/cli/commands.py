"""The commands of Symphony by name: all that is known of them before one is imported."""

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """One command.

    Args:
        name: What is typed after `symphony`.
        target: `package.module:attribute` of the click command.
        summary: One line for the front page.
        section: The heading that it stands under.
    """

    name: str
    target: str
    summary: str
    section: str


_HERE = "symphony_host.cli"

COMMANDS = {
    entry.name: entry
    for entry in (
        CommandEntry(
            "demo", f"{_HERE}.demo:demo", "Map a folder of code: a real run in a minute", "Workflows"
        ),
        CommandEntry("run", f"{_HERE}.run:run", "Run a workflow", "Workflows"),
        CommandEntry("resume", f"{_HERE}.run:resume", "Go on with a run that stopped", "Workflows"),
        CommandEntry("runs", f"{_HERE}.runs:runs", "List, follow, steer and compare runs", "Workflows"),
        CommandEntry("validate", f"{_HERE}.validate:validate", "Find every fault of a workflow", "Workflows"),
        CommandEntry("show", f"{_HERE}.show:show", "Draw a workflow in the terminal", "Workflows"),
        CommandEntry(
            "export",
            f"{_HERE}.export:export",
            "Write a workflow as a picture or in another form",
            "Workflows",
        ),
        CommandEntry(
            "import",
            f"{_HERE}.import_:import_command",
            "Make a workflow of another program's file",
            "Workflows",
        ),
        CommandEntry("sign", f"{_HERE}.signatures:sign", "Vouch for a workflow with a key", "Workflows"),
        CommandEntry("verify", f"{_HERE}.signatures:verify", "Check who vouches for a workflow", "Workflows"),
        CommandEntry(
            "template",
            f"{_HERE}.template:template",
            "Find, make and use templates of workflows",
            "Workflows",
        ),
        CommandEntry(
            "artifacts", f"{_HERE}.artifacts:artifacts", "Find, keep and check what was stored", "Workflows"
        ),
        CommandEntry("list", f"{_HERE}.extensions:list_", "List the installed extensions", "Extensions"),
        CommandEntry(
            "info", f"{_HERE}.info:info", "Tell all about an extension or an operation", "Extensions"
        ),
        CommandEntry("enable", f"{_HERE}.extensions:enable", "Switch an extension on again", "Extensions"),
        CommandEntry("disable", f"{_HERE}.extensions:disable", "Switch an extension off", "Extensions"),
        CommandEntry(
            "reload", f"{_HERE}.reload:reload", "Run an extension's code as it is now", "Extensions"
        ),
        CommandEntry(
            "dev", f"{_HERE}.dev:dev", "Reload an extension whenever its code changes", "Extensions"
        ),
        CommandEntry(
            "permissions",
            f"{_HERE}.permissions:permissions",
            "Decide what extensions may do",
            "Extensions",
        ),
        CommandEntry(
            "audit", f"{_HERE}.audit:audit", "Show and check what was decided about extensions", "Extensions"
        ),
        CommandEntry("ipc", f"{_HERE}.ipc:ipc", "Describe the messages between processes", "Extensions"),
        CommandEntry("new", f"{_HERE}.new:new", "Start an extension of your own", "Extensions"),
        CommandEntry("doctor", f"{_HERE}.doctor:doctor", "Say what is broken, and how to mend it", "Help"),
        CommandEntry("explain", f"{_HERE}.explain:explain", "Explain an error code", "Help"),
        CommandEntry(
            "completion", f"{_HERE}.completion:completion", "Print a shell's completion script", "Help"
        ),
    )
}
"""The family's own commands; extensions add theirs through `symphony_cli`."""
