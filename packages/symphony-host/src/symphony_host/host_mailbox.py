"""Commands for the hosts of a user that run in other processes: left as files, taken and answered by these.

Each host has a directory of its own below the user's data, which nobody else may enter, and looks into it some dozen
times a second; a lock in it ends with the host, however that ends. So whoever may write the user's files may steer
the user's hosts, as with the commands that runs are steered by, and nobody else.
"""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from filelock import FileLock, Timeout
from symphony_sdk.errors import ErrorPayload, ExtensionError, PortError, foreign_error
from symphony_sdk.ports import ExtensionHealth

LOOK: Final = 0.05
"""Seconds between two looks for commands, and for their answers."""

PATIENCE: Final = 10.0
"""Seconds after which a command that was not taken is withdrawn."""


MessageT = TypeVar("MessageT")


class Command(msgspec.Struct, frozen=True):
    """What a host is asked.

    Args:
        kind: To reload an extension, or to tell how it is.
        extension: Its id.
    """

    kind: Literal["reload", "health"]
    extension: str


class Answer(msgspec.Struct, frozen=True):
    """What became of a command.

    Args:
        version: Version of the extension that runs now.
        seconds: How long it took.
        health: How the extension is now.
        error: Why the command was refused.
    """

    version: str = ""
    seconds: float = 0.0
    health: ExtensionHealth | None = None
    error: ErrorPayload | None = None


class HostMailbox:
    """Where this host takes commands.

    Args:
        directory: Where the hosts of the user have their directories; made where it is missing.
        obey: Does what a command asks.

    Raises:
        PortError: SYM-O002, it cannot be made.
    """

    def __init__(self, directory: Path, obey: Callable[[Command], Awaitable[Answer]]) -> None:
        self._place = directory / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._obey = obey
        try:
            self._place.mkdir(mode=0o700, parents=True)
            self._lock = FileLock(self._place / "lock", thread_local=False)
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise PortError(
                f"{self._place} cannot be made: {error.strerror}",
                code="SYM-O002",
                hint="Set SYMPHONY_DATA_DIR to a directory that you may write to.",
            ) from error
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Take no more commands."""
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking
        self._lock.release()
        shutil.rmtree(self._place, ignore_errors=True)

    async def _look(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(LOOK)
                for name in os.listdir(self._place):  # noqa: PTH208 - some dozen times a second
                    if name.endswith(".request"):
                        request = self._place / name
                        with suppress(FileNotFoundError):  # it was withdrawn just now
                            tasks.create_task(self._answer(request.rename(request.with_suffix(".taken"))))

    async def _answer(self, taken: Path) -> None:
        began = time.monotonic()
        try:
            answer = await self._obey(_read(taken, Command))
            answer = msgspec.structs.replace(answer, seconds=time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and further commands are taken
            answer = Answer(error=foreign_error(error, "the host").payload())
        with suppress(OSError):  # nobody waits for it any more
            _write(taken.with_suffix(".answer"), answer)


class RunningHost:
    """A host that runs in another process.

    Args:
        place: Its directory.

    Attributes:
        process: Its process id.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self.process = int(place.name.partition("-")[0])

    async def ask(self, command: Command) -> Answer | None:
        """Give a command; its answer, or None where the host ended before.

        Args:
            command: What is asked.

        Raises:
            ExtensionError: SYM-E051, it does not take the command.
        """
        request = self._place / f"{secrets.token_hex(8)}.request"
        answer = request.with_suffix(".answer")
        until = time.monotonic() + PATIENCE
        try:
            _write(request, command)
        except OSError:
            return None
        while self.alive():
            with suppress(FileNotFoundError):
                return _read(answer, Answer)
            if time.monotonic() > until:
                with suppress(FileNotFoundError):  # it is being worked on
                    request.unlink()
                    raise ExtensionError(
                        f"the process {self.process} of Symphony does not answer",
                        code="SYM-E051",
                        hint="See whether it is stopped.",
                    )
            await asyncio.sleep(LOOK / 2)
        return None

    def alive(self) -> bool:
        """Whether it runs; what one that does not has left behind is removed."""
        lock = FileLock(self._place / "lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # its directory is gone
            return False
        lock.release()
        shutil.rmtree(self._place, ignore_errors=True)
        return False


def running_hosts(directory: Path) -> Iterator[RunningHost]:
    """The hosts of the user that run.

    Args:
        directory: Where they have their directories.
    """
    with suppress(FileNotFoundError):
        for place in sorted(directory.iterdir()):
            with suppress(ValueError):  # it is no host's
                host = RunningHost(place)
                if host.alive():
                    yield host


def _read(file: Path, kind: type[MessageT]) -> MessageT:
    return msgspec.json.decode(file.read_bytes(), type=kind)


def _write(file: Path, message: msgspec.Struct) -> None:
    part = file.with_suffix(f"{file.suffix}-part")
    part.write_bytes(msgspec.json.encode(message))
    part.replace(file)
