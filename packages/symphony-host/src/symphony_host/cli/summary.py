"""What is printed after a run: its nodes, what failed and how to go on, and its results."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
from symphony_core import Outcome
from symphony_sdk.errors import error_from_payload
from symphony_sdk.ports import NodeStatus, RunStatus

from symphony_host.cli.displays import FEW
from symphony_host.cli.results import Result
from symphony_host.cli.shell import Shell, error_lines
from symphony_host.cli.text import clean, seconds, size

SHOWN_FAILURES = 10
"""How many failures are told; the JSON has all of them."""

_WIDTH = 100
_COLORS = {"completed": "green", "failed": "red", "cancelled": "red", "paused": "yellow"}


def print_summary(shell: Shell, outcome: Outcome, results: Sequence[Result]) -> None:
    """Print how a run ended.

    Args:
        shell: How to print.
        outcome: Where the run is.
        results: Its outputs.
    """
    status = outcome.status
    if shell.json:
        shell.print_json(_document(status, results))
        return
    click.echo()
    if status.nodes:
        shell.table(
            ("node", "state", "items", "time", "attempts"), [_row(node) for node in _told(status.nodes)]
        )
    if len(status.nodes) > FEW:
        counts = Counter(node.state for node in status.nodes)
        click.echo(", ".join(f"{count:,} {state}" for state, count in counts.most_common()) + " in all")
    _print_failures(status)
    _print_results(results)
    state = click.style(status.state, fg=_COLORS.get(status.state), bold=True)
    click.echo(f"\n{status.run} {state} in {seconds(status.seconds)}")
    if status.state in ("failed", "paused"):
        click.echo(f"go on with: symphony resume {status.run}")


def _told(nodes: Sequence[NodeStatus]) -> list[NodeStatus]:
    """All of a few nodes; of many, those that failed and those that took longest."""
    if len(nodes) <= FEW:
        return list(nodes)
    failed = [node for node in nodes if node.state == "failed"][:SHOWN_FAILURES]
    slowest = sorted(nodes, key=lambda node: -node.seconds)[: FEW // 2]
    chosen = {node.node for node in (*failed, *slowest)}
    return [node for node in nodes if node.node in chosen]


def _row(node: NodeStatus) -> tuple[str, ...]:
    items = f"{node.done:,}/{node.total:,}" if node.total > 1 else ""
    return (
        node.node,
        node.state,
        items,
        seconds(node.seconds) if node.attempt else "",
        str(node.attempt or ""),
    )


def _print_failures(status: RunStatus) -> None:
    failed = [node for node in status.nodes if node.error is not None and node.state == "failed"]
    for node in failed[:SHOWN_FAILURES]:
        click.echo(f"\n{click.style(clean(node.node), bold=True)} failed:", err=True)
        for line in error_lines(error_from_payload(node.error)):  # type: ignore[arg-type]
            click.echo(line, err=True)
    if len(failed) > SHOWN_FAILURES:
        click.echo(f"\nand {len(failed) - SHOWN_FAILURES:,} more nodes failed", err=True)
    if status.error is not None and not failed:
        click.echo(err=True)
        for line in error_lines(error_from_payload(status.error)):
            click.echo(line, err=True)


def _print_results(results: Sequence[Result]) -> None:
    if not results:
        return
    click.echo()
    width = max(len(result.name) for result in results)
    for result in results:
        name = click.style(result.name.ljust(width), bold=True)
        if result.artifact is not None:
            click.echo(f"{name}  {result.path} ({size(result.size)})")
            click.echo(f"{' ' * width}  artifact {clean(result.artifact.id)}")
        else:
            click.echo(f"{name}  {_shown(result)}")


def _shown(result: Result) -> str:
    if result.value is None and result.size > 1:
        return f"{size(result.size)}, too large to be shown"
    text = clean(json.dumps(result.value, ensure_ascii=False, default=str))
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}... ({size(result.size)})"


def _document(status: RunStatus, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "event": "summary",
        "run": status.run,
        "workflow": status.workflow,
        "state": status.state,
        "seconds": status.seconds,
        "nodes": status.nodes,
        "error": status.error,
        "outputs": {
            result.name: {"artifact": result.artifact, "path": str(result.path)}
            if result.artifact is not None
            else {"value": result.value, "size": result.size}
            for result in results
        },
    }
