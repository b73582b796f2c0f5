"""Work that joblib shares out to processes of its own, each a new interpreter; to none, where it may start none."""

import os

import joblib
from symphony_sdk import Context, operator, provides_operators


def _square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


@operator("acme.joblib.work")
def work(ctx: Context) -> dict[str, str]:
    """Square numbers with two jobs, and tell in which processes that was done."""
    squares, pids = zip(*joblib.Parallel(n_jobs=2)(map(joblib.delayed(_square), range(20))), strict=True)
    return {"squares": str(squares), "processes": "its own" if set(pids) == {os.getpid()} else "others"}


@provides_operators
def symphony_operators():
    yield work
