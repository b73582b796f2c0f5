"""Finds every fault of a workflow in one pass, and after an edit looks only at what the edit touches."""

from collections.abc import Iterable, Mapping

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.acyclic import Order
from symphony_workflow.bulk import collector_paused
from symphony_workflow.condition_rules import condition_faults
from symphony_workflow.family_rules import calling_order, definition_spec, family_faults
from symphony_workflow.findings import Fault, Finding, findings_of, invalid_workflow
from symphony_workflow.model import INPUTS, Resources, Workflow
from symphony_workflow.node_rules import is_plain, node_faults
from symphony_workflow.port_rules import input_faults, use_faults
from symphony_workflow.rule_graph import Graph, Setting
from symphony_workflow.ways import Ways
from symphony_workflow.workflow_rules import workflow_faults


def validate(
    workflow: Workflow,
    operations: Mapping[str, OperationSpec] | None = None,
    *,
    capacity: Resources | None = None,
) -> list[Finding]:
    """Every fault of a workflow and its sub-workflows; empty where it can run.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations that nodes may use, by id; None to check the graph alone.
        capacity: The most that any place to run a node offers; None where that is not known.
    """
    return Checker(workflow, operations, capacity=capacity).findings


def check(
    workflow: Workflow,
    operations: Mapping[str, OperationSpec] | None = None,
    *,
    capacity: Resources | None = None,
) -> list[Finding]:
    """Refuse a workflow that cannot run, and return the warnings of one that can.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations that nodes may use, by id; None to check the graph alone.
        capacity: The most that any place to run a node offers; None where that is not known.

    Raises:
        WorkflowError: There is an error among the findings; `details["findings"]` lists all of them.
    """
    findings = validate(workflow, operations, capacity=capacity)
    if any(finding.severity == "error" for finding in findings):
        raise invalid_workflow(workflow, findings)
    return findings


class Checker:
    """The findings of a workflow that is being edited.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations that nodes may use, by id; None to check the graph alone.
        capacity: The most that any place to run a node offers; None where that is not known.
    """

    def __init__(
        self,
        workflow: Workflow,
        operations: Mapping[str, OperationSpec] | None = None,
        *,
        capacity: Resources | None = None,
    ) -> None:
        self._setting = Setting(operations, capacity)
        self._local: dict[str, OperationSpec] = {}
        self._definitions: dict[str, _Checked] = {}
        self._definition_parts: tuple[Workflow, ...] = ()
        self._order: list[str] = []
        self._ring: list[str] = []
        with collector_paused():
            self._define(workflow)
            self._main = _Checked(workflow, self._setting, self._local)
            self._collect(workflow)

    @property
    def findings(self) -> list[Finding]:
        """The findings of the present state: those of the workflow, then those of its sub-workflows."""
        return list(self._findings)

    def edit(self, workflow: Workflow) -> list[Finding]:
        """Go on to a new state of the workflow, and return its findings: the same that `validate` gives.

        Nodes, edges and sub-workflows that are the same objects as before are taken to be unchanged.

        Args:
            workflow: The new state.
        """
        self._define(workflow)
        self._main = self._main.changed(workflow, self._local)
        self._collect(workflow)
        return self.findings

    def _define(self, workflow: Workflow) -> None:
        """Bring the sub-workflows up to date, each after those that it runs, for their outputs to have types."""
        if workflow.workflows is self._definition_parts:
            return
        self._definition_parts = workflow.workflows
        parts: dict[str, Workflow] = {}
        for part in workflow.workflows:
            parts.setdefault(part.id, part)
        self._order, self._ring = calling_order(parts)
        self._local = {spec.id: spec for spec in map(definition_spec, parts.values())}
        known, self._definitions = self._definitions, {}
        for id in (*self._order, *sorted(parts.keys() - set(self._order))):
            if id in known:
                self._definitions[id] = known[id].changed(parts[id], self._local)
            else:
                self._definitions[id] = _Checked(parts[id], self._setting, self._local)
            if id in self._order:
                self._local["#" + id] = definition_spec(parts[id], self._definitions[id].graph)

    def _collect(self, workflow: Workflow) -> None:
        graphs = {id: checked.graph for id, checked in self._definitions.items()}
        family = family_faults(workflow, self._main.graph, graphs, self._order, self._ring)
        self._findings = findings_of([*self._main.faults(), *family[""]], self._main.graph.position)
        for id, checked in sorted(self._definitions.items()):
            faults = [*checked.faults(), *family.get(id, ())]
            self._findings += findings_of(faults, checked.graph.position, workflow=id)


class _Checked:
    """One workflow of a file with its faults by node."""

    def __init__(self, workflow: Workflow, setting: Setting, local: Mapping[str, OperationSpec]) -> None:
        self.graph = Graph(workflow, setting, local)
        self._order = Order(self.graph)
        self._ways = Ways(self.graph, self._order)
        self._by_node: dict[str, list[Fault]] = {}
        self._look_at(self.graph.nodes.keys() | self.graph.into.keys())
        for node in workflow.nodes if len(self.graph.nodes) < len(workflow.nodes) else ():
            if node is not self.graph.nodes[node.id]:  # another one has its id
                self._by_node.setdefault(node.id, []).extend(node_faults(self.graph, node))
        self._of_whole = list(workflow_faults(self.graph))

    def changed(self, workflow: Workflow, local: Mapping[str, OperationSpec]) -> "_Checked":
        """The same after a change; another one where two nodes share an id."""
        graph, before = self.graph, self.graph.workflow
        if workflow is before and local is graph.local:
            return self
        change = graph.change(workflow, local)
        if change is None:
            return _Checked(workflow, graph.setting, local)
        self._order.follow(change)
        self._ways.follow(change.touched - {INPUTS})
        self._look_at(change.touched)
        if (
            change.ends
            or INPUTS in change.touched
            or not graph.handed_back.keys().isdisjoint(change.touched)
            or workflow.id != before.id
            or workflow.extra is not before.extra
            or bool(workflow.nodes) != bool(before.nodes)
        ):
            self._of_whole = list(workflow_faults(graph))
        return self

    def faults(self) -> list[Fault]:
        """All faults of the workflow."""
        found = [fault for faults in self._by_node.values() for fault in faults]
        found += self._of_whole
        found += self._ways.faults()
        if cycle := self._order.cycle():
            names = " -> ".join([*cycle, cycle[0]])
            hint = "Remove one of its edges: a workflow runs from its inputs to its outputs."
            found.append(Fault("SYM-W010", "error", f"there is a cycle: {names}", hint, cycle[0]))
        return found

    def _look_at(self, ids: Iterable[str]) -> None:
        graph, by_node = self.graph, self._by_node
        for id in ids:
            found = list(input_faults(graph, id))
            node = graph.nodes.get(id)
            if node is not None:
                if not is_plain(graph, node):
                    found += node_faults(graph, node)
                    found += condition_faults(graph, node)
                found += use_faults(graph, node)
            if found:
                by_node[id] = found
            else:
                by_node.pop(id, None)
