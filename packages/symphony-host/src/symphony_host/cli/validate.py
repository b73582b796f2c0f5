"""`symphony validate`."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from symphony_workflow import Finding, Workflow, json_schema, load

from symphony_host.cli import exits
from symphony_host.cli.session import open_host, settings_of
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell

if TYPE_CHECKING:
    from symphony_host.configuration import Settings


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

    The exit code is 1 where an error was found, and 0 where there are at most warnings.

    \b
    Example:
      symphony validate examples/workflows/code-atlas.json
    """
    workflow = load(flow)
    findings = asyncio.run(_findings(settings_of(shell), workflow))
    errors = sum(finding.severity == "error" for finding in findings)
    if shell.json:
        shell.print_json({"file": str(flow), "findings": [dataclasses.asdict(each) for each in findings]})
    else:
        for finding in findings:
            _print(finding, flow)
        warnings = len(findings) - errors
        click.echo(
            f"{flow}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"
            if findings
            else f"{flow}: {_count(len(workflow.nodes), 'node')}, no fault found"
        )
    return exits.FAILED if errors else exits.OK


async def _findings(settings: "Settings", workflow: Workflow) -> list[Finding]:
    async with open_host(settings) as host:
        return await host.core.validate(workflow)


def _print(finding: Finding, flow: Path) -> None:
    from symphony_sdk.errors import WorkflowError

    place = [str(flow)]
    if finding.node:
        place.append(f"node {finding.node}")
    if finding.port:
        place.append(f"port {finding.port}")
    if finding.edge is not None:
        place.append(f"edge {finding.edge}")
    error = WorkflowError(finding.message, code=finding.code, hint=finding.hint, file=", ".join(place))
    for line in error_lines(error, label=finding.severity):
        click.echo(line)
    click.echo()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
