"""Turns `NAME=VALUE` of the command line into the values that a workflow's inputs expect."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from symphony_sdk.errors import SymphonyError
from symphony_workflow import Workflow, WorkflowInput, accepts, describe

from symphony_host.cli.shell import usage_error


def read_inputs(workflow: Workflow, given: Sequence[str]) -> dict[str, Any]:
    """The values by the name of the input.

    Text stays text where the input takes text (a relative path becomes an absolute one, because an extension
    runs elsewhere); anything else is JSON, or `@FILE` for a file of JSON.

    Args:
        workflow: The workflow.
        given: `NAME=VALUE` each.

    Raises:
        ConfigurationError: SYM-C040, one is not `NAME=VALUE`, unknown, given twice, or not what its input
            takes.
    """
    declared = {input.name: input for input in workflow.inputs}
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise usage_error(f"the input {text!r} is not NAME=VALUE", "Write it as `--input NAME=VALUE`.")
        if name not in declared:
            raise usage_error(f"the workflow {workflow.id!r} has no input {name!r}", _known(name, declared))
        if name in values:
            raise usage_error(f"the input {name!r} is given twice", "Give it once.")
        values[name] = read_value(declared[name], value)
    return values


def read_value(input: WorkflowInput, text: str) -> Any:
    """The value that `text` stands for at an input.

    Args:
        input: The input.
        text: What was typed.

    Raises:
        ConfigurationError: SYM-C040, it stands for nothing that the input takes.
    """
    if input.schema.get("type") == "string":
        if input.schema.get("format") == "path":
            return str(Path(text).expanduser().absolute())
        return text
    if text.startswith("@"):
        return _from_file(input, text[1:])
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if accepts(input.schema, text):
            return text
        raise _wrong(input, f"{text!r} is not JSON: {error}") from error
    if accepts(input.schema, value) or not accepts(input.schema, text):
        return value  # one of the wrong type is refused, together with all others, where the run begins
    return text


def missing_inputs(workflow: Workflow, values: Mapping[str, Any]) -> list[WorkflowInput]:
    """The inputs that a run needs and that have no value.

    Args:
        workflow: The workflow.
        values: The values by the name of the input.
    """
    return [input for input in workflow.inputs if input.required and input.name not in values]


def _from_file(input: WorkflowInput, name: str) -> Any:
    try:
        return json.loads(Path(name).expanduser().read_text("utf-8-sig"))
    except OSError as error:
        raise _wrong(input, f"the file {name!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(input, f"the file {name!r} is not JSON: {error}") from error


def _wrong(input: WorkflowInput, reason: str) -> SymphonyError:
    expected = describe(input.schema)
    hint = f"Expected {expected}: give JSON, or `--input {input.name}=@FILE` for a file of JSON."
    return usage_error(f"the input {input.name!r}: {reason}", hint)


def _known(name: str, declared: Mapping[str, WorkflowInput]) -> str:
    near = get_close_matches(name, declared, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(declared) or 'none'}."
