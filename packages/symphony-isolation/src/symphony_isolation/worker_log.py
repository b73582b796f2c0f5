"""What a worker says - printed, logged or cried - on its way to the user: bounded, printable, attributed."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from symphony_ipc.throttle import Throttle
from symphony_sdk.extension.context import LogLevel

LINE_LIMIT: Final = 4096
"""Characters of a line that are kept."""

LINES_PER_SECOND: Final = 200
"""Lines of one worker that are passed on; those above are counted."""

BYTES_PER_SECOND: Final = 4 << 20
"""Bytes of one stream that are read; a worker that prints more waits."""

_TAIL: Final = 20
_WINDOW: Final = 1.0
_UNPRINTABLE: Final = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x061C,
        *range(0x200E, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
    if code != 0x09
}

LogSink = Callable[[str, LogLevel, str], None]
"""Takes the id of an extension, a level and a line."""


class WorkerLog:
    """Passes on what one worker says.

    Args:
        extension: Id of its extension.
        sink: Takes the lines.
        clock: Seconds that never go back.
    """

    def __init__(self, extension: str, sink: LogSink, clock: Callable[[], float] = time.monotonic) -> None:
        self._extension = extension
        self._sink = sink
        self._clock = clock
        self._window = 0.0
        self._lines = 0
        self._dropped = 0
        self._tail: deque[str] = deque(maxlen=_TAIL)

    @property
    def last_words(self) -> str:
        """The last lines on stderr."""
        return "\n".join(self._tail)

    def write(self, level: LogLevel, text: str) -> None:
        """Pass a line on, or count it where there are too many.

        Args:
            level: How grave it is.
            text: What the worker said; line breaks and control characters in it are replaced.
        """
        self._write(level, printable(text))

    def print(self, stream: str, text: str) -> None:
        """Pass on a line that was printed.

        Args:
            stream: `stdout` or `stderr`.
            text: The line.
        """
        text = printable(text).rstrip()
        if stream == "stderr" and text:
            self._tail.append(text)
        if text:
            self._write("info" if stream == "stdout" else "warning", text)

    def flush(self) -> None:
        """Say how many lines were not passed on."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._sink(self._extension, "warning", f"{dropped} more lines were dropped: too many at once")

    def _write(self, level: LogLevel, text: str) -> None:
        now = self._clock()
        if now - self._window >= _WINDOW:
            self.flush()
            self._window, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_PER_SECOND:
            self._dropped += 1
        else:
            self._sink(self._extension, level, text)


class PrintedLines(asyncio.Protocol):
    """Cuts one stream of a worker into lines, in bounded memory and at a bounded rate.

    Args:
        stream: `stdout` or `stderr`.
        log: Takes the lines.
    """

    def __init__(self, stream: str, log: WorkerLog) -> None:
        self.ended = asyncio.Event()
        self._stream = stream
        self._log = log
        self._rest = b""
        self._throttle = Throttle(BYTES_PER_SECOND, log.flush)
        self._transport: asyncio.ReadTransport

    @property
    def flooded(self) -> float:
        """Seconds that more than is read was printed; 0 where it is not."""
        return self._throttle.flooded

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open."""
        assert isinstance(transport, asyncio.ReadTransport)  # noqa: S101 - it is made by connect_read_pipe
        self._transport = self._throttle.transport = transport

    def data_received(self, data: bytes) -> None:
        """Cut what came in; stop reading for a while where it is too much."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._print(line)
        self._rest = rest[: 4 * LINE_LIMIT]
        self._throttle.count(len(data))

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is closed by all who had it."""
        self._throttle.stop()
        self._print(self._rest)
        self._log.flush()
        self.ended.set()

    def close(self) -> None:
        """Read no more, even if some process still holds the other end."""
        self._transport.close()

    def _print(self, line: bytes) -> None:
        self._log.print(self._stream, line[: 4 * LINE_LIMIT].decode(errors="replace"))


def printable(text: str) -> str:
    """A line that changes nothing on a terminal but the place where it is printed.

    Args:
        text: Anything; what is too long is cut.
    """
    if len(text) > LINE_LIMIT:
        text = f"{text[:LINE_LIMIT]}…"
    return text.translate(_UNPRINTABLE)
