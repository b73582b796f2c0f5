"""Sees that a run can be run as it is asked for: by its policy, and by an executor that can run every node of it."""

from collections.abc import Iterable, Mapping

from symphony_sdk.errors import RunError
from symphony_sdk.ports.executor import ExecutorPort, Resources
from symphony_sdk.ports.pit import RunPolicy
from symphony_workflow.model import Node

from pit_dag_tracker.resources import NOTHING_SPECIAL, described, needs


def check_policy(policy: RunPolicy) -> None:
    """See that a policy can be obeyed.

    Args:
        policy: How a run is to be run.

    Raises:
        RunError: It cannot.
    """
    faults = []
    if policy.timeout is not None and not policy.timeout > 0:
        faults.append(f"the timeout is {policy.timeout:g} s; give more than 0, or none")
    if policy.concurrency < 0:
        faults.append(f"the concurrency is {policy.concurrency}; give at least 1, or 0 for no bound")
    if not 0 < policy.weight < float("inf"):
        faults.append(f"the weight is {policy.weight:g}; give more than 0")
    if faults:
        raise RunError(
            f"no run can be run like this: {'; '.join(faults)}",
            code="SYM-R092",
            hint="Correct the policy of the run and start it again.",
        )


async def placed(executors: Mapping[str, ExecutorPort], name: str, nodes: Iterable[Node]) -> ExecutorPort:
    """The executor of a run, ready for calls.

    Args:
        executors: All executors by name.
        name: Name of the one that the run asks for.
        nodes: What it is to run.

    Raises:
        RunError: There is no such executor, it cannot be started, or it could never run one of the nodes.
    """
    if name not in executors:
        raise RunError(
            f"there is no executor {name!r}; there are {', '.join(sorted(executors)) or 'none'}",
            code="SYM-R004",
            hint="Choose one of these, or install the extension that brings it.",
        )
    executor = executors[name]
    await executor.start()
    if not executor.can_place(Resources()):
        raise RunError(
            f"executor {name!r} can run no node",
            code="SYM-R004",
            hint="See its settings: it may have no machines.",
        )
    for node in nodes:
        resources = needs(node)
        if resources is not NOTHING_SPECIAL and not executor.can_place(resources):
            raise RunError(
                f"executor {name!r} can never run node {node.id!r}, which needs {described(resources)}",
                code="SYM-R081",
                hint="Lower its `resources`, or choose an executor that has as much.",
                details={"node": node.id, "executor": name},
            )
    return executor
