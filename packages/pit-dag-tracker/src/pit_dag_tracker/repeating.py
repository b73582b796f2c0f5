"""Map and loop nodes that are under way: begins them, says which item is next, and ends them."""

from collections.abc import Callable, Mapping

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import NodeFailed, NodeStarted
from symphony_workflow.model import LoopNode, MapNode, Node

from pit_dag_tracker.fan_out import FanOut
from pit_dag_tracker.iterations import Iterations
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.recovery import Remains

Fan = FanOut | Iterations


class Repeating:
    """The map and loop nodes of one run.

    Args:
        nodes: The nodes of the run.
        journal: Makes events happen.
        remains: The items that were done before.
        most: How many items of a node can be out at once.
        push: Lets an item of a node wait for its turn.
        take: Takes the outputs of a node whose items have ended: with the number of the attempt, the seconds that
            extensions worked for it, and the bytes of the highest memory.
        fail: Takes the error of a node that cannot begin, and the number of the attempt.
        settle: Called when a node has failed with one of its items.
    """

    def __init__(
        self,
        nodes: Mapping[int, Node],
        journal: Journal,
        remains: Remains,
        *,
        most: int,
        push: Callable[[int, int], None],
        take: Callable[[int, int, dict[str, bytes], float, int], None],
        fail: Callable[[int, int, ErrorPayload], None],
        settle: Callable[[int], None],
    ) -> None:
        self._nodes = nodes
        self._journal = journal
        self._items = remains.items
        self._item_errors = remains.item_errors
        self._most = most
        self._push = push
        self._take = take
        self._fail = fail
        self._settle = settle
        self._fans: dict[int, Fan] = {}
        self._failed_at: dict[int, str] = {}

    def begin(self, number: int, node: MapNode | LoopNode, given: Mapping[str, bytes], attempt: int) -> None:
        """Begin a node with its first items.

        Args:
            number: Its number.
            node: The node.
            given: What it is given.
            attempt: Number of the attempt.
        """
        head = self._journal.head()
        done, failed = self._items.pop(number, {}), self._item_errors.pop(number, {})
        fan: Fan
        try:
            if isinstance(node, LoopNode):
                fan = Iterations(node, given, done=done, attempt=attempt)
            else:
                fan = FanOut(node, given, done=done, failed=failed, attempt=attempt)
        except RunError as error:
            self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt))
            self._fail(number, attempt, error.payload())
            return
        self._fans[number] = fan
        self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt, items=len(fan)))
        for _ in range(1 if isinstance(node, LoopNode) else min(self._most, max(1, node.concurrency))):
            self._next(number, fan)
        self._end(number, fan)

    def turn(self, number: int, item: int) -> tuple[dict[str, bytes], int] | None:
        """What an item whose turn has come is given, and the number of its node's attempt; None if it is given up.

        Args:
            number: The node.
            item: Index of the item.
        """
        fan = self._fans[number]
        if fan.failure:
            fan.drop()
            self._end(number, fan)
            return None
        inputs = fan.inputs(item)
        fan.received += sum(map(len, inputs.values()))
        return inputs, fan.attempt

    def given(self, number: int, item: int) -> dict[str, bytes]:
        """What an item under way is given.

        Args:
            number: The node.
            item: Index of the item.
        """
        return self._fans[number].inputs(item)

    def failing(self, number: int) -> bool:
        """Whether a node is about to fail with one of its items.

        Args:
            number: The node.
        """
        return self._fans[number].failure is not None

    def received(self, number: int) -> int | None:
        """Bytes that the items of a node were given, all together; None for a node that has no items.

        Args:
            number: The node.
        """
        fan = self._fans.get(number)
        return None if fan is None else fan.received

    def complete(
        self, number: int, item: int, outputs: dict[str, bytes], seconds: float, memory: int
    ) -> None:
        """Take what an item gave, and go on with the next.

        Args:
            number: The node.
            item: Index of the item.
            outputs: Encoded values by port name.
            seconds: How long the extension's own code ran.
            memory: Bytes of the highest resident memory while it ran; 0 where that is not known.
        """
        fan = self._fans[number]
        fan.complete(item, outputs, seconds)
        fan.memory = max(fan.memory, memory)
        self._next(number, fan)
        self._end(number, fan)

    def fail_item(self, number: int, item: int, error: ErrorPayload, place: str = "") -> bool:
        """Take the failure of an item; whether it is collected, so that the others go on.

        Args:
            number: The node.
            item: Index of the item.
            error: Why it failed.
            place: Where it ran; empty where that is not known.
        """
        fan = self._fans[number]
        if fan.failure is None:
            self._failed_at[number] = place
        return fan.fail(item, error)

    def go_on(self, number: int) -> None:
        """Go on after the failure of an item.

        Args:
            number: The node.
        """
        fan = self._fans[number]
        self._next(number, fan)
        self._end(number, fan)

    def forget(self, number: int) -> None:
        """Forget a node that has ended.

        Args:
            number: The node.
        """
        self._fans.pop(number, None)
        self._failed_at.pop(number, None)

    def restore(self, number: int, remains: Remains) -> None:
        """Keep what the items of a node gave before, for when it begins again.

        Args:
            number: The node.
            remains: What the log knows of them.
        """
        self._items[number] = remains.items.get(number, {})
        self._item_errors[number] = remains.item_errors.get(number, {})

    def _next(self, number: int, fan: Fan) -> None:
        item = fan.next()
        if item is not None:
            self._push(number, item)

    def _end(self, number: int, fan: Fan) -> None:
        """End a node whose items have ended."""
        if fan.failure and not fan.active:
            item, error = fan.failure
            name = self._nodes[number].id
            place = self._failed_at.get(number, "")
            self._journal.emit(
                NodeFailed(**self._journal.head(), node=name, error=error, item=item, place=place)
            )
            self._settle(number)
        elif fan.over:
            self._take(number, fan.attempt, fan.outputs(), fan.work, fan.memory)
