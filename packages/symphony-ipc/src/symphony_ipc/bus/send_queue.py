"""What is published on its way to a neighbour: a bounded queue where the neighbour reads too slowly."""

from collections import Counter, deque
from contextlib import suppress
from typing import Final

from symphony_sdk.errors import PeerGone
from symphony_sdk.messages import message_type

from symphony_ipc.bus.messages import LOST, Lost
from symphony_ipc.bus.metrics import Counts
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import DATA_LIMIT, Buffer, encode
from symphony_ipc.payload import encode_payload

FRAMES_LIMIT: Final = 1024
"""Published messages that wait for a neighbour; beyond it the oldest are thrown away."""

BYTES_LIMIT: Final = 8 << 20
"""Bytes in them; the newest message may wait alone even if it is longer."""

_LOSSES_LIMIT: Final = 1024  # subscriptions, or topics on the way up, that losses are told apart by

Key = tuple[str, str]
"""What is subscribed to: a pattern and a queue group, which is empty where there is none."""


class SendQueue:
    """Sends published messages to one neighbour, and tells it what was thrown away before it sends what follows.

    Args:
        connection: Where the neighbour is.
        counts: Counts what was thrown away, too.

    Attributes:
        lost: Messages that were thrown away.
    """

    __slots__ = ("_bytes", "_connection", "_counts", "_limit", "_losses", "_waiting", "lost")

    def __init__(self, connection: Connection, counts: Counts) -> None:
        self.lost = 0
        self._counts = counts
        self._connection = connection
        self._limit = connection.session.max_frame
        self._waiting: deque[tuple[tuple[Buffer, ...], int, tuple[Key, ...]]] = deque()
        self._bytes = 0
        self._losses: Counter[Key] = Counter()
        connection.on_drained = self._drain

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, frame: tuple[Buffer, ...], keys: tuple[Key, ...]) -> None:
        """Send a message, or keep it while the neighbour does not read; goes nowhere where it has ended.

        Args:
            frame: The PUBLISH, encoded.
            keys: The subscriptions that miss it where it is thrown away.
        """
        if self._limit < DATA_LIMIT and sum(map(len, frame)) > self._limit:
            self._throw_away(keys)
            self._drain()
        elif self._waiting or self._connection.congested:
            self._keep(frame, keys)
        else:
            self._send(frame)

    def missed(self, keys: tuple[Key, ...], count: int) -> None:
        """Tell the neighbour that so many messages to its subscriptions were thrown away."""
        for key in keys:
            if key in self._losses or len(self._losses) < _LOSSES_LIMIT:
                self._losses[key] += count
        self._drain()

    def _keep(self, frame: tuple[Buffer, ...], keys: tuple[Key, ...]) -> None:
        size = sum(map(len, frame))
        self._waiting.append((frame, size, keys))
        self._bytes += size
        while len(self._waiting) > FRAMES_LIMIT or (self._bytes > BYTES_LIMIT and len(self._waiting) > 1):
            _, size, keys = self._waiting.popleft()
            self._bytes -= size
            self._throw_away(keys)

    def _throw_away(self, keys: tuple[Key, ...]) -> None:
        self.lost += 1
        self._counts.lost += 1
        for key in keys:
            if key in self._losses or len(self._losses) < _LOSSES_LIMIT:
                self._losses[key] += 1

    def _drain(self) -> None:
        connection = self._connection
        while not connection.congested:
            if self._losses:  # they are older than all that waits
                (pattern, group), count = self._losses.popitem()
                payload = encode_payload(Lost(pattern, group, count))
                self._send(encode(Envelope(Kind.PUBLISH, type=message_type(Lost), to=LOST, payload=payload)))
            elif self._waiting:
                frame, size, _ = self._waiting.popleft()
                self._bytes -= size
                self._send(frame)
            else:
                return

    def _send(self, frame: tuple[Buffer, ...]) -> None:
        with suppress(PeerGone):  # its end is about to be told, or has been
            self._connection.send(frame)
