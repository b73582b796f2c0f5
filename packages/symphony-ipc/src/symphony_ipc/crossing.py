"""One call on its way from a thread to an event loop and back."""

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

if sys.version_info >= (3, 12):

    def begin(coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """A task that has made its first step: most calls need no second, nor another turn of the loop."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)

else:

    def begin(coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """A task that makes its first step with the next turn of the loop."""
        return asyncio.get_running_loop().create_task(coroutine)


class Crossing:
    """A call that a thread waits for while the event loop makes it.

    Args:
        function: What is called.
        args: Its arguments.

    Attributes:
        result: What it gave.
        error: What it raised.
        given_up: Whether nobody waits for it any more.
        task: The task that it runs in; None where it needs none.
        cancels: How often that task was cancelled for this call's sake.
    """

    __slots__ = (
        "_awaited",
        "_done",
        "args",
        "cancels",
        "ended",
        "error",
        "function",
        "given_up",
        "result",
        "task",
    )

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...] = ()) -> None:
        self.function = function
        self.args = args
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self.given_up = False
        self.cancels = 0
        self.task: asyncio.Task[None] | None = None
        self._awaited: Any = None
        self._done = threading.Lock()  # the cheapest thing there is that wakes a thread
        self._done.acquire()

    def wait(self, seconds: float) -> bool:
        """On the thread: whether it ended within some seconds."""
        return self._done.acquire(timeout=seconds)

    def run(self) -> None:
        """On the event loop: make the call; where it gives something to await, in a task of its own."""
        if self.given_up:
            return
        try:
            result = self.function(*self.args)
            if isinstance(result, Awaitable):
                self._awaited = result
                self.task = begin(self.finish(result))
                self.task.add_done_callback(self._left)
                return
        except (KeyboardInterrupt, SystemExit) as error:
            self.end(None, error)
            raise  # these end the event loop as well, as they do from any of its callbacks
        except BaseException as error:  # noqa: BLE001 - the thread raises it
            self.end(None, error)
        else:
            self.end(result, None)

    async def finish(self, awaited: Awaitable[Any]) -> None:
        """In a task on the event loop: await what the call gave, and end with that.

        Args:
            awaited: What it gave.
        """
        try:
            result = await awaited
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError) as error:
            self.end(None, error)
            raise
        except BaseException as error:  # noqa: BLE001 - the thread raises it
            self.end(None, error)
        else:
            self.end(result, None)

    def cancel(self) -> None:
        """On the event loop: stop what is under way."""
        if self.task is not None and not self.ended:
            self.task.cancel()
            self.cancels += 1

    def abandon(self, error: BaseException) -> None:
        """On the event loop: stop it, and let the thread go at once.

        Args:
            error: What the thread raises.
        """
        self.cancel()
        self.end(None, error)
        self.given_up = True

    def end(self, result: Any, error: BaseException | None) -> None:
        """On the event loop: let the thread go; where it has gone already, tell the loop of an error.

        Args:
            result: What the thread is to return.
            error: What it is to raise instead.
        """
        if self.given_up and error is not None and not isinstance(error, asyncio.CancelledError):
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a call from a thread failed after the thread gave it up", "exception": error}
            )
        if not self.ended:
            self.ended = True
            self.result, self.error = result, error
            self._done.release()

    def _left(self, task: asyncio.Task[None]) -> None:
        """The task is over; where it was cancelled before its first step, nothing of it has run."""
        if not self.ended and task.cancelled():
            if inspect.iscoroutine(self._awaited):
                self._awaited.close()
            self.end(None, asyncio.CancelledError())
