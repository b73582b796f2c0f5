"""`symphony ipc`: the messages that Symphony's processes exchange, for those who write another end."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from symphony_host.plugins import Provided


@click.group()
def ipc() -> None:
    """Describe the protocol between Symphony's processes: its messages, for people and as schemas.

    \b
    Example:
      symphony ipc messages
      symphony ipc schema --format asyncapi --output symphony.asyncapi.json
    """


@ipc.command()
@click.option(
    "--format",
    "format_",
    type=click.Choice(["json-schema", "asyncapi"]),
    default="json-schema",
    show_default=True,
    help="Which document: a JSON Schema (2020-12) or AsyncAPI 3.0.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@debug_option
@pass_shell
def schema(shell: Shell, format_: str, output: Path | None) -> None:
    """Print every message as one document, those of extensions that run in the host included.

    \b
    Example:
      symphony ipc schema --output messages.json
      symphony ipc schema --format asyncapi
    """
    import msgspec
    import symphony_sdk
    from symphony_ipc.schema import asyncapi, json_schema

    registered = _registered(shell)
    if format_ == "asyncapi":
        document = asyncapi(registered.messages, symphony_sdk.__version__)
    else:
        document = json_schema(registered.messages)
    text = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_bytes(text)


@ipc.command()
@json_option
@debug_option
@pass_shell
def messages(shell: Shell) -> None:
    """List every message: its name on the wire, who brings it and what it says.

    \b
    Example:
      symphony ipc messages --json
    """
    registered = _registered(shell)
    rows = [
        (name, registered.owners.get(name, "symphony"), clean((kind.__doc__ or "").partition("\n")[0]))
        for name, kind in registered.messages.items()
    ]
    if shell.json:
        shell.print_json([{"name": name, "from": owner, "summary": text} for name, owner, text in rows])
    else:
        shell.table(("message", "from", "what it says"), rows)


class _Registered(NamedTuple):
    messages: "Mapping[str, type]"
    owners: "Mapping[str, str]"


def _registered(shell: Shell) -> _Registered:
    """The family's messages and those of extensions in the host; the log tells what is wrong with one of these."""
    import asyncio

    from symphony_ipc.schema import family_messages

    contributed = asyncio.run(_contributed(shell))
    messages = {name: provided.provider for name, provided in contributed.items()} | family_messages()
    owners = {name: provided.extension for name, provided in contributed.items()}
    return _Registered(dict(sorted(messages.items())), owners)


async def _contributed(shell: Shell) -> "Mapping[str, Provided[type]]":
    async with open_host(settings_of(shell)) as host:
        return host.plugins.message_types()
