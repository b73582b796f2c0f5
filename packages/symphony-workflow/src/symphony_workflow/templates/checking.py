"""Finds what is wrong with a template before anybody uses it, by making workflows of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import WorkflowError

from symphony_workflow.templates.definition import Template
from symphony_workflow.templates.faults import TemplateFault
from symphony_workflow.templates.instantiation import instantiate
from symphony_workflow.templates.parameters import Parameter, value_faults
from symphony_workflow.validation import validate

MAX_TRIALS = 100
"""How many workflows are made of one template to check it."""


def check_template(
    template: Template, operations: Mapping[str, OperationSpec] | None = None
) -> list[TemplateFault]:
    """Every fault of the workflows that a template makes: of its defaults, and of each choice of each parameter.

    Args:
        template: A template that was read without an error.
        operations: The operations that are installed, by id; None to check the graphs alone.
    """
    values: dict[str, Any] = {}
    faults = []
    for parameter in template.parameters:
        examples = list(_examples(parameter))
        if examples:
            values[parameter.name] = examples[0]
        else:
            faults.append(
                TemplateFault(
                    f"parameters.{parameter.name}",
                    "no value is known to try the template with",
                    "Give it a default, or values in `examples`.",
                    parameter.name,
                    "warning",
                )
            )
    if faults:
        return faults
    told: set[tuple[str, str]] = set()
    for changed, trial in islice(_trials(template, values), MAX_TRIALS):
        where = f"with {changed}={trial[changed]!r:.60}" if changed else "with its defaults"
        for fault in _faults_of(template, trial, operations):
            if (fault.path, fault.message) not in told:
                told.add((fault.path, fault.message))
                faults.append(replace(fault, message=f"{where}: {fault.message}"))
    return faults


def _trials(template: Template, values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", values
    for parameter in template.parameters:
        for value in list(_choices(parameter)):
            if value != values[parameter.name]:
                yield parameter.name, {**values, parameter.name: value}


def _faults_of(
    template: Template, values: dict[str, Any], operations: Mapping[str, OperationSpec] | None
) -> Iterator[TemplateFault]:
    try:
        workflow = instantiate(template, values)
    except WorkflowError as error:
        found = error.details.get("faults", [{"path": "", "message": error.message}])
        for each in found:
            yield TemplateFault(**each)
        return
    for finding in validate(workflow, operations):
        if finding.severity == "error":
            place = f"workflow.nodes.{finding.node}" if finding.node else "workflow"
            yield TemplateFault(place, f"[{finding.code}] {finding.message}", finding.hint)


def _choices(parameter: Parameter) -> Iterator[Any]:
    """Every value of a parameter that has few."""
    yield from parameter.schema.get("enum", ())
    if parameter.schema.get("type") == "boolean":
        yield from (True, False)
    yield from parameter.schema.get("examples", ())


def _examples(parameter: Parameter) -> Iterator[Any]:
    """Values that fit a parameter, the likeliest first."""
    schema = parameter.schema
    if not parameter.required:
        yield parameter.default
    guesses = (
        *_choices(parameter),
        *([schema["const"]] if "const" in schema else ()),
        *(schema[key] for key in ("minimum", "maximum") if key in schema),
        "x" * schema.get("minLength", 1),
        schema.get("exclusiveMinimum", 0) + 1,
        0.5,
        True,
        ["x"] * schema.get("minItems", 1),
        [],
        {},
        None,
    )
    yield from (value for value in guesses if not value_faults(schema, value))
