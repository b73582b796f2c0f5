"""An endpoint's registration, to be left when it shall be asked no more."""

from collections.abc import Awaitable, Callable


class Registration:
    """Takes an endpoint away when its context is left.

    Args:
        end: Does so.
    """

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self._end: Callable[[], Awaitable[None]] | None = end

    async def __aenter__(self) -> "Registration":
        return self

    async def __aexit__(self, *reason: object) -> None:
        end, self._end = self._end, None
        if end is not None:
            await end()
