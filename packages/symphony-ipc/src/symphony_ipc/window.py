"""The flow-control window: how much one end may ask for before the other has answered."""

from typing import Final

WINDOW_REQUESTS: Final = 1024
"""Requests of one end that may be without their final answer. Part of the protocol."""

WINDOW_BYTES: Final = 64 << 20
"""Bytes of payload in them. Part of the protocol."""


class Window:
    """Counts requests and their bytes from when they are sent until they are answered.

    The asking end waits while the window is full; the answering end closes the connection of a peer that
    does not. So the memory that a connection takes is bounded without a refusal that anyone has to handle.
    """

    def __init__(self) -> None:
        self._requests = 0
        self._bytes = 0

    def take(self, size: int) -> bool:
        """Count one more request, of `size` bytes; False, and not counted, where the window is too full for it."""
        if self._requests >= WINDOW_REQUESTS or self._bytes + size > WINDOW_BYTES:
            return False
        self._requests += 1
        self._bytes += size
        return True

    def release(self, size: int) -> None:
        """Count a request of `size` bytes no longer: it has its final answer."""
        self._requests -= 1
        self._bytes -= size
