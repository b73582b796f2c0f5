"""One fault of a workflow, how faults become a list in a fixed order, and the error that carries all of them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal, NamedTuple

from symphony_sdk.errors import WorkflowError

from symphony_workflow.model import Workflow

SHOWN_FINDINGS = 20
"""How many findings an error's message lists; `details["findings"]` holds all."""


SEARCHES = 50
"""How many misspelt names are looked up for a hint in one pass: each look-up is slow among thousands of names."""

SEARCHED_NAMES = 1_000
"""Among more names than this, the nearest to a misspelt one is not looked up."""


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
        workflow: The id of the sub-workflow that node, port and edge are of; empty for the workflow itself.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    hint: str = ""
    node: str = ""
    port: str = ""
    edge: int | None = None
    workflow: str = ""


class Fault(NamedTuple):
    """A finding in the making: what a rule says, before hints are looked up and edges numbered.

    Args:
        code: As of [Finding][symphony_workflow.findings.Finding], like all that is not said here.
        severity: An error or a warning.
        message: What was found and what was expected.
        hint: What to do about it.
        node: The node that it is at.
        port: The port that it is at.
        edge: The number by which the graph knows the edge.
        name: A misspelt name, whose nearest is to be the hint.
        known: The names that it could be.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    hint: str = ""
    node: str = ""
    port: str = ""
    edge: int | None = None
    name: str = ""
    known: Collection[str] = ()


def findings_of(
    faults: Iterable[Fault], position: Callable[[int], int], *, workflow: str = ""
) -> list[Finding]:
    """The findings of one workflow, in an order that depends on nothing but themselves: code, node, port, edge.

    Args:
        faults: What its rules found.
        position: The index in `Workflow.edges` of the edge that the graph knows by a number.
        workflow: The id of the sub-workflow; empty for the workflow itself.
    """
    placed = [(fault, -1 if fault.edge is None else position(fault.edge)) for fault in faults]
    placed.sort(key=lambda one: (one[0].code, one[0].node, one[0].port, one[1], one[0].message))
    searches = SEARCHES
    found = []
    for fault, edge in placed:
        hint = fault.hint
        if fault.name and searches:
            searches -= 1
            hint = nearest(fault.name, fault.known) or hint
        found.append(
            Finding(
                fault.code,
                fault.severity,
                fault.message,
                hint,
                fault.node,
                fault.port,
                edge if edge >= 0 else None,
                workflow,
            )
        )
    return found


def nearest(name: str, known: Collection[str]) -> str:
    """A hint that names the known name nearest to `name`, or all where they are few; empty where neither helps.

    Args:
        name: A misspelt name.
        known: The names that it could be.
    """
    return _nearest(name, tuple(sorted(known))) if 0 < len(known) <= SEARCHED_NAMES else ""


@lru_cache(maxsize=1024)
def _nearest(name: str, names: tuple[str, ...]) -> str:
    close = get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There is {', '.join(names)}." if len(names) <= _FEW else ""


_FEW = 8


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
        f"[{one.code}] "
        + (f"in #{one.workflow}: " if one.workflow else "")
        + one.message
        + (f" - {one.hint}" if one.hint else "")
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
