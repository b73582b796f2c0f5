"""What the workflow of a run says of its nodes: how deep each lies, what it uses, and what waits for it."""

from collections.abc import Iterable
from typing import Any

from symphony_workflow import Node, Workflow, compile_plan, from_document
from symphony_workflow.model import LOCAL


class RunShape:
    """The graph of a run by the names that its events use.

    A node of a workflow that runs inside of the run, such as `each[3]/parse`, lies where the node lies that runs it.

    Args:
        workflow: The workflow of the run.

    Attributes:
        levels: The length of the longest path from a start to each node of the workflow itself, counted from 0.
        depth: How many levels there are.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._plan = compile_plan(workflow)
        self._nodes = {"": {node.id: node for node in workflow.nodes}}
        for inner in workflow.workflows:
            self._nodes[LOCAL + inner.id] = {node.id: node for node in inner.nodes}
        names = [node.id for node in self._plan.nodes]
        self.levels = {
            names[number]: level for level, numbers in enumerate(self._plan.levels) for number in numbers
        }
        self.depth = len(self._plan.levels)

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> "RunShape":
        """The shape of the workflow that is kept with a run.

        Args:
            document: The workflow as its JSON document.

        Raises:
            WorkflowError: It is no workflow.
        """
        return cls(from_document(document))

    def level(self, name: str) -> int:
        """How deep a node lies; 0 for one that the workflow does not have.

        Args:
            name: The name of a node in the run.
        """
        return self.levels.get(outermost(name), 0)

    def operation(self, name: str) -> str:
        """The operation that a node uses, or the kind of a control node; empty for an unknown node.

        Args:
            name: The name of a node in the run.
        """
        node = self._node(name)
        return getattr(node, "uses", "") or getattr(node, "control", "") if node else ""

    def is_control(self, name: str) -> bool:
        """Whether a node steers others, rather than working itself.

        Args:
            name: The name of a node in the run.
        """
        node = self._node(name)
        return node is not None and node.kind == "control"

    def parents(self, name: str) -> list[str]:
        """The nodes that a node of the workflow itself waits for.

        Args:
            name: The id of the node.
        """
        number = self._plan.index.get(name)
        return (
            [] if number is None else [self._plan.nodes[parent].id for parent in self._plan.parents[number]]
        )

    def after(self, names: Iterable[str]) -> set[str]:
        """All nodes of the workflow itself that depend on some, which are not among them.

        Args:
            names: The names of nodes in the run.
        """
        starts = {number for name in names if (number := self._plan.index.get(outermost(name))) is not None}
        ahead, met = list(starts), set[int]()
        while ahead:
            for number in self._plan.children[ahead.pop()]:
                if number not in met:
                    met.add(number)
                    ahead.append(number)
        return {self._plan.nodes[number].id for number in met - starts}

    def _node(self, name: str) -> Node | None:
        *owners, last = name.split("/")
        scope = self._nodes[""]
        for part in owners:
            owner = scope.get(part.partition("[")[0])
            scope = self._nodes.get(getattr(owner, "uses", LOCAL), {})
        return scope.get(last)


def outermost(name: str) -> str:
    """The node of the workflow itself that a node belongs to: `each` for `each[3]/parse`, and for itself.

    Args:
        name: The name of a node in the run.
    """
    return name.partition("/")[0].partition("[")[0] if "/" in name else name
