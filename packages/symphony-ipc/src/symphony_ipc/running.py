"""Runs a program that talks: on the faster event loop where there is one."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where it is installed (`symphony-ipc[uvloop]`), else on asyncio's own loop.

    Args:
        main: The program.
    """
    runner: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run
    if find_spec("uvloop") is not None:
        runner = import_module("uvloop").run
    return runner(main)
