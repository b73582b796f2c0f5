"""Cuts a stream of bytes into lines, none of which takes more memory than it may."""

from collections.abc import Iterator
from typing import Final

LINE_LIMIT: Final = 16 << 20
"""Bytes that a line may have unless told otherwise."""


class LineReader:
    """Cuts a stream of bytes into lines, without their ends.

    Args:
        max_line: Bytes that a line may have. A longer one is passed over, and None stands for it.
    """

    def __init__(self, max_line: int = LINE_LIMIT) -> None:
        self._max_line = max_line
        self._parts: list[bytes] = []
        self._size = 0

    def received(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that are complete now; to be iterated to its end before more is received.

        Args:
            data: The next bytes of the stream.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._line(data[start:end])
            start = end + 1
        if start < len(data):
            self._keep(data[start:])

    def _line(self, last: bytes) -> bytes | None:
        if not self._size and len(last) <= self._max_line:
            return last
        self._keep(last)
        line = b"".join(self._parts) if self._size <= self._max_line else None
        self._parts.clear()
        self._size = 0
        return line

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max_line:
            self._parts.append(part)
        else:
            self._parts.clear()
