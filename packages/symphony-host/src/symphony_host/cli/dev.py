"""`symphony dev`."""

import asyncio
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from symphony_sdk.errors import ExtensionError, SymphonyError

from symphony_host.catalogue import CatalogueEntry, load_catalogue
from symphony_host.cli import exits
from symphony_host.cli.flow_inputs import read_inputs
from symphony_host.cli.following import follow
from symphony_host.cli.session import actor, open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error

if TYPE_CHECKING:
    from symphony_workflow import Workflow

    from symphony_host.composition import Host

DEBOUNCE_MS = 50
"""Milliseconds in which changes count as one: an editor writes a file in several steps."""

LOOK_MS = 100
"""Milliseconds after which it goes on where nothing changes."""


@click.command()
@click.argument("what", metavar="[FOLDER|EXTENSION]", default=".")
@click.argument("flow", required=False, type=click.Path(path_type=Path))
@click.option("--input", "-i", "given", multiple=True, metavar="NAME=VALUE", help="Give an input of FLOW.")
@json_option
@debug_option
@pass_shell
def dev(shell: Shell, what: str, flow: Path | None, given: tuple[str, ...]) -> int:
    """Reload an extension whenever its code changes, and run the workflow in the file FLOW after each time.

    FOLDER is the checkout of an extension that is installed with `pip install -e`. Code that does not work is
    refused with its reason, and what worked goes on. Ctrl-C ends it. With --json, each thing that happens is a line.

    \b
    Example:
      symphony dev
      symphony dev acme.text examples/count-words.json --input text="to be or not to be"
    """
    settings = settings_of(shell)
    entry = _meant(what, load_catalogue(settings, refresh=True).entries)
    workflow = None
    values: dict[str, Any] = {}
    if flow is not None:
        from symphony_workflow import load

        workflow = load(flow)
        values = dict(read_inputs(workflow, given))
    elif given:
        raise usage_error(
            "--input is for a workflow, and none is named", "Name the FLOW after the extension."
        )

    async def develop() -> None:
        async with open_host(settings) as host:
            await _Bench(shell, host, entry.record.id, Path(entry.record.root), workflow, values).work()

    asyncio.run(develop())
    return exits.OK


class _Bench:
    """An extension that is worked on: reloaded, run and told about at each change."""

    def __init__(
        self,
        shell: Shell,
        host: "Host",
        extension: str,
        root: Path,
        workflow: "Workflow | None",
        values: dict[str, Any],
    ) -> None:
        self._shell = shell
        self._host = host
        self._extension = extension
        self._root = root
        self._workflow = workflow
        self._values = values
        self._end = asyncio.Event()

    async def work(self) -> None:
        """Until Ctrl-C."""
        from watchfiles import awatch

        self._end_at_interrupt()
        begun = False
        async for changes in awatch(
            self._root,
            debounce=DEBOUNCE_MS,
            step=DEBOUNCE_MS // 2,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,  # the first time says that it watches: no change after the first load is lost
            stop_event=self._end,
        ):
            if not begun:
                begun = True
                await self._reload([])
                self._tell("watching", f"watching {self._root}; Ctrl-C ends it", folder=str(self._root))
            elif changes:
                await self._reload(sorted({Path(path).name for _, path in changes}))

    async def _reload(self, changed: list[str]) -> None:
        began = time.monotonic()
        try:
            info = await self._host.extensions.reload(self._extension)
            await self._host.extensions.activate(self._extension)
        except SymphonyError as error:
            self._refused(error, changed)
            return
        seconds = time.monotonic() - began
        word = "reloaded" if changed else "loaded"
        self._tell(
            word,
            f"{word} {self._extension} {info.version} in {seconds * 1000:.0f} ms"
            f"{': ' if changed else ''}{', '.join(changed)}",
            seconds=seconds,
            changed=changed,
            operations=[operation.id for operation in info.operations],
        )
        if self._workflow is not None:
            await self._run(self._workflow)

    def _refused(self, error: SymphonyError, changed: list[str]) -> None:
        if self._shell.json:
            self._tell("refused", "", changed=changed, error=error.payload())
        else:
            self._shell.error(error)

    async def _run(self, workflow: "Workflow") -> None:
        from symphony_host.cli.displays import display_for
        from symphony_host.cli.summary import print_summary, shape_of

        core = self._host.core
        try:
            run = await core.start(
                workflow, self._values, executor=self._host.settings.executor, actor=actor()
            )
            display = await display_for(self._shell, core, (await core.outcome(run)).status, quiet=True)
            outcome, left = await follow(core, run, display, steer=False)
        except SymphonyError as error:
            self._refused(error, [])
            return
        print_summary(self._shell, outcome, [], await shape_of(core, outcome.status))
        self._end_at_interrupt()
        if left:
            self._end.set()

    def _end_at_interrupt(self) -> None:
        with suppress(NotImplementedError):  # Windows: Ctrl-C raises there
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._end.set)

    def _tell(self, event: str, text: str, **facts: Any) -> None:
        if self._shell.json:
            self._shell.print_json({"event": event, "extension": self._extension, **facts})
        else:
            click.echo(text)


def _meant(what: str, entries: Iterable[CatalogueEntry]) -> CatalogueEntry:
    """The extension of an id, or the one whose code is in a folder."""
    folder = Path(what).resolve()
    found = [entry for entry in entries if entry.record.id == what]
    found = found or [
        entry
        for entry in entries
        if entry.record.root and Path(entry.record.root).resolve().is_relative_to(folder)
    ]
    found = [entry for entry in found if entry.record.editable]
    if not found:
        raise ExtensionError(
            f"no extension whose code you can edit has the id, or lies in the folder, {what!r}",
            code="SYM-E052",
            hint=f"Install it in editable form: `pip install -e {what if Path(what).is_dir() else 'FOLDER'}`.",
        )
    if len(found) > 1:
        ids = ", ".join(entry.record.id for entry in found)
        raise usage_error(f"{len(found)} extensions lie in {what!r}", f"Name one of {ids}.")
    (entry,) = found
    if entry.record.runs == "host":
        raise ExtensionError(
            f"{entry.record.id!r} runs in the host itself and cannot be reloaded",
            code="SYM-E048",
            hint="Start Symphony again after each change.",
        )
    return entry
