"""A hostile extension: its one operation carries out an attempt."""

import json
import os
import threading
from typing import Any

from symphony_sdk import Context

from attempts import honest
from attempts.attacker import At, attack


class HostFiles:
    """Asks the host for files without asking the SDK first whether that may be asked for."""

    def __init__(self, ctx: Context) -> None:
        self._host: Any = ctx.files._host

    def read(self, path: str) -> bytes:
        number = self._host.open(path, "read")
        try:
            return os.read(number, 4096)
        finally:
            os.close(number)

    def write(self, path: str, data: bytes) -> None:
        os.write(self._host.open(path, "write"), data)

    def size(self, path: str) -> int:
        return self._host.stat(path).size

    def entries(self, path: str) -> list[str]:
        return list(self._host.entries(path))

    def remove(self, path: str) -> None:
        self._host.remove(path)

    def rename(self, path: str, target: str) -> None:
        self._host.rename(path, target)

    def make_directory(self, path: str) -> None:
        self._host.make_directory(path)


def tries(ctx: Context, name: str, facts: str) -> str:
    """Carry out an attempt, or honest work."""
    known = json.loads(facts)
    if name in honest.WORK:
        return honest.work(name, known)

    def connection(port: int = 0, host: str = "127.0.0.1") -> Any:
        return ctx.connect(host, port or known["ports"]["granted"], 5.0)

    # Only the main thread may set an alarm; the host gives the call up where it takes too long.
    seconds = 5.0 if threading.current_thread() is threading.main_thread() else 0.0
    return attack(name, At(known, HostFiles(ctx), connection), seconds)
