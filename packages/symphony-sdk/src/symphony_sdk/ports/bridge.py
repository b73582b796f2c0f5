"""BridgePort: how code on threads and code on the event loop call each other in one process."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple, overload

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class BridgePort(Protocol):
    """Belongs to one event loop, and carries values, errors and context variables over as they are.

    What may be called from any thread, such as the Artifact Store of the Pit, needs no bridge: call it directly.
    """

    @overload
    def call(
        self,
        function: Callable[[*Arguments], Coroutine[Any, Any, Result]],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Result: ...

    @overload
    def call(
        self,
        function: Callable[[*Arguments], Result],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Result: ...

    def call(
        self,
        function: Callable[[*Arguments], Any],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Any:
        """From a thread: call a function or a coroutine function on the event loop, and wait for its result.

        Args:
            function: What to call.
            args: Its arguments.
            timeout: Seconds; None for no bound. A coroutine that is late is cancelled.

        Raises:
            BaseException: The very exception that it raised, with the frames of both sides.
            DeadlineExceeded: `timeout` passed.
            TransportError: SYM-T060, this thread is the event loop's own; SYM-T061, the event loop does not run or
                ended; SYM-T062, the work was cancelled there.
        """

    def batch(self, calls: Sequence[Callable[[], Any]], *, timeout: float | None = None) -> list[Any]:
        """From a thread: make many calls with one hop; their results in order.

        All are begun in order, and the coroutines among them run at once.

        Args:
            calls: Functions and coroutine functions without arguments.
            timeout: Seconds for all of them; None for no bound.

        Raises:
            BaseException: What the first of them raised; those under way are cancelled, the rest is not begun.
            SymphonyError: As for `call`.
        """

    def facade(self, port: Any, *, on_loop: bool = False) -> Any:
        """A port as code on threads uses it: with its methods, none of which is a coroutine.

        Coroutine methods wait for their result. Async iterators become iterators, async context managers
        become context managers. Plain methods are called where they are, without a hop.

        Args:
            port: The port.
            on_loop: Whether plain methods belong to the event loop too, as those of the bus do.
        """

    async def in_thread(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """From the event loop: call a function on a thread, where it may wait and may use this bridge.

        Where the awaiting task is cancelled, so is what the function waits for by way of the bridge, or the next
        thing that it waits for; after that it may clean up.

        Args:
            function: What to call.
            args: Its arguments.

        Raises:
            BaseException: What it raised.
            TransportError: SYM-T061, the bridge is closed; SYM-T063, this is another event loop.
        """
