"""ConductorPort: advice on how to run a workflow and what to do when a node fails."""

from typing import Any, Literal, Protocol

import msgspec

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports.executor import NodeCall


class PlanAdvice(msgspec.Struct, frozen=True):
    """How a workflow is to be run.

    Args:
        executor: Name of the executor; empty for the one that the user named.
        prewarm: Ids of the instruments that are needed first, the most urgent first.
        reason: Why, for the run's history.
    """

    executor: str = ""
    prewarm: tuple[str, ...] = ()
    reason: str = ""


class FailureAdvice(msgspec.Struct, frozen=True):
    """What to do about a call that failed.

    Args:
        action: `retry`, `fail` or `skip`.
        delay: Seconds to wait before a retry.
        reason: Why, for the run's history.
    """

    action: Literal["retry", "fail", "skip"]
    delay: float = 0.0
    reason: str = ""


class ConductorPort(Protocol):
    """Advises; it never runs a node itself. An error of it is logged, and the run goes on without advice."""

    async def plan(self, workflow: dict[str, Any], executors: tuple[str, ...]) -> PlanAdvice:
        """How to run a workflow.

        Args:
            workflow: The workflow as its JSON document.
            executors: Names of the executors that there are.
        """

    async def on_failure(self, call: NodeCall, error: ErrorPayload) -> FailureAdvice:
        """What to do about a call that failed and has no attempt left.

        Args:
            call: The call.
            error: Why it failed.
        """


class BlockingConductorPort(Protocol):
    """A conductor whose methods are plain functions: each call runs on a thread of its own, where it may wait.

    It calls the Artifact Store directly, and what is asynchronous by way of the services' bridge.
    """

    def plan(self, workflow: dict[str, Any], executors: tuple[str, ...]) -> PlanAdvice:
        """How to run a workflow.

        Args:
            workflow: The workflow as its JSON document.
            executors: Names of the executors that there are.
        """

    def on_failure(self, call: NodeCall, error: ErrorPayload) -> FailureAdvice:
        """What to do about a call that failed and has no attempt left.

        Args:
            call: The call.
            error: Why it failed.
        """
