"""`symphony reload`."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from symphony_host.catalogue import load_catalogue, quarantine_of
from symphony_host.cli import exits
from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.configuration import Settings

if TYPE_CHECKING:
    from symphony_host.host_mailbox import Answer, RunningHost


@click.command()
@click.argument("extension")
@json_option
@debug_option
@pass_shell
def reload(shell: Shell, extension: str) -> int:
    """Have every Symphony of yours that runs replace EXTENSION by its code as it is now; no call fails of it.

    New processes are started and asked for their health, then they get the calls; the old ones end theirs. Where the
    new ones are not well the old ones stay, and the exit code is 3. A quarantine is lifted.

    \b
    Example:
      symphony reload acme.text
    """
    settings = settings_of(shell)
    record = load_catalogue(settings, refresh=True).entry(extension).record
    if record.runs == "host":
        from symphony_sdk.errors import ExtensionError

        raise ExtensionError(
            f"{extension!r} runs in the host itself and cannot be reloaded",
            code="SYM-E048",
            hint="Start Symphony again.",
        )
    answers = asyncio.run(_reloaded(settings, extension))
    lifted = False if answers else quarantine_of(settings).lift(extension)
    refused = [answer for _, answer in answers if answer.error is not None]
    if shell.json:
        shell.print_json(
            {
                "extension": extension,
                "lifted": lifted,
                "hosts": [_document(host, answer) for host, answer in answers],
            }
        )
    else:
        for host, answer in answers:
            _print(shell, extension, host, answer)
        if not answers:
            begun = "it gets one more try at" if lifted else "its code is read anew at"
            click.echo(f"no Symphony of yours runs now; {begun} the next start")
    return exits.ENVIRONMENT if refused else exits.OK


async def _reloaded(settings: Settings, extension: str) -> "list[tuple[RunningHost, Answer]]":
    """What became of it in each host that still runs; all of them work at the same time."""
    from symphony_host.host_mailbox import Command, running_hosts

    hosts = list(running_hosts(settings.data_dir / "hosts"))
    command = Command("reload", extension)
    answers = await asyncio.gather(*(_ask(host, command) for host in hosts))
    return [(host, answer) for host, answer in zip(hosts, answers, strict=True) if answer is not None]


async def _ask(host: "RunningHost", command: Any) -> "Answer | None":
    from symphony_sdk.errors import SymphonyError

    from symphony_host.host_mailbox import Answer

    try:
        return await host.ask(command)
    except SymphonyError as error:  # of this one; the others are told of, too
        return Answer(error=error.payload())


def _document(host: "RunningHost", answer: "Answer") -> dict[str, Any]:
    return {
        "process": host.process,
        "reloaded": answer.error is None,
        "version": answer.version,
        "seconds": answer.seconds,
        "health": answer.health,
        "error": answer.error,
    }


def _print(shell: Shell, extension: str, host: "RunningHost", answer: "Answer") -> None:
    if answer.error is None:
        took = f"{answer.seconds * 1000:.0f} ms"
        click.echo(f"{extension} {answer.version} was reloaded in process {host.process} in {took}")
        return
    from symphony_sdk.errors import error_from_payload

    click.echo(f"in process {host.process}:", err=True)
    shell.error(error_from_payload(answer.error))
