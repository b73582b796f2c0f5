"""Makes nodes of those of n8n: control nodes where one means the same, and operations of all others."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ApprovalNode,
    BranchNode,
    Case,
    JoinNode,
    MapNode,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
)
from symphony_workflow.model import PORT_NAME

from symphony_workflow_formats.draft import Graph, Importing, NodeDraft
from symphony_workflow_formats.n8n_conditions import condition_of, rule_of
from symphony_workflow_formats.n8n_graph import Connection
from symphony_workflow_formats.names import Names, port_name
from symphony_workflow_formats.parsing import parse_json
from symphony_workflow_formats.shapes import as_object

CORE = "n8n-nodes-base."
"""What the types of the nodes that come with n8n begin with."""

MAX_INSIDE = 8
"""How many workflows may stand in each other as text."""

_ELSEWHERE = {
    "executeOnce": "it runs for the first item alone",
    "onError": "an error does not end the run",
    "continueOnFail": "an error does not end the run",
}
_ITEMS = ("n8n sends each item its own way", "all of the value goes one way; a map node goes through a list")


class NodeMaker:
    """Makes the nodes of one graph.

    Args:
        importing: What it belongs to.
        graph: Takes the nodes.
        prefix: What notes set before the names of the nodes.
    """

    def __init__(self, importing: Importing, graph: Graph, prefix: str) -> None:
        self._importing = importing
        self._graph = graph
        self._prefix = prefix

    def make(self, name: str, node: Mapping[str, Any]) -> NodeDraft:
        """Make a node.

        Args:
            name: Its name.
            node: What the file says of it.
        """
        parameters = as_object(node.get("parameters") or {}, f"node {name}.parameters")
        draft = self._control(name, node, parameters) or self._operation(name, node, parameters)
        draft.metadata["n8n"] = dict(node)
        if draft.id != name:
            draft.fields["label"] = name
        return draft

    def _control(self, name: str, node: Mapping[str, Any], parameters: Mapping[str, Any]) -> NodeDraft | None:
        """The control node that means the same; None where there is none."""
        kind = str(node["type"])
        if kind in self._importing.mapping:
            return None
        if node.get("disabled"):
            draft = self._graph.node(name, name, JoinNode)
            self._note(
                name,
                draft,
                f"the disabled node of type {kind}",
                "a node is either there or not",
                "its input goes on",
            )
            return draft
        make = {
            "if": self._if,
            "switch": self._switch,
            "merge": self._merge,
            "wait": self._wait,
            "noOp": self._pass,
            "executeWorkflowTrigger": self._pass,
            "executeWorkflow": self._subworkflow,
        }.get(kind.removeprefix(CORE) if kind.startswith(CORE) else "")
        return make(name, parameters) if make else None

    def _if(self, name: str, parameters: Mapping[str, Any]) -> NodeDraft | None:
        condition = condition_of(parameters)
        if not condition:
            return None
        draft = self._graph.node(name, name, BranchNode, condition=condition)
        self._note(name, draft, "the items that it tells apart", *_ITEMS)
        return draft

    def _switch(self, name: str, parameters: Mapping[str, Any]) -> NodeDraft | None:
        options = as_object(parameters.get("options") or {}, f"node {name}.options")
        if parameters.get("mode", "rules") != "rules" or options.get("allMatchingOutputs"):
            return None
        fallback = options.get("fallbackOutput", parameters.get("fallbackOutput", -1))
        if type(fallback) is int and fallback >= 0:
            return None
        rules = as_object(parameters.get("rules") or {}, f"node {name}.rules")
        ports = Names(port_name, "default")
        cases: list[Case] = []
        for number, rule in enumerate(_objects(rules.get("values"))):
            port = ports.of(number, str(rule.get("outputKey") or f"output_{number}"))
            cases.append(Case(port, condition_of(rule)))
        for number, rule in enumerate(_objects(rules.get("rules"))):
            if rule.get("output", number) != number:
                return None
            condition = rule_of(parameters.get("value1"), rule, str(parameters.get("dataType", "number")))
            cases.append(Case(ports.of(number, f"output_{number}"), condition))
        if not cases or not all(case.condition for case in cases):
            return None
        draft = self._graph.node(name, name, SwitchNode, cases=tuple(cases))
        self._note(name, draft, "the items that it tells apart", *_ITEMS)
        return draft

    def _merge(self, name: str, parameters: Mapping[str, Any]) -> NodeDraft | None:
        chosen = parameters.get("output", "input1") in ("input1", "specifiedInput")
        first = parameters.get("useDataOfInput", 1) in (1, "1")
        if parameters.get("mode") in ("chooseBranch", "passThrough") and chosen and first:
            return self._graph.node(name, name, JoinNode)
        return None

    def _wait(self, name: str, parameters: Mapping[str, Any]) -> NodeDraft | None:
        if parameters.get("resume") not in ("webhook", "form"):
            return None
        draft = self._graph.node(name, name, ApprovalNode, prompt=name)
        self._note(
            name,
            draft,
            f"the wait for a {parameters['resume']}",
            "no address is open for an answer here",
            "it waits for a person to approve; what was posted is not there",
        )
        return draft

    def _pass(self, name: str, _parameters: Mapping[str, Any]) -> NodeDraft:
        return self._graph.node(name, name, JoinNode)

    def _subworkflow(self, name: str, parameters: Mapping[str, Any]) -> NodeDraft | None:
        from symphony_workflow_formats.n8n import read_subworkflow

        text = parameters.get("workflowJson")
        key = f"{self._prefix}{name}"
        if parameters.get("source") != "parameter" or not isinstance(text, str) or text.startswith("="):
            return None
        if key.count("/") >= MAX_INSIDE:
            return None
        try:
            file = as_object(parse_json(text.encode()), f"node {name}.workflowJson")
            inside = read_subworkflow(self._importing, key, file, str(file.get("name") or name))
        except WorkflowError as error:
            self._importing.note(
                key,
                "",
                "the workflow in its parameters",
                error.message,
                "it is kept as text in a placeholder",
            )
            return None
        return self._graph.node(name, name, SubworkflowNode, uses=f"#{inside.id}")

    def _operation(self, name: str, node: Mapping[str, Any], parameters: Mapping[str, Any]) -> NodeDraft:
        kind = str(node["type"])
        version = node.get("typeVersion")
        draft = self._graph.operation(name, name, kind, original=f"{self._prefix}{name}", **_policies(node))
        if isinstance(version, int) and type(version) is int and version > 0 and draft.mapping is None:
            draft.fields["version"] = version
        computed = []
        for key, value in parameters.items():
            if _computes(value):
                computed.append(key)
            elif PORT_NAME.fullmatch(key):
                draft.params[draft.input(("parameter", key), key)] = value
        if computed:
            self._note(
                name,
                draft,
                f"expressions in {', '.join(computed)}",
                "they are JavaScript",
                "their text is in the metadata alone",
            )
        credentials = node.get("credentials")
        if isinstance(credentials, dict) and credentials:
            self._note(
                name,
                draft,
                f"credentials {', '.join(credentials)}",
                "a workflow holds none",
                "their names are in the metadata; the operation's extension has its own settings",
            )
        for key, what in _ELSEWHERE.items():
            if node.get(key) not in (None, False, "stopWorkflow"):
                self._note(
                    name,
                    draft,
                    f"{key}: {what}",
                    "a node here has no such setting",
                    "it is kept in the metadata",
                )
        return draft

    def _note(self, name: str, draft: NodeDraft, what: str, why: str, instead: str) -> None:
        self._importing.note(f"{self._prefix}{name}", draft.id, what, why, instead)


def source_port(draft: NodeDraft, one: Connection) -> str:
    """The output port that a connection comes from.

    Args:
        draft: Its source.
        one: The connection.
    """
    if draft.kind is BranchNode:
        return "then" if one.source_port == 0 else "else"
    if draft.kind is SwitchNode:
        cases = draft.fields["cases"]
        return str(cases[one.source_port].port) if one.source_port < len(cases) else "default"
    fixed = {JoinNode: "value", MapNode: "results", ApprovalNode: "approved", SubworkflowNode: "result"}
    if draft.kind in fixed:
        return fixed[draft.kind]
    number = f"_{one.source_port}" if one.source_port else ""
    return draft.output((one.kind, one.source_port), f"{one.kind}{number}")


def target_port(draft: NodeDraft, number: int) -> str:
    """The input port for the main input of a number.

    Args:
        draft: The node.
        number: Which main input.
    """
    if draft.kind in (BranchNode, SwitchNode, ApprovalNode):
        return "value"
    if draft.kind in (MapNode, SubworkflowNode):
        return "item"
    return draft.input(("main", number), f"main_{number}" if number else "main")


def loop_output(node: Mapping[str, Any]) -> int:
    """Which output of a Loop Over Items leads into its body: the second one since version 3.

    Args:
        node: What the file says of it.
    """
    version = node.get("typeVersion", 1)
    return 1 if isinstance(version, int | float) and version >= 3 else 0


def batch_size(node: Mapping[str, Any]) -> Any:
    """How many items a Loop Over Items takes at once.

    Args:
        node: What the file says of it.
    """
    parameters = node.get("parameters")
    usual = 1 if loop_output(node) else 10
    return parameters.get("batchSize", usual) if isinstance(parameters, dict) else usual


def _policies(node: Mapping[str, Any]) -> dict[str, Any]:
    if node.get("retryOnFail") is not True:
        return {}
    tries, wait = node.get("maxTries", 3), node.get("waitBetweenTries", 1000)
    if (
        type(tries) is not int
        or type(wait) not in (int, float)
        or not 1 <= tries <= 1000
        or not 0 <= wait <= 86_400_000
    ):
        return {}
    return {"retry": RetryPolicy(attempts=tries, delay=wait / 1000, factor=1.0)}


def _computes(value: Any) -> bool:
    """Whether an expression of n8n is anywhere in a value."""
    if isinstance(value, str):
        return value.startswith("=")
    if isinstance(value, dict):
        return any(_computes(one) for one in value.values())
    return isinstance(value, list) and any(_computes(one) for one in value)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
