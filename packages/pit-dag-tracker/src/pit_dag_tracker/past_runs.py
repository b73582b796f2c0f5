"""What a run in the log was given and gave, node by node, for comparing it with another."""

from collections.abc import Mapping
from typing import cast

import msgspec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.events import ItemCompleted, NodeReused, NodeStarted
from symphony_sdk.ports.pit import RunRequest
from symphony_sdk.values import DECODING_ERRORS
from symphony_workflow.document import from_document
from symphony_workflow.model import LoopNode, MapNode

from pit_dag_tracker.entries import Stored
from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.keys import Known
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.records import request_of
from pit_dag_tracker.recovery import replay
from pit_dag_tracker.result_tables import read_operations
from pit_dag_tracker.wiring import Values, Wiring, workflow_inputs

_ITEMS = msgspec.msgpack.Decoder(list[msgspec.Raw])


class PastRun:
    """A run as its log tells it; a node is named by its number in the run's graph.

    Args:
        log: The log.
        run: Id of the run.

    Raises:
        RunError: There is no such run, or its log is damaged.

    Attributes:
        run: Id of the run.
        request: What it was asked to do.
        ledger: Where it is.
        stored: The outputs of its completed nodes.
        known: What was known of its operations.
        reused: The events of nodes for which an earlier result stood in.
        reused_items: How many items of each map or loop were not computed.
    """

    def __init__(self, log: EventLog, run: str) -> None:
        row = log.run(run)
        self.run = run
        self.request: RunRequest = request_of(row)
        self.ledger = Ledger(Graph(from_document(self.request.workflow)))
        self.known: dict[str, Known] = log.look(lambda connection: read_operations(connection, run))
        entries = list(log.entries(run))
        self.stored: Mapping[int, Mapping[str, Stored]] = replay(entries, self.ledger).stored
        self.reused: dict[int, NodeReused] = {}
        self.reused_items: dict[int, int] = {}
        graph = self.ledger.graph
        for event, _ in entries:
            if isinstance(event, NodeReused):
                self.reused[graph.index[event.node]] = event
            elif isinstance(event, NodeStarted):  # once more, where somebody asked for that
                self.reused.pop(graph.index[event.node], None)
                self.reused_items.pop(graph.index[event.node], None)
            elif isinstance(event, ItemCompleted) and event.origin:
                number = graph.index[event.node]
                self.reused_items[number] = self.reused_items.get(number, 0) + 1
        self._wiring = Wiring(graph, workflow_inputs(graph.top.workflow, self.request.inputs))
        self._wired = {graph.top}

    def computed(self, number: int) -> float:
        """Unix time in seconds when the result of a completed node was computed, here or in the run it is from."""
        reused = self.reused.get(number)
        return reused.computed if reused and reused.cached else self.ledger.ended[number]

    def given(self, number: int) -> dict[str, Stored] | None:
        """What a node was given, by port; None where the log does not tell.

        Args:
            number: The node.
        """
        try:
            self._wire(self.ledger.graph.of[number])
            return self._wiring.values(number, self.stored)
        except (SymphonyError, LookupError, *DECODING_ERRORS):
            return None

    def _wire(self, instance: Instance) -> None:
        """Note what a workflow inside of the run was given, and those that it is inside of."""
        if instance in self._wired:
            return
        graph, owner, item = self.ledger.graph, instance.owner, instance.item
        self._wire(graph.of[owner])
        given, node = self._wiring.values(owner, self.stored), graph.nodes[owner]
        if isinstance(node, MapNode):
            items = given[node.over]
            if isinstance(items, bytes):  # else they are all of them, in one artifact
                given[node.over] = bytes(_ITEMS.decode(items)[item])
        elif isinstance(node, LoopNode) and item > 0:
            before = graph.instance(owner, item - 1)
            gave = {
                output.name: self.stored[before.number(output.node)][output.port]
                for output in before.workflow.outputs
            }
            given.update({port: gave[output] for port, output in node.carry.items() if output in gave})
        inputs = workflow_inputs(instance.workflow, cast("Values", given))
        self._wiring.wire(instance, inputs)
        self._wired.add(instance)
