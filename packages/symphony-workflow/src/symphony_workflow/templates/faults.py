"""One fault of a template or of the values that it is given, and the error that carries all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Literal

from symphony_sdk.errors import WorkflowError

SHOWN_FAULTS = 20
"""How many faults an error's message lists; `details["faults"]` holds all."""


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """One fault of a template, or of a value for one of its parameters.

    Args:
        path: The place in the template, such as `workflow.nodes.walk.params.depth`.
        message: What was found and what was expected.
        hint: What to do about it; empty where nothing can be said.
        parameter: The parameter that it is about; empty where it is about none.
        severity: An `error` keeps the template from being used, a `warning` does not.
    """

    path: str
    message: str
    hint: str = ""
    parameter: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.message}" + (f" - {self.hint}" if self.hint else "")


def template_error(
    head: str, faults: Sequence[TemplateFault], *, code: str, hint: str = "", file: str = ""
) -> WorkflowError:
    """The error that carries all faults.

    Args:
        head: What they are faults of, such as `the template 'acme.tidy'`.
        faults: At least one.
        code: The code of the error.
        hint: What to do about all of them.
        file: The file that they are in.
    """
    lines = [str(fault) for fault in faults[:SHOWN_FAULTS]]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"and {len(faults) - SHOWN_FAULTS} more")
    count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
    return WorkflowError(
        f"{head} has {count}\n  " + "\n  ".join(lines),
        code=code,
        hint=hint,
        details={"faults": [asdict(fault) for fault in faults]},
        file=file,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known name that comes closest, or all that are known.

    Args:
        name: What was found.
        known: What could have been meant.
    """
    names = list(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known are {', '.join(names[:12])}{'...' if len(names) > 12 else ''}." if names else ""
