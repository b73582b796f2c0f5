"""`symphony validate`."""

import asyncio
import dataclasses
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from symphony_workflow import (
    Finding,
    NeededPermission,
    Workflow,
    json_schema,
    load,
    required_permissions,
)
from symphony_workflow.places import line_numbers, line_of

from symphony_host.cli import exits
from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.text import columns, counted

if TYPE_CHECKING:
    from symphony_host.configuration import Settings

_SHOWN = 10
"""How many findings of one kind, and how many nodes of one permission, are printed."""


def _print_schema(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(json.dumps(json_schema(), indent=2))
        ctx.exit()


@click.command()
@click.argument("flow", type=click.Path(path_type=Path))
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of workflow files, and check nothing.",
)
@json_option
@debug_option
@pass_shell
def validate(shell: Shell, flow: Path) -> int:
    """Find every fault of the workflow in the file FLOW, without running anything of it.

    The findings of one kind stand together, each with its line; below them, what the extensions of its nodes ask
    to be allowed. The exit code is 1 where an error was found, and 0 where there are at most warnings.

    \b
    Example:
      symphony validate examples/workflows/code-atlas.json
    """
    workflow = load(flow)
    settings = settings_of(shell)
    findings = asyncio.run(_findings(settings, workflow))
    permissions = _permissions(settings, workflow)
    lines = _line_numbers(flow) if findings else {}
    errors = sum(finding.severity == "error" for finding in findings)
    if shell.json:
        shell.print_json(
            {
                "file": str(flow),
                "findings": [{**dataclasses.asdict(each), "line": line_of(each, lines)} for each in findings],
                "permissions": [
                    {**each._asdict(), "permission": str(each.permission), "reason": each.permission.reason}
                    for each in permissions
                ],
            }
        )
    else:
        _print_findings(findings, flow, lines)
        _print_permissions(permissions)
        warnings = len(findings) - errors
        click.echo(
            f"{flow}: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
            if findings
            else f"{flow}: {counted(len(workflow.nodes), 'node')}, no fault found"
        )
    return exits.FAILED if errors else exits.OK


async def _findings(settings: "Settings", workflow: Workflow) -> list[Finding]:
    async with open_host(settings) as host:
        return await host.core.validate(workflow)


def _permissions(settings: "Settings", workflow: Workflow) -> list[NeededPermission]:
    from symphony_host.catalogue import load_catalogue

    records = load_catalogue(settings).usable()
    return required_permissions(workflow, {record.id: record.manifest.permissions for record in records})


def _line_numbers(flow: Path) -> "dict[tuple[str | int, ...], int]":
    """The lines of the parts of the file; none where it is no text."""
    try:
        return line_numbers(flow.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        return {}


def _print_findings(findings: list[Finding], flow: Path, lines: "dict[tuple[str | int, ...], int]") -> None:
    """Print the errors, then the warnings, those of one kind together in the order of the file."""
    by_kind: dict[tuple[str, str], list[tuple[int, Finding]]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.severity, finding.code].append((line_of(finding, lines), finding))
    for (severity, code), found in sorted(by_kind.items()):
        found.sort(key=lambda one: one[0])
        for line, finding in found[:_SHOWN]:
            _print(finding, flow, line)
        if len(found) > _SHOWN:
            click.echo(f"{severity}[{code}]: {len(found) - _SHOWN} more; --json lists all of them\n")


def _print(finding: Finding, flow: Path, line: int) -> None:
    from symphony_sdk.errors import WorkflowError

    place = [f"{flow}:{line}" if line else str(flow)]
    if finding.workflow:
        place.append(f"workflow #{finding.workflow}")
    if finding.node:
        place.append(f"node {finding.node}")
    if finding.port:
        place.append(f"port {finding.port}")
    if finding.edge is not None:
        place.append(f"edge {finding.edge}")
    error = WorkflowError(finding.message, code=finding.code, hint=finding.hint, file=", ".join(place))
    for text in error_lines(error, label=finding.severity):
        click.echo(text)
    click.echo()


def _print_permissions(permissions: list[NeededPermission]) -> None:
    if not permissions:
        return
    click.secho("permissions that its extensions ask for", bold=True)
    rows = [
        (
            str(each.permission),
            "required" if each.permission.required else "optional",
            each.extension,
            ", ".join(each.nodes[:_SHOWN]) + (", ..." if len(each.nodes) > _SHOWN else ""),
            each.permission.reason,
        )
        for each in permissions
    ]
    for line in columns(rows, indent=2):
        click.echo(line)
    click.echo()
