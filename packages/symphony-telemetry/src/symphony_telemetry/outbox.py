"""Sends things in batches from a thread of its own; who puts them in waits for a while at most, and never for long."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

LIMIT = 4096
"""Things that wait to be sent."""

BATCH = 512
"""Things that are sent at once."""

PATIENCE = 5.0
"""Seconds that whoever puts things in waits altogether for one that are sent, and that the last ones are waited for."""


class Outbox(Generic[T]):
    """Things on their way to a receiver that may be slow or gone.

    Args:
        send: Sends some; False where they did not arrive. It may take long, and is called by one thread.
        patience: Seconds to wait for room in the outbox while the receiver takes anything, and for its end.
    """

    def __init__(self, send: Callable[[list[T]], bool], *, patience: float = PATIENCE) -> None:
        self._send = send
        self._patience = patience
        self._queue: queue.Queue[T | None] = queue.Queue(LIMIT)
        self._lock = threading.Lock()
        self._dropped = 0
        self._arriving = True
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="symphony-outbox", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many things did not arrive."""
        return self._dropped

    def put(self, thing: T) -> None:
        """Send a thing, or drop it where there is no room for too long.

        Args:
            thing: What to send.
        """
        try:
            if self._arriving:
                self._queue.put(thing, timeout=self._patience)
            else:
                self._queue.put_nowait(thing)
        except queue.Full:
            self._arriving = False  # nobody waits again until something arrives
            self._drop(1)

    def close(self) -> None:
        """Send what is left, as far as there is time."""
        ends = time.monotonic() + self._patience
        self._stopping = True
        with contextlib.suppress(
            queue.Full
        ):  # whoever sends sees that it is over when its batch has been sent
            self._queue.put(None, timeout=self._patience)
        self._thread.join(max(0.0, ends - time.monotonic()))
        with contextlib.suppress(queue.Empty):
            while True:
                self._drop(self._queue.get_nowait() is not None)
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)  # for a thread that is still at its last batch

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < BATCH and not last:
                try:
                    thing = self._queue.get_nowait()
                except queue.Empty:
                    break
                if thing is None:
                    last = True
                else:
                    batch.append(thing)
            self._arriving = self._send(batch)
            if not self._arriving:
                self._drop(len(batch))
            if last or (self._stopping and not self._arriving):
                return

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count
