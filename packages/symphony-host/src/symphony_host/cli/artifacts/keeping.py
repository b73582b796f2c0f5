"""`symphony artifacts put`, `pin`, `hold`, `remove` and what undoes them: what is kept, and for how long."""

import mimetypes
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

import click

from symphony_host.cli.artifacts.describing import titled
from symphony_host.cli.artifacts.opening import with_store
from symphony_host.cli.artifacts.parameters import TEXT, artifact_argument
from symphony_host.cli.artifacts.progress_line import ProgressLine
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell, usage_error

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactInfo, ArtifactStore

PART: Final = 1 << 20
"""Bytes of a file that are read at a time."""

DURABILITIES: Final = ("os", "group", "sync")
"""As `Durability` has them: that module is not imported to print a help text."""
STDIN: Final = Path("-")

reason_option = click.option(
    "--reason",
    metavar="TEXT",
    type=TEXT,
    required=True,
    help="Why; what it is held for is also what ends the hold.",
)


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--name", metavar="NAME", help="Its name; that of the file unless given. For one FILE.")
@click.option(
    "--type", "media_type", metavar="TYPE", help="Its media type; guessed from its name unless given."
)
@click.option(
    "--meta", "given", metavar="KEY=VALUE", multiple=True, help="A fact to keep beside it; may be repeated."
)
@click.option(
    "--durability",
    type=click.Choice(DURABILITIES),
    default="group",
    show_default=True,
    help="When it counts as stored: handed to the system, synced with others, or synced alone.",
)
@json_option
@debug_option
@pass_shell
def put(
    shell: Shell,
    files: tuple[Path, ...],
    name: str | None,
    media_type: str | None,
    given: tuple[str, ...],
    durability: Literal["os", "group", "sync"],
) -> None:
    """Store each FILE; `-` is standard input. What is stored already costs no space.

    Another content under a name that is known already is its next version.

    \b
    Example:
      symphony artifacts put data.csv --meta source=survey
      tar c results | symphony artifacts put - --name results.tar
    """
    if name is not None and len(files) > 1:
        raise usage_error(
            f"one name was given for {len(files)} files", "Store them one by one, or leave --name out."
        )
    if files.count(STDIN) > 1:
        raise usage_error("standard input was given twice", "It can be read only once: give `-` once.")
    metadata = _metadata(given)

    def store_all(store: "ArtifactStore") -> "list[ArtifactInfo]":
        infos: list[ArtifactInfo] = []
        for file in files:
            called = name if name is not None else "" if file == STDIN else file.name
            with _opened(file) as stream, ProgressLine(called or "standard input") as line:
                ref = store.put_stream(
                    _parts(stream, line),
                    name=called,
                    media_type=media_type or _type_of(called),
                    metadata=metadata,
                    durability=durability,
                )
            infos.append(store.info(ref.id))
            if not shell.json:
                click.echo(titled(infos[-1]))
        return infos

    infos = with_store(shell, store_all)
    if shell.json:
        shell.print_json(infos)


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def pin(shell: Shell, artifact: str) -> None:
    """Keep ARTIFACT from being removed until it is unpinned.

    \b
    Example:
      symphony artifacts pin best-model
    """
    _change(shell, artifact, "pinned", lambda store, id: store.pin(id))


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def unpin(shell: Shell, artifact: str) -> None:
    """Let ARTIFACT be removed again.

    \b
    Example:
      symphony artifacts unpin best-model
    """
    _change(shell, artifact, "unpinned", lambda store, id: store.unpin(id))


@click.command()
@artifact_argument
@reason_option
@json_option
@debug_option
@pass_shell
def hold(shell: Shell, artifact: str, reason: str) -> None:
    """Keep ARTIFACT from being removed until it is released of this reason; several reasons may hold it.

    \b
    Example:
      symphony artifacts hold b3-3f2a --reason "audit 2026"
    """
    _change(shell, artifact, "held", lambda store, id: store.hold(id, reason))


@click.command()
@artifact_argument
@reason_option
@json_option
@debug_option
@pass_shell
def release(shell: Shell, artifact: str, reason: str) -> None:
    """End the hold of ARTIFACT for a reason; `show` tells what it is held for.

    \b
    Example:
      symphony artifacts release b3-3f2a --reason "audit 2026"
    """
    _change(shell, artifact, "released", lambda store, id: store.release(id, reason))


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def remove(shell: Shell, artifact: str) -> None:
    """Remove ARTIFACT, given by its whole id: it is not found and not read any more.

    `restore` undoes that until `gc` frees its bytes. What is pinned or held is not removed.

    \b
    Example:
      symphony artifacts remove ID
    """
    _change(shell, artifact, "removed", lambda store, id: store.remove(artifact))


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def restore(shell: Shell, artifact: str) -> None:
    """Undo the removal of ARTIFACT; `list --removed` shows what can be restored.

    \b
    Example:
      symphony artifacts restore b3-3f2a
    """
    _change(shell, artifact, "restored", lambda store, id: store.restore(id))


def _change(shell: Shell, artifact: str, done: str, change: "Callable[[ArtifactStore, str], None]") -> None:
    """Change what is kept of an artifact, and tell what it is now."""

    def changed(store: "ArtifactStore") -> "ArtifactInfo":
        id = store.info(artifact).ref.id
        change(store, id)
        return store.info(id)

    info = with_store(shell, changed)
    if shell.json:
        shell.print_json(info)
    else:
        click.echo(f"{done}: {titled(info)}")


def _metadata(given: tuple[str, ...]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise usage_error(f"{text!r} is no fact: expected KEY=VALUE", "Such as `--meta source=survey`.")
        if key in facts:
            raise usage_error(f"{key!r} was given twice", "Give each key of `--meta` once.")
        facts[key] = value
    return facts


def _type_of(name: str) -> str:
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"


def _opened(file: Path) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb")


def _parts(stream: IO[bytes], tell: Callable[[int, int], None]) -> Iterator[bytes]:
    status = os.fstat(stream.fileno())
    total = status.st_size if stat.S_ISREG(status.st_mode) else 0
    done = 0
    while part := stream.read(PART):
        yield part
        done += len(part)
        tell(done, total)
