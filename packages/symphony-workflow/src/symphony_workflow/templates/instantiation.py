"""Makes a workflow of a template and values, and remembers in its metadata where it came from."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import WorkflowError

from symphony_workflow.document import from_document
from symphony_workflow.model import Workflow
from symphony_workflow.templates.binding import TooLarge, expand
from symphony_workflow.templates.definition import ORIGIN, Template
from symphony_workflow.templates.faults import TemplateFault, template_error
from symphony_workflow.templates.parameters import bind
from symphony_workflow.validation import check


class Origin(NamedTuple):
    """Where a workflow came from.

    Args:
        id: The template.
        version: Its version.
        parameters: The values that were given; a parameter that is missing had its default.
    """

    id: str
    version: str
    parameters: dict[str, Any]


def instantiate(
    template: Template,
    values: Mapping[str, Any] | None = None,
    *,
    id: str = "",
    operations: Mapping[str, OperationSpec] | None = None,
) -> Workflow:
    """The workflow that a template makes of values.

    Args:
        template: The template.
        values: Values by the name of the parameter; defaults stand for those that are missing.
        id: The id of the workflow; the template's own unless given.
        operations: The operations that are installed; where given, a workflow that cannot run is refused.

    Raises:
        WorkflowError: SYM-W093, values are missing, unknown or wrong, and all are listed; SYM-W095, the workflow
            would be too large; SYM-W099, what comes out is no workflow; the codes of validation, it cannot run.
    """
    given = dict(values or {})
    bound, faults = bind(template.parameters, given)
    if faults:
        raise _wrong_values(template, faults)
    try:
        document, faults = expand(template.workflow, bound)
    except TooLarge as error:
        raise WorkflowError(
            f"the workflow of {template.reference!r} would be too large with these values: {error}",
            code="SYM-W095",
            hint="Give shorter lists or texts.",
        ) from None
    if faults:
        raise _wrong_values(template, faults)
    try:
        workflow = from_document(document)
    except WorkflowError as error:
        raise _no_workflow(template, error) from error
    origin = {"id": template.id, "version": template.version, "parameters": given}
    metadata = replace(workflow.metadata, extra={**workflow.metadata.extra, ORIGIN: origin})
    workflow = replace(workflow, id=id or workflow.id, metadata=metadata)
    if operations is not None:
        check(workflow, operations)
    return workflow


def origin_of(workflow: Workflow) -> Origin | None:
    """Where a workflow came from; None where it was not made from a template.

    Args:
        workflow: Any workflow.
    """
    match workflow.metadata.extra.get(ORIGIN):
        case {"id": str(id), "version": str(version), "parameters": dict(parameters)}:
            return Origin(id, version, parameters)
    return None


def _wrong_values(template: Template, faults: list[TemplateFault]) -> WorkflowError:
    return template_error(
        f"the use of the template {template.reference!r}",
        faults,
        code="SYM-W093",
        hint=f"`symphony template show {template.id}` lists what it takes.",
    )


def _no_workflow(template: Template, error: WorkflowError) -> WorkflowError:
    found = error.details.get("faults") or [{"path": "", "message": error.message, "hint": error.hint}]
    faults = [
        TemplateFault(f"workflow.{each['path']}".rstrip("."), each["message"], each["hint"]) for each in found
    ]
    return template_error(
        f"the workflow that {template.reference!r} makes of these values",
        faults,
        code="SYM-W099",
        hint="Give other values, or tell the template's author.",
    )
