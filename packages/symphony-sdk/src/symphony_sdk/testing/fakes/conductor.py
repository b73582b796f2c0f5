"""A conductor that says what it was told to say."""

from typing import Any

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import FailureAdvice, NodeCall, PlanAdvice


class FakeConductor:
    """Fake of ConductorPort.

    Args:
        plan: Its advice on every workflow.
        failure: Its advice on every failure.
    """

    def __init__(
        self, plan: PlanAdvice = PlanAdvice(), failure: FailureAdvice = FailureAdvice("fail")
    ) -> None:
        self._plan = plan
        self._failure = failure
        self.asked: list[dict[str, Any] | NodeCall] = []

    async def plan(self, workflow: dict[str, Any], executors: tuple[str, ...]) -> PlanAdvice:
        """The advice that it was made with."""
        self.asked.append(workflow)
        return self._plan

    async def on_failure(self, call: NodeCall, error: ErrorPayload) -> FailureAdvice:
        """The advice that it was made with."""
        self.asked.append(call)
        return self._failure
