"""Makes many frozen values at once: what a file of thousands of nodes needs to load in a moment."""

import gc
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def from_columns(kind: type[T], count: int, columns: Mapping[str, Iterable[Any]]) -> list[T]:
    """Instances of a frozen dataclass with slots, by the values of each of its fields.

    Its own `__init__` calls `object.__setattr__` for every field, which takes most of the time of loading a workflow.
    Here the loop over the instances runs in C.

    Args:
        kind: The dataclass; it has no `__post_init__`.
        count: How many.
        columns: The values of every field, in the order of the instances.
    """
    made = [object.__new__(kind) for _ in range(count)]
    for name, column in columns.items():
        deque(map(getattr(kind, name).__set__, made, column), maxlen=0)
    return made


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let the garbage collector rest: a tree that only grows holds nothing for it, and it would walk all of it."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
