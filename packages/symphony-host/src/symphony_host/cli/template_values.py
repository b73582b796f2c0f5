"""Turns `NAME=VALUE` of the command line, and what is typed when asked, into values for a template's parameters."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from symphony_workflow.port_types import accepts
from symphony_workflow.templates import Parameter, Template

from symphony_host.cli.shell import usage_error


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """What was given as `NAME=VALUE`, by name.

    Args:
        given: The texts.
        option: The option that they were given with.

    Raises:
        ConfigurationError: SYM-C040, one is not `NAME=VALUE`, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise usage_error(f"{text!r} is not NAME=VALUE", f"Write it as `{option} NAME=VALUE`.")
        if name in found:
            raise usage_error(f"{name!r} is given twice", "Give it once.")
        found[name] = value
    return found


def read_values(template: Template, given: Sequence[str]) -> dict[str, Any]:
    """The values by parameter; whether they fit, the template says.

    Text stays text where the parameter takes text alone; anything else is JSON, or `@FILE` for a file of JSON, or
    else text.

    Args:
        template: The template.
        given: `NAME=VALUE` each.

    Raises:
        ConfigurationError: SYM-C040, one is not `NAME=VALUE`, given twice, or names a file that is no JSON.
    """
    parameters = {parameter.name: parameter for parameter in template.parameters}
    return {
        name: _value(parameters.get(name) or Parameter(name), text)
        for name, text in pairs(given, "--param").items()
    }


def asked_for(template: Template, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the user types for each parameter that has neither a value nor a default.

    Args:
        template: The template.
        values: The values that are given.
    """
    return {
        parameter.name: _value(
            parameter, click.prompt(f"{parameter.name} ({parameter.description or parameter.type})")
        )
        for parameter in template.parameters
        if parameter.required and parameter.name not in values
    }


def _value(parameter: Parameter, text: str) -> Any:
    if parameter.schema.get("type") == "string":
        if parameter.schema.get("format") == "path":
            return str(Path(text).expanduser().absolute())
        return text
    if text.startswith("@"):
        return _from_file(parameter, text[1:])
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if accepts(parameter.schema, text) and not accepts(parameter.schema, value) else value


def _from_file(parameter: Parameter, name: str) -> Any:
    try:
        return json.loads(Path(name).expanduser().read_text("utf-8-sig"))
    except OSError as error:
        reason = f"the file {name!r} cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        reason = f"the file {name!r} is not JSON: {error}"
    raise usage_error(f"the parameter {parameter.name!r}: {reason}", "Name a file of JSON, or give the JSON.")
