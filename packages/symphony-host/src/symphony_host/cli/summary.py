"""What is printed after a run: its nodes, what failed and how to go on, and its results."""

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
from symphony_core import Outcome, SymphonyCore
from symphony_sdk.error_codes import CATALOGUE
from symphony_sdk.errors import error_from_payload
from symphony_sdk.ports import NodeStatus, RunStatus

from symphony_host.cli.displays import FEW
from symphony_host.cli.failures import Failure, failures
from symphony_host.cli.results import Result
from symphony_host.cli.shell import Shell, error_lines
from symphony_host.cli.text import clean, seconds, size
from symphony_host.run_shape import RunShape

SHOWN_FAILURES = 3
"""How many kinds of failure are told; the JSON has all of them."""
SHOWN_NODES = 5
"""How many nodes of one kind of failure are named."""
SHOWN_SLOWEST = 5
"""How many of the nodes that took longest are named."""

_WIDTH = 100
_COLORS = {"completed": "green", "failed": "red", "cancelled": "red", "paused": "yellow"}


async def shape_of(core: SymphonyCore, status: RunStatus, *, needed: bool = False) -> RunShape | None:
    """How the nodes of a run depend on each other, where a summary of it needs to know that.

    Args:
        core: Where the run is.
        status: Where the run is, with its nodes.
        needed: Whether it has to be known though no node failed.
    """
    if not needed and not any(node.state == "failed" for node in status.nodes):
        return None
    request = await core.request(status.run)
    return await asyncio.to_thread(RunShape.of_document, request.workflow)


def print_summary(
    shell: Shell, outcome: Outcome, results: Sequence[Result], shape: RunShape | None = None
) -> None:
    """Print how a run ended.

    Args:
        shell: How to print.
        outcome: Where the run is.
        results: Its outputs.
        shape: How its nodes depend on each other, where some failed.
    """
    status = outcome.status
    failed = failures(status.nodes, shape) if shape else []
    if shell.json:
        shell.print_json(_document(status, failed, results))
        return
    click.echo()
    if len(status.nodes) > FEW:
        _print_counts(status)
    elif status.nodes:
        print_nodes(shell, status.nodes)
    _print_failures(status, failed)
    _print_results(results)
    state = click.style(status.state, fg=_COLORS.get(status.state), bold=True)
    click.echo(f"\n{status.run} {state} in {seconds(status.seconds)}")
    if status.state in ("failed", "paused"):
        click.echo(f"go on with: symphony resume {status.run}")
        if failed:
            node = failed[0].nodes[0]
            click.echo(f"or with one node and what depends on it: symphony runs retry {status.run} {node}")


def print_nodes(shell: Shell, nodes: Sequence[NodeStatus]) -> None:
    """Print a table of nodes.

    Args:
        shell: How to print.
        nodes: The nodes.
    """
    shell.table(("node", "state", "items", "time", "attempts"), [_row(node) for node in nodes])


def _row(node: NodeStatus) -> tuple[str, ...]:
    items = f"{node.done:,}/{node.total:,}" if node.total > 1 else ""
    return (
        node.node,
        node.state,
        items,
        seconds(node.seconds) if node.attempt else "",
        str(node.attempt or ("reused" if _is_reused(node) else "")),
    )


def _print_counts(status: RunStatus) -> None:
    """Tell a large run in three lines: how its nodes ended, how fast, and which took longest."""
    nodes = status.nodes
    counts = Counter(node.state for node in nodes)
    told = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
    click.echo(f"{click.style(f'{len(nodes):,} nodes', bold=True)}: {told}")
    facts = _facts(nodes, status.seconds)
    parts = [f"{facts['per_second']:,.1f} nodes/s"] if facts["per_second"] else []
    parts += [f"{facts['retries']:,} retried"] if facts["retries"] else []
    parts += [f"{facts['reused']:,} reused"] if facts["reused"] else []
    if parts:
        click.echo(", ".join(parts))
    slow = [f"{clean(node.node)} {seconds(node.seconds)}" for node in _slowest(nodes)]
    if slow:
        click.echo(f"slowest: {', '.join(slow)}")


def _slowest(nodes: Sequence[NodeStatus]) -> list[NodeStatus]:
    return heapq.nlargest(
        SHOWN_SLOWEST, (node for node in nodes if node.attempt), key=lambda node: node.seconds
    )


def _is_reused(node: NodeStatus) -> bool:
    """Whether a node has its result from another run: it is completed and was never begun."""
    return node.state == "completed" and not node.attempt


def _facts(nodes: Sequence[NodeStatus], spent: float) -> dict[str, Any]:
    worked = sum(1 for node in nodes if node.attempt and node.state in ("completed", "failed"))
    return {
        "per_second": worked / spent if spent > 0 else 0.0,
        "retries": sum(node.attempt - 1 for node in nodes if node.attempt > 1),
        "reused": sum(map(_is_reused, nodes)),
    }


def _print_failures(status: RunStatus, failed: Sequence[Failure]) -> None:
    for failure in failed[:SHOWN_FAILURES]:
        click.echo(err=True)
        for line in _failure_lines(failure, brief=len(failed) > 1):
            click.echo(line, err=True)
    if len(failed) > SHOWN_FAILURES:
        rest = sum(len(failure.nodes) for failure in failed[SHOWN_FAILURES:])
        more = f"and {rest:,} more nodes failed in {len(failed) - SHOWN_FAILURES:,} other ways"
        click.echo(f"\n{more}: symphony runs show {status.run} --failed", err=True)
    if status.error is not None and not failed:
        click.echo(err=True)
        for line in error_lines(error_from_payload(status.error)):
            click.echo(line, err=True)


def _failure_lines(failure: Failure, *, brief: bool) -> Iterator[str]:
    names, uses = failure.nodes, f" ({clean(failure.operation)})" if failure.operation else ""
    told = ", ".join(map(clean, names[:SHOWN_NODES])) + (", ..." if len(names) > SHOWN_NODES else "")
    if len(names) == 1:
        yield f"{click.style(told, bold=True)}{uses} failed:"
    else:
        yield f"{click.style(f'{len(names):,} nodes', bold=True)}{uses} failed: {told}"
    error = failure.error
    if brief:
        error = msgspec.structs.replace(error, message=error.message.partition("\n")[0])
    yield from error_lines(error_from_payload(error))
    if failure.skipped:
        which = "them" if len(names) > 1 else "it"
        one = failure.skipped == 1
        depend = (
            f"one that depends on {which} was" if one else f"{failure.skipped:,} that depend on {which} were"
        )
        yield f"  {depend} skipped"
    if failure.code in CATALOGUE:
        yield f"  more: symphony explain {failure.code}"


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


def _document(status: RunStatus, failed: Sequence[Failure], results: Sequence[Result]) -> dict[str, Any]:
    return {
        "event": "summary",
        "run": status.run,
        "workflow": status.workflow,
        "state": status.state,
        "seconds": status.seconds,
        "counts": Counter(node.state for node in status.nodes),
        **_facts(status.nodes, status.seconds),
        "slowest": [node.node for node in _slowest(status.nodes)],
        "failures": failed,
        "nodes": status.nodes,
        "error": status.error,
        "outputs": {
            result.name: {"artifact": result.artifact, "path": str(result.path)}
            if result.artifact is not None
            else {"value": result.value, "size": result.size}
            for result in results
        },
    }
