"""Binds the values that a user gives to the inputs that a workflow declares."""

import difflib
from collections.abc import Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError
from symphony_sdk.values import encode
from symphony_workflow import Workflow, accepts, describe


def bind_inputs(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, bytes]:
    """Encoded values for a run, after every fault of them was looked for.

    Args:
        workflow: The workflow.
        given: Values by the name of the input; JSON-like.

    Raises:
        WorkflowError: Inputs are missing, unknown or of the wrong type; `details["faults"]` has all of them.
    """
    declared = {input.name: input for input in workflow.inputs}
    faults: list[str] = []
    for name in given:
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(declared) or 'none'}"
            faults.append(f"there is no input {name!r}: {known}")
    encoded: dict[str, bytes] = {}
    for name, input in declared.items():
        if name not in given:
            if input.required:
                faults.append(f"the input {name!r} ({describe(input.schema)}) is missing")
            continue  # the tracker takes the default from the workflow, which is kept with the run
        verdict = accepts(input.schema, given[name])
        if not verdict:
            faults.append(f"the input {name!r} must be {describe(input.schema)}: {verdict.reason}")
            continue
        encoded[name] = encode(given[name])
    if faults:
        raise WorkflowError(
            f"the workflow {workflow.id!r} cannot start: {'; '.join(faults)}",
            code="SYM-W070",
            hint="Give each input as `--input NAME=VALUE`.",
            details={"faults": faults},
        )
    return encoded
