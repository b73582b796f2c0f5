"""Nodes that wait for a person: asks, takes the answer, and gives up waiting where nobody answers in time."""

import time
from collections.abc import Callable, Mapping

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import NodeWaiting
from symphony_sdk.values import encode
from symphony_workflow.model import ApprovalNode

from pit_dag_tracker.deadlines import Deadlines
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.routing import NULL


class Approvals:
    """The approval nodes of one run that are under way.

    Args:
        run: Id of the run.
        ledger: Where the run is; knows the answers.
        journal: Makes events happen.
        deadlines: Ends waits in vain.
        given: What each node that may run is given.
        take: Takes the outputs of a node that was answered.
        fail: Takes the error of a node that was not.
        wake: Lets the run go on.
    """

    def __init__(
        self,
        run: str,
        ledger: Ledger,
        journal: Journal,
        deadlines: Deadlines,
        given: Mapping[int, dict[str, bytes]],
        *,
        take: Callable[[int, dict[str, bytes]], None],
        fail: Callable[[int, ErrorPayload], None],
        wake: Callable[[], None],
    ) -> None:
        self._run = run
        self._ledger = ledger
        self._journal = journal
        self._deadlines = deadlines
        self._given = given
        self._take = take
        self._fail = fail
        self._wake = wake

    def ask(self, number: int, node: ApprovalNode) -> None:
        """Let a node that has started wait for its answer, or go on with the one that was given before.

        Args:
            number: Its number.
            node: The node.
        """
        if number in self._ledger.answers:  # given while the run was paused
            self.answered(number)
            return
        until = self._ledger.deadlines.get(number, 0.0)
        if node.timeout is not None and not until:
            until = time.time() + node.timeout
        self._journal.emit(
            NodeWaiting(
                **self._journal.head(),
                node=node.id,
                prompt=node.prompt,
                approvers=node.approvers,
                until=until,
            )
        )
        if until:
            self._deadlines.set(number, until - time.time(), lambda: self._not_answered(number, node))

    def answered(self, number: int) -> None:
        """Let a node go on whose answer the ledger knows.

        Args:
            number: The node.
        """
        self._deadlines.clear(number)
        answer = self._ledger.answers[number]
        approved = answer.command == "approve"
        facts = {"approved": approved, "by": answer.actor, "comment": answer.comment, "at": answer.at}
        value = self._given[number].get("value", NULL)
        self._take(number, {"approved" if approved else "rejected": value, "answer": encode(facts)})

    def _not_answered(self, number: int, node: ApprovalNode) -> None:
        """A person had time enough to answer."""
        late = f"nobody answered within {node.timeout:g} s"
        if node.on_timeout == "fail":
            error = RunError(
                f"node {node.id!r} waited for an answer in vain: {late}",
                code="SYM-R085",
                hint=f"`symphony runs retry {self._run} {node.id}` asks again.",
                details={"node": node.id},
            )
            self._fail(number, error.payload())
        else:
            self._journal.steer(node.on_timeout, "", node.id, late)
            self.answered(number)
        self._wake()
