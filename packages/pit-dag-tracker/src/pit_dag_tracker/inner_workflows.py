"""Workflows that run inside of a run: begins them, takes what they give, and gives up those that are late."""

from collections.abc import Callable, Mapping

from symphony_sdk.errors import ErrorPayload, RunError, SymphonyError
from symphony_sdk.events import NodeSkipped
from symphony_workflow.model import ONCE

from pit_dag_tracker.deadlines import Deadlines
from pit_dag_tracker.failures import inner_failure
from pit_dag_tracker.frontier import Frontier
from pit_dag_tracker.graph import Instance
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.routing import NULL
from pit_dag_tracker.wiring import Wiring, workflow_inputs


class _Inside:
    """A workflow that runs inside of the run; `error` says why it was given up."""

    __slots__ = ("attempt", "error", "work")

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.work = 0.0
        self.error: ErrorPayload | None = None


class InnerWorkflows:
    """The instances of one run that are under way; their nodes run like all others.

    Args:
        ledger: Where the run is.
        wiring: What each node is given.
        frontier: Which nodes may run.
        journal: Makes events happen.
        deadlines: Ends workflows that take too long.
        take: Takes what a workflow gave, for the node or item that it ran for: with the number of the attempt and
            the seconds that extensions worked in it.
        fail: Takes the error of one that failed, and whether another attempt may help.
        drop: Lets nothing of a node happen any more; its end is noted here.
        forget: Forgets what a node that has ended was given.
        wake: Lets the run go on.

    Attributes:
        under_way: The workflows, and what is known of each.
    """

    def __init__(
        self,
        ledger: Ledger,
        wiring: Wiring,
        frontier: Frontier,
        journal: Journal,
        deadlines: Deadlines,
        *,
        take: Callable[[int, int, int, dict[str, bytes], float], None],
        fail: Callable[[int, int, int, ErrorPayload, bool], None],
        drop: Callable[[int, str], None],
        forget: Callable[[int], None],
        wake: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._graph = ledger.graph
        self._wiring = wiring
        self._frontier = frontier
        self._journal = journal
        self._deadlines = deadlines
        self._take = take
        self._fail = fail
        self._drop = drop
        self._forget = forget
        self._wake = wake
        self.under_way: dict[Instance, _Inside] = {}

    def enter(self, number: int, item: int, inputs: Mapping[str, bytes], attempt: int) -> None:
        """Run the workflow that a node runs, or go on with it.

        Args:
            number: The node.
            item: The index of the item or iteration; -1 where there is only one.
            inputs: Encoded values of the workflow's inputs by name.
            attempt: Number of the attempt.
        """
        try:
            instance = self._graph.instance(number, item)
            given = workflow_inputs(instance.workflow, inputs)
        except SymphonyError as error:
            self._fail(number, item, attempt, error.payload(), False)
            return
        self._ledger.grow()
        self._wiring.wire(instance, given)
        self.under_way[instance] = _Inside(attempt)
        timeout = getattr(self._graph.nodes[number], "timeout", None)
        if timeout is not None:
            self._deadlines.set(instance, timeout, lambda: self._late(instance, timeout))
        self._frontier.open(instance, keep=self._tried_again(number))
        self._wake()

    def leave(self, instance: Instance) -> None:
        """Take what a workflow gave all of whose nodes have ended.

        Args:
            instance: The workflow; nothing happens where it was given up, or some of it runs again.
        """
        inside = self.under_way.get(instance)
        if inside is None or self._frontier.left[instance]:
            return
        del self.under_way[instance], self._frontier.left[instance]
        self._deadlines.clear(instance)
        owner, item = instance.owner, instance.item
        error = inside.error or inner_failure(self._ledger, instance)
        if error is not None:
            if not self._tried_again(owner):
                self._frontier.close(instance)
            self._fail(owner, item, inside.attempt, error, inside.error is None)
            return
        outputs = self._frontier.close(instance)
        if item >= 0:  # items all look alike
            outputs = {output.name: NULL for output in instance.workflow.outputs} | outputs
        self._take(owner, item, inside.attempt, outputs, inside.work)

    def worked(self, number: int, seconds: float) -> None:
        """Count the work of a node to the workflow that it belongs to.

        Args:
            number: The node.
            seconds: How long the extension's own code ran.
        """
        inside = self.under_way.get(self._graph.of[number])
        if inside is not None:
            inside.work += seconds

    def break_off(self, owner: int, only: Instance | None = None) -> None:
        """Skip what is left of the workflows that a node runs, one of which has failed; they end with that.

        Args:
            owner: The node.
            only: The one of them that is meant; all where None.
        """
        for instance in self._graph.inner(owner) if only is None else (only,):
            if instance in self.under_way and self._frontier.left[instance]:
                self._abandon(instance, "another node failed, and the run fails with the first")
                self._frontier.ended.append(instance)
        self._wake()

    def give_up(self, owner: int, why: str) -> None:
        """Skip all that is left of the workflows that a node runs; its own end is noted by whoever asks for that.

        Args:
            owner: The node.
            why: The reason that the skipped nodes give.
        """
        for instance in self._graph.inner(owner):
            if self.under_way.pop(instance, None) is not None:
                self._abandon(instance, why)
                del self._frontier.left[instance]

    def _tried_again(self, number: int) -> bool:
        """Whether a workflow that a node runs may be begun again where it failed."""
        return getattr(self._graph.nodes[number], "retry", ONCE).attempts > 1

    def _abandon(self, instance: Instance, why: str) -> None:
        """Skip all that is left of a workflow."""
        self._deadlines.clear(instance)
        for number in instance.numbers:
            if not self._ledger.over(number):
                self._drop(number, why)
                name = self._graph.nodes[number].id
                self._journal.emit(NodeSkipped(**self._journal.head(), node=name, reason=why))
                self._forget(number)
        self._frontier.left[instance] = 0

    def _late(self, instance: Instance, timeout: float) -> None:
        """A workflow had time enough to end."""
        node = self._graph.nodes[instance.owner].id
        error = RunError(
            f"{instance.name.removesuffix('/')!r} took longer than its {timeout:g} s",
            code="SYM-R084",
            hint=f"Raise the `timeout` of {node!r}, or let the workflow that it runs do less.",
            details={"node": node},
        ).payload()
        self.under_way[instance].error = error
        self._abandon(instance, error.message)
        self._frontier.ended.append(instance)
        self._wake()
