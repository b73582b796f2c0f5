"""The states of a run and of a node in it, and which may follow which, as data."""

from enum import StrEnum
from typing import Any, TypeVar

from symphony_sdk.errors import WorkflowError


class RunState(StrEnum):
    """Where a run is. A failed or cancelled run may run on: what has succeeded is kept.

    Waiting: nothing can go on until a person answers.
    """

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeState(StrEnum):
    """Where a node of a run is.

    Pending: its sources are not all over. Ready: it may run. Running: an attempt is under way. Paused: a person holds
    it. Waiting: it waits for something outside, such as an approval or a lease. Retrying: an attempt failed and the
    next one is due later.
    """

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


_R = RunState
RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _R.PENDING: frozenset({_R.RUNNING, _R.PAUSED, _R.FAILED, _R.CANCELLED}),
    _R.RUNNING: frozenset({_R.PAUSED, _R.WAITING, _R.COMPLETED, _R.FAILED, _R.CANCELLED}),
    _R.PAUSED: frozenset({_R.RUNNING, _R.FAILED, _R.CANCELLED}),
    _R.WAITING: frozenset({_R.RUNNING, _R.PAUSED, _R.FAILED, _R.CANCELLED}),
    _R.COMPLETED: frozenset({_R.RUNNING}),  # run again from a node
    _R.FAILED: frozenset({_R.RUNNING}),  # resume
    _R.CANCELLED: frozenset({_R.RUNNING}),  # resume
}

_N = NodeState
NODE_TRANSITIONS: dict[NodeState, frozenset[NodeState]] = {
    _N.PENDING: frozenset({_N.READY, _N.PAUSED, _N.SKIPPED, _N.CANCELLED}),
    # ready -> completed: the result of an unchanged node is taken from the store
    _N.READY: frozenset(
        {_N.PENDING, _N.RUNNING, _N.PAUSED, _N.WAITING, _N.COMPLETED, _N.FAILED, _N.SKIPPED, _N.CANCELLED}
    ),
    # running -> ready: the worker or the host died, and the attempt with it
    _N.RUNNING: frozenset(
        {_N.READY, _N.PAUSED, _N.WAITING, _N.RETRYING, _N.COMPLETED, _N.FAILED, _N.SKIPPED, _N.CANCELLED}
    ),
    _N.PAUSED: frozenset({_N.PENDING, _N.READY, _N.RUNNING, _N.FAILED, _N.SKIPPED, _N.CANCELLED}),
    _N.WAITING: frozenset(
        {_N.READY, _N.RUNNING, _N.PAUSED, _N.COMPLETED, _N.FAILED, _N.SKIPPED, _N.CANCELLED}
    ),
    _N.RETRYING: frozenset({_N.READY, _N.PAUSED, _N.FAILED, _N.SKIPPED, _N.CANCELLED}),
    # the four ends lead back to pending: resume, retry and run again from a node
    _N.COMPLETED: frozenset({_N.PENDING}),
    _N.FAILED: frozenset({_N.PENDING}),
    _N.SKIPPED: frozenset({_N.PENDING}),
    _N.CANCELLED: frozenset({_N.PENDING}),
}

RUN_ENDS = frozenset({_R.COMPLETED, _R.FAILED, _R.CANCELLED})
NODE_ENDS = frozenset({_N.COMPLETED, _N.FAILED, _N.SKIPPED, _N.CANCELLED})

_TRANSITIONS: dict[type, dict[Any, frozenset[Any]]] = {RunState: RUN_TRANSITIONS, NodeState: NODE_TRANSITIONS}

S = TypeVar("S", RunState, NodeState)


def advance(state: S, to: S) -> S:
    """The state `to`, if it may follow `state`.

    Args:
        state: The present state of a run or node.
        to: The state that it shall take.

    Raises:
        WorkflowError: `to` may not follow `state`.
    """
    allowed = _TRANSITIONS[type(state)][state]
    if to not in allowed:
        subject = "run" if isinstance(state, RunState) else "node"
        raise WorkflowError(
            f"a {subject} that is {state} cannot become {to}",
            code="SYM-W040",
            hint=f"From {state} it can become {', '.join(sorted(allowed))}.",
            details={"state": str(state), "to": str(to)},
        )
    return to
