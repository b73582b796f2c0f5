"""What a step of CWL says beside its inputs and outputs: its condition, its requirements, its sources."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from symphony_workflow import Resources

from symphony_workflow_formats.cwl_documents import named
from symphony_workflow_formats.draft import Graph, NodeDraft

SWITCHES = frozenset(
    {
        "InlineJavascriptRequirement",
        "MultipleInputFeatureRequirement",
        "ScatterFeatureRequirement",
        "StepInputExpressionRequirement",
        "SubworkflowFeatureRequirement",
    }
)
"""Requirements that only allow what a workflow then uses."""
NATIVE = "Symphony"
"""The hint in which the writer keeps what CWL has no word for."""
NAMESPACE = "urn:symphony:"
"""What the prefix of that hint stands for."""


class Source(NamedTuple):
    """Where a value comes from.

    Args:
        node: The node, or `$inputs`.
        port: Its output port.
        conditional: Whether its step has a condition.
    """

    node: str
    port: str
    conditional: bool = False


class Gate:
    """The branch before a step with a condition: the first input that the condition uses goes through it.

    Args:
        graph: Where it stands.
        branch: The branch.
        names: The inputs that the condition uses.
    """

    def __init__(self, graph: Graph, branch: NodeDraft, names: list[str]) -> None:
        self._graph = graph
        self._branch = branch
        self._names = names

    def passed(self, name: str, source: Source | None, literal: Any) -> Source | None:
        """Where an input of the step comes from, now that the branch is there.

        Args:
            name: The input.
            source: Where it came from.
            literal: Its value where it came from nowhere.
        """
        if name not in self._names:
            return source
        ports = [self._branch.input(name)]
        if name == self._names[0]:
            ports.append(self._branch.input("value"))
        for port in dict.fromkeys(ports):
            if source is None:
                self._branch.params[port] = literal
            else:
                self._graph.connect(source.node, source.port, self._branch.id, port)
        return Source(self._branch.id, "then") if name == self._names[0] else source


def unswitched(requirements: Any) -> Any:
    """Requirements without those that only allow what a workflow then uses; the writer knows which it needs.

    Args:
        requirements: A list, or a map by class.
    """

    def says(name: Any, one: Any) -> bool:
        return name not in SWITCHES or (isinstance(one, dict) and bool(one.keys() - {"class"}))

    if isinstance(requirements, dict):
        return {name: one for name, one in requirements.items() if says(name, one)}
    if isinstance(requirements, list):
        return [one for one in requirements if not isinstance(one, dict) or says(one.get("class"), one)]
    return requirements


def policies_of(step: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What requirements of a step say in our words, and what they say that we have no word for.

    Args:
        step: The step.
    """
    fields: dict[str, Any] = {}
    unsaid = []
    for one in (*named(step.get("requirements"), "class"), *named(step.get("hints"), "class")):
        kind = str(one.get("class"))
        cores, memory, limit = (one.get(key) or 0 for key in ("coresMin", "ramMin", "timelimit"))
        if kind == "ResourceRequirement" and _is_amount(cores) and _is_amount(memory):
            fields["resources"] = Resources(cpu=float(cores), memory=int(memory * (1 << 20)))
            unsaid += [
                f"{key} of ResourceRequirement" for key in one if key not in ("class", "coresMin", "ramMin")
            ]
        elif kind == "ToolTimeLimit" and _is_amount(limit) and limit > 0:
            fields["timeout"] = float(limit)
        elif kind not in SWITCHES and not kind.endswith(NATIVE):
            unsaid.append(kind)
    return fields, unsaid


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def native_uses(step: Mapping[str, Any]) -> str:
    """The operation that the writer noted; empty where it noted none.

    Args:
        step: The step.
    """
    for one in named(step.get("hints"), "class"):
        if str(one.get("class")).endswith(NATIVE) and isinstance(one.get("uses"), str):
            return str(one["uses"])
    return ""


def path_of(value: Any) -> str | None:
    """The path of a file or directory; None where `value` is none.

    Args:
        value: The default of an input.
    """
    if isinstance(value, dict) and value.get("class") in ("File", "Directory"):
        path = value.get("path", value.get("location"))
        return path if isinstance(path, str) else None
    return None
