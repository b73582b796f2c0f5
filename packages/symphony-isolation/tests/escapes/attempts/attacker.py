"""The side of the attacker: what an attempt is given, and how it is carried out."""

import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attempts import ATTEMPTS

_kept: list[Any] = []


class Known(dict):
    """A dictionary whose keys are attributes too."""

    __getattr__ = dict.__getitem__


class At(Known):
    """All that an attempt knows, none of it secret, and what it can ask the host for.

    Args:
        facts: See `World.facts`.
        host_files: Asks the host for files; this process opens them itself where there is no host.
        connection: Gives a connection that the host has made.
    """

    def __init__(self, facts: dict[str, Any], host_files: Any = None, connection: Any = None) -> None:
        super().__init__(facts)
        self["victim"] = Known(facts["victim"])
        self["secret"] = f"{facts['outside']}/secret"
        self["text"] = f"{facts['granted']}/text"
        self["host_files"] = host_files or OwnFiles()
        self["connection"] = connection or self._passed

    def keep(self, thing: Any) -> None:
        """Have something until the host has looked."""
        _kept.append(thing)

    def _passed(self, port: int = 0, host: str = "127.0.0.1") -> socket.socket:
        return (
            socket.create_connection((host, port), 2) if port else socket.socket(fileno=os.dup(self.passed))
        )


class OwnFiles:
    """What a worker asks its host for, where there is none to ask."""

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        Path(path).write_bytes(data)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def entries(self, path: str) -> list[str]:
        return os.listdir(path)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def rename(self, path: str, target: str) -> None:
        os.rename(path, target)

    def make_directory(self, path: str) -> None:
        os.mkdir(path)


def attack(name: str, at: At, seconds: float = 5.0) -> str:
    """Carry an attempt out, and say what came of it.

    Args:
        name: Of the attempt.
        at: What it is given.
        seconds: After which it is given up; 0 for never.
    """
    try:
        with _alarm(seconds):
            result = ATTEMPTS[name].run(at)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        return f"{type(error).__name__}: {error}"
    return result.decode("latin-1") if isinstance(result, bytes) else str(result)


@contextmanager
def _alarm(seconds):
    if not seconds:
        yield
        return

    def give_up(*of):
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
