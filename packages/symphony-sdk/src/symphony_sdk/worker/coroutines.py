"""One event loop on a thread of its own, for the coroutines of an extension."""

import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

    from symphony_sdk.worker.calls import RunningCall


class Coroutines(Protocol):
    """Where coroutines run."""

    def start(
        self,
        call: "RunningCall",
        coroutine: Coroutine[Any, Any, Any],
        ended: "Callable[[asyncio.Task[Any]], None]",
    ) -> Callable[[], object]:
        """Run a coroutine.

        Args:
            call: What it belongs to.
            coroutine: The coroutine.
            ended: Takes its task when it has ended, on the event loop.

        Returns:
            Cancels it; may be called from any thread.
        """


class CoroutineThread:
    """An event loop that is started with the first coroutine; adapter of `Coroutines`.

    Args:
        flush: Called on the event loop when coroutines have ended, once for those that ended together.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._flushing = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(
        self,
        call: "RunningCall",
        coroutine: Coroutine[Any, Any, Any],
        ended: "Callable[[asyncio.Task[Any]], None]",
    ) -> Callable[[], object]:
        """Run a coroutine; see [Coroutines.start][symphony_sdk.worker.coroutines.Coroutines.start]."""
        import asyncio  # costs a worker 40 ms that only extensions with coroutines need

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True).start()
        loop = self._loop
        tasks: list[asyncio.Task[Any]] = []

        def begin() -> None:
            task = loop.create_task(coroutine)
            tasks.append(task)
            task.add_done_callback(ended)
            task.add_done_callback(self._ended)

        loop.call_soon_threadsafe(begin)
        return lambda: loop.call_soon_threadsafe(lambda: tasks[0].cancel())

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not self._flushing:
            self._flushing = True
            task.get_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        self._flushing = False
        self._flush()
