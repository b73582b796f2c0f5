"""The errors of a run, and of a workflow inside of one, whose nodes failed: they name the first few of them."""

from collections.abc import Sequence

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_workflow.state import NodeState

from pit_dag_tracker.graph import Instance
from pit_dag_tracker.ledger import Ledger

SHOWN = 5
"""Failed nodes that an error names; its details hold all."""


def run_failure(run: str, ledger: Ledger) -> ErrorPayload | None:
    """Why a run failed; None where no node of it did.

    Args:
        run: Id of the run.
        ledger: Where the run is.
    """
    failed = _failed(ledger, ledger.graph.top)
    if not failed:
        return None
    return RunError(
        _message(ledger, ledger.graph.top, failed),
        hint=f"Mend the cause, then `symphony resume {run}`: what has completed is kept.",
        details={"nodes": _names(ledger, failed)},
    ).payload()


def run_late(run: str, timeout: float) -> ErrorPayload:
    """Why a run failed that took too long.

    Args:
        run: Id of the run.
        timeout: Seconds that it had.
    """
    return RunError(
        f"run {run!r} took longer than its {timeout:g} s",
        code="SYM-R091",
        hint=f"`symphony resume {run}` gives it as much time again; what has completed is kept.",
    ).payload()


def lost_too_often(node: str, places: Sequence[str], error: ErrorPayload) -> ErrorPayload:
    """Why a node failed each attempt at which was lost with the place where it was made.

    Args:
        node: Id of the node.
        places: Those places; empty for one without a name.
        error: What was reported of the last of them.
    """
    named = ", ".join(place or "a place without a name" for place in places)
    return RunError(
        f"node {node!r} was lost {len(places)} times in a row, with {named}; at last: {error.message}",
        code="SYM-R088",
        hint="Often it is the node itself that ends the place where it runs: see how much memory it takes.",
        details={"node": node, "places": list(places)},
    ).payload()


def inner_failure(ledger: Ledger, instance: Instance) -> ErrorPayload | None:
    """Why a workflow inside of a run failed; None where no node of it did.

    Args:
        ledger: Where the run is.
        instance: The workflow.
    """
    failed = _failed(ledger, instance)
    if not failed:
        return None
    return RunError(
        _message(ledger, instance, failed),
        code="SYM-R087",
        hint="Mend the cause, then resume the run: what has completed is kept.",
        details={"nodes": _names(ledger, failed)},
    ).payload()


def _failed(ledger: Ledger, instance: Instance) -> list[int]:
    if NodeState.FAILED not in ledger.state:
        return []
    return [number for number in instance.order if ledger.state[number] is NodeState.FAILED]


def _names(ledger: Ledger, numbers: Sequence[int]) -> list[str]:
    return [ledger.graph.nodes[number].id for number in numbers]


def _message(ledger: Ledger, instance: Instance, failed: Sequence[int]) -> str:
    names = _names(ledger, failed)
    some = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    first = ledger.error[failed[0]].message
    return f"{len(names)} of {len(instance.workflow.names)} nodes failed: {some}; {names[0]!r}: {first}"
