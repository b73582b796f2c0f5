"""The two ends of a ring of bytes in shared memory, and what they tell each other.

The writer copies bytes into the ring and *announces* how many it has put in all; the reader copies them out and
*acknowledges* through a pipe how many it has taken. An announcement travels through a pipe as well, or by way of a
word of the memory while the reader looks at it (`channel` says when). One that comes through the pipe may thus be
older than what the reader knows already.

How much is under way is bounded twice. The writer never overwrites bytes that are not acknowledged, and it sends
at most `WINDOW` announcements more than are acknowledged, so that a pipe always has room. The reader acknowledges
as soon as half of either is used: so a writer that waits is always answered by a reader that has caught up.

Nothing here makes a system call. The peer may be hostile: what it says is checked against what it may say, and
the bytes are copied out before anybody looks at them, as it may change them at any time.
"""

from sys import byteorder
from typing import Final

from symphony_sdk.errors import MalformedMessage

Buffer = bytes | bytearray | memoryview

WINDOW: Final = 256
"""Announcements that a writer may send before one of them is acknowledged."""

_WORD: Final = 8  # bytes of a number in a pipe; in this machine's order, as both ends are on it
_SAID: Final = 512  # words to read from a pipe at once: a page of it, so that no announcement is cut in two


class Outgoing:
    """The end that writes.

    Args:
        memory: The ring; its length is a power of two.

    Attributes:
        position: Bytes put, ever: what to tell the reader after `put`.
        announced: Announcements sent, ever; whoever sends one counts it.
        acknowledgements: Where to read into what the reader says.
    """

    __slots__ = (
        "_memory",
        "_said",
        "_size",
        "_start",
        "_stop",
        "_taken",
        "_until",
        "acknowledgements",
        "announced",
        "position",
    )

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._size = len(memory)
        self._start = 0  # where in the ring the next byte goes
        self._until = 0  # up to where there is surely room
        self._taken = 0  # bytes that the reader has acknowledged, ever
        self.announced = 0  # announcements sent, ever
        self._stop = WINDOW  # how many there may have been until the reader acknowledges more
        self.position = 0
        self.acknowledgements = memoryview(bytearray(_SAID * _WORD))
        self._said = self.acknowledgements.cast("Q")

    def put(self, data: Buffer) -> int:
        """Copy bytes into the ring, as many as there is room for now and at most to the end of its memory.

        Args:
            data: What to write.

        Returns:
            The count of bytes that were copied. Where it is not 0, the reader is to be told; where it is 0, it
            will acknowledge something.
        """
        start = self._start
        end = start + len(data)
        if end > self._until or self.announced >= self._stop:
            end = min(end, self._look())
            if end == start:
                return 0
            data = memoryview(data)[: end - start]
        self._memory[start:end] = data
        self._start = end
        if end == self._size:
            self._start = self._until = 0
        self.position += end - start
        return end - start

    def _look(self) -> int:
        """Up to where there is room now."""
        start = self._start
        if self.announced >= self._stop:
            return start
        free = self._size - (self.position - self._taken)
        self._until = min(start + free, self._size)
        return self._until

    def acknowledge(self, count: int) -> None:
        """Take what the reader said.

        Args:
            count: Bytes that were read into `acknowledgements`; at least 1.

        Raises:
            MalformedMessage: It says what cannot be (`SYM-T041`).
        """
        words, rest = divmod(count, _WORD)
        if rest or words % 2:
            raise _impossible(f"an acknowledgement of {count} bytes")
        taken, confirmed = self._said[words - 2], self._said[words - 1]
        put = self.position
        if not (self._taken <= taken <= put and self._stop - WINDOW <= confirmed <= self.announced):
            raise _impossible(
                f"{taken:,} bytes and {confirmed:,} announcements as taken, of {put:,} and {self.announced:,}"
            )
        self._taken, self._stop = taken, confirmed + WINDOW


class Incoming:
    """The end that reads.

    Args:
        memory: The ring; its length is a power of two.

    Attributes:
        position: Bytes put, ever, as far as is known.
        available: Bytes of them that can be taken.
        announcements: Where to read into what the writer says.
        owes: Whether the writer is to be told how much was taken, by `acknowledgement`.
    """

    __slots__ = (
        "_announced",
        "_confirmed",
        "_memory",
        "_said",
        "_sent",
        "_size",
        "_soon",
        "_start",
        "_taken",
        "announcements",
        "available",
        "owes",
        "position",
    )

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._size = len(memory)
        self._start = 0  # where in the ring the next byte is
        self.position = 0
        self._sent = 0  # of them, as far as announced through the pipe
        self._taken = 0  # of them, acknowledged to the writer
        self._soon = self._size // 2  # how many are to be taken until more is acknowledged
        self._announced = 0  # announcements received, ever
        self._confirmed = 0  # of them, acknowledged to the writer
        self.available = 0
        self.owes = False
        self.announcements = memoryview(bytearray(_SAID * _WORD))
        self._said = self.announcements.cast("Q")

    def announce(self, count: int) -> None:
        """Take what the writer sent; it may be known already.

        Args:
            count: Bytes that were read into `announcements`; at least 1.

        Raises:
            MalformedMessage: It says what cannot be (`SYM-T041`).
        """
        if count % _WORD:
            raise _impossible(f"an announcement of {count} bytes")
        words = count // _WORD
        position = self._said[words - 1]
        if not self._sent < position:
            raise _impossible(f"{position:,} bytes as put, after {self._sent:,}")
        self._sent = position
        if position > self.position:
            self.advance(position)
        self._announced += words
        if self._announced >= self._confirmed + WINDOW // 2:
            if self._announced > self._confirmed + WINDOW:
                raise _impossible(f"more than {WINDOW} announcements without waiting for an acknowledgement")
            self.owes = True

    def advance(self, position: int) -> None:
        """Take what the writer says that it has put.

        Args:
            position: Bytes, ever; other than `position` so far.

        Raises:
            MalformedMessage: That cannot be (`SYM-T041`).
        """
        if not self.position < position <= self._taken + self._size:
            raise _impossible(
                f"{position:,} bytes as put, after {self.position:,}, into a ring of {self._size:,} bytes "
                f"of which {self._taken:,} were acknowledged"
            )
        self.available += position - self.position
        self.position = position

    def take(self, into: memoryview) -> int:
        """Copy bytes out of the ring, at most to the end of its memory.

        Args:
            into: Where to copy them to.

        Returns:
            The count of bytes that were copied.
        """
        start = self._start
        count = self.available
        if count > len(into) or start + count > self._size:
            count = min(count, len(into), self._size - start)
        end = start + count
        into[:count] = self._memory[start:end]
        self._start = 0 if end == self._size else end
        self.available -= count
        if self.position - self.available >= self._soon:
            self.owes = True
        return count

    def acknowledgement(self) -> bytes:
        """What to tell the writer; from now on nothing is owed to it."""
        self.owes = False
        self._taken = self.position - self.available
        self._soon = self._taken + self._size // 2
        self._confirmed = self._announced
        return self._taken.to_bytes(_WORD, byteorder) + self._confirmed.to_bytes(_WORD, byteorder)


def _impossible(what: str) -> MalformedMessage:
    return MalformedMessage(
        f"the peer gives {what}",
        code="SYM-T041",
        hint="The process at the other end is broken or hostile; the connection to it is closed.",
    )
