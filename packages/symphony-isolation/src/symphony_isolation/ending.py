"""Sees to the end what must not be left half done: the end of a process, for one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


async def see_through(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Await something to its end, also where the waiting task is cancelled meanwhile, however often.

    Args:
        work: What to await; in a task of its own, which nobody else can cancel.

    Raises:
        asyncio.CancelledError: The waiting task was cancelled; raised when the work is done.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is not None:
            raise cancelled from task.exception()
        raise cancelled
    return task.result()
