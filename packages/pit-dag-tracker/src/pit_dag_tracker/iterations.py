"""A loop node while it runs: which iteration is next, what it is given, and whether it is the last; see `FanOut`."""

from collections.abc import Mapping

from symphony_sdk.errors import ErrorPayload, RunError, SymphonyError
from symphony_sdk.values import encode
from symphony_workflow.model import LoopNode

from pit_dag_tracker.wiring import test


class Iterations:
    """The iterations of one loop node that is under way; an iteration is its index, counted from 0.

    Args:
        node: The loop node.
        inputs: What the node is given: encoded values by port name.
        done: The outputs of the iterations that are done, by index.
        attempt: Number of the next attempt at any iteration.
    """

    def __init__(
        self,
        node: LoopNode,
        inputs: Mapping[str, bytes],
        *,
        done: Mapping[int, dict[str, bytes]],
        attempt: int,
    ) -> None:
        self.attempt = attempt
        self.active = 0
        self.work = 0.0
        self.received = 0
        self.memory = 0
        self.failure: tuple[int, ErrorPayload] | None = None
        self.over = False
        self._node = node
        self._inputs = inputs
        self._count = 0
        self._last: dict[str, bytes] = {}
        while not self.over and self.failure is None and self._count in done:
            self._take(done[self._count])

    def __len__(self) -> int:
        return self._node.max_iterations

    def next(self) -> int | None:
        """The next iteration, once it may run; None where there is none."""
        if self.active or self.over or self.failure:
            return None
        self.active = 1
        return self._count

    def drop(self) -> None:
        """Give up the iteration that was about to run."""
        self.active = 0

    def inputs(self, item: int) -> dict[str, bytes]:
        """What an iteration is given.

        Args:
            item: Its index: that of the next.
        """
        given = dict(self._inputs)
        if item:
            carried = self._node.carry.items()
            given.update((port, self._last[output]) for port, output in carried if output in self._last)
        return given

    def complete(self, item: int, outputs: dict[str, bytes], seconds: float) -> None:
        """Take what an iteration gave.

        Args:
            item: Its index.
            outputs: Encoded values by port name.
            seconds: How long the extension's own code ran.
        """
        self.active = 0
        self.work += seconds
        self._take(outputs)

    def fail(self, item: int, error: ErrorPayload) -> bool:
        """Take the failure of an iteration; the loop never goes on after one.

        Args:
            item: Its index.
            error: Why it failed.
        """
        self.active = 0
        self.failure = (item, error)
        return False

    def outputs(self) -> dict[str, bytes]:
        """The outputs of the node, once the last iteration is done."""
        return self._last | {"iterations": encode(self._count)}

    def _take(self, outputs: dict[str, bytes]) -> None:
        node = self._node
        item, self._last = self._count, outputs
        self._count += 1
        try:
            self.over = test(node.until, outputs | {"iteration": encode(self._count)}, node.id)
            if self.over or self._count < node.max_iterations:
                return
            if node.on_limit == "fail":
                raise RunError(
                    f"loop {node.id!r} reached its bound of {node.max_iterations:,} iterations before "
                    f"`{node.until}` held",
                    code="SYM-R083",
                    hint='Raise `max_iterations`, or let it complete with what it has: `on_limit = "complete"`.',
                    details={"node": node.id, "iterations": self._count},
                )
            self.over = True
        except SymphonyError as error:
            self.failure = (item, error.payload())
