"""One fault of a workflow, and the error that carries all of them."""

from dataclasses import asdict, dataclass
from typing import Literal

from symphony_sdk.errors import WorkflowError

from symphony_workflow.model import Workflow

SHOWN_FINDINGS = 20
"""How many findings an error's message lists; `details["findings"]` holds all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a workflow.

    Args:
        code: The stable code; `symphony explain CODE` tells more.
        severity: An `error` keeps the workflow from running, a `warning` does not.
        message: What was found and what was expected.
        hint: What to do about it; empty where nothing can be said.
        node: The node that it is at; empty where it is at none.
        port: The port of that node, or the workflow's input or output where `node` is empty.
        edge: The index of the edge in `Workflow.edges`.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    hint: str = ""
    node: str = ""
    port: str = ""
    edge: int | None = None


def invalid_workflow(
    workflow: Workflow, findings: list[Finding], *, file: str = "", line: int = 0
) -> WorkflowError:
    """The error that carries all findings of a workflow.

    Args:
        workflow: The workflow.
        findings: At least one of them an error.
        file: Where the first of them was made.
        line: The line in `file`.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    lines = [
        f"[{one.code}] {one.message}" + (f" - {one.hint}" if one.hint else "")
        for one in errors[:SHOWN_FINDINGS]
    ]
    if len(errors) > SHOWN_FINDINGS:
        lines.append(f"and {len(errors) - SHOWN_FINDINGS} more")
    count = f"{len(errors)} faults" if len(errors) > 1 else "a fault"
    return WorkflowError(
        f"the workflow {workflow.id!r} has {count}\n  " + "\n  ".join(lines),
        hint="Correct them; `symphony validate` checks again without running anything.",
        details={"findings": [asdict(finding) for finding in findings]},
        file=file,
        line=line,
    )
