"""Finds every fault of a workflow in one pass, and refuses a workflow that cannot run."""

from collections.abc import Mapping

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.findings import Finding, invalid_workflow
from symphony_workflow.model import Workflow
from symphony_workflow.rule_graph import Graph
from symphony_workflow.rules import RULES


def validate(workflow: Workflow, operations: Mapping[str, OperationSpec] | None = None) -> list[Finding]:
    """Every fault of a workflow; empty where it can run.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations that nodes may use, by id; None to check the graph alone.
    """
    graph = Graph(workflow, operations)
    return [finding for rule in RULES for finding in rule(graph)]


def check(workflow: Workflow, operations: Mapping[str, OperationSpec] | None = None) -> list[Finding]:
    """Refuse a workflow that cannot run, and return the warnings of one that can.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations that nodes may use, by id; None to check the graph alone.

    Raises:
        WorkflowError: There is an error among the findings; `details["findings"]` lists all of them.
    """
    findings = validate(workflow, operations)
    if any(finding.severity == "error" for finding in findings):
        raise invalid_workflow(workflow, findings)
    return findings
