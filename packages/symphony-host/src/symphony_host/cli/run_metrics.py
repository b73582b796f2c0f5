"""`symphony runs metrics`: what a run took."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import clean, counted, seconds, size

if TYPE_CHECKING:
    from symphony_sdk.ports import GroupMetrics, NodeMetrics, RunMetrics, Spread

SHOWN = 10
"""How many nodes are told unless the user asks for more or fewer; the JSON has all of them."""

_OF_GROUPS = ("nodes", "failed", "retries", "p50", "p95", "p99", "queued p95", "work", "in", "out", "memory")
_OF_NODES = ("node", "state", "time", "queued", "work", "retries", "in", "out", "memory", "place")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    help="Tell at most so many nodes, those that took longest.",
)
@json_option
@debug_option
@pass_shell
def metrics(shell: Shell, run_id: str, limit: int) -> None:
    """Tell what RUN took until now, or until its end: times, waits, throughput, bytes and memory.

    \b
    Example:
      symphony runs metrics 20260301-1
    """
    found = asyncio.run(_metrics(shell, run_id))
    if shell.json:
        shell.print_json(found)
        return
    shell.table(("", clean(found.run)), list(_run(found)))
    for what, groups in (("operation", found.operations), ("extension", found.extensions)):
        if groups:
            click.echo()
            shell.table((what, *_OF_GROUPS), [_group(group) for group in groups])
    if found.nodes and limit:
        click.echo()
        longest = sorted(found.nodes, key=lambda node: -node.seconds)[:limit]
        path = set(found.critical_path)
        shell.table(_OF_NODES, [_node(node, node.node in path) for node in longest])
        if len(found.nodes) > limit:
            click.echo(f"and {counted(len(found.nodes) - limit, 'more node')}; --limit shows them")
        if path:
            click.echo("* on the critical path")


async def _metrics(shell: Shell, run_id: str) -> "RunMetrics":
    async with open_host(settings_of(shell)) as host:
        return await host.core.metrics(await whole_id(host.core, run_id))


def _run(found: "RunMetrics") -> Iterable[tuple[str, str]]:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found.states.items()))
    yield "workflow", found.workflow
    yield "state", found.state
    yield "nodes", states or "none"
    if found.reused:
        yield "reused", f"{found.reused:,}"
    yield "retries", f"{found.retries:,}"
    yield "time", _took(found.wall)
    lately = f"; {found.recent:,.1f} in the last {_took(found.window)}" if found.state == "running" else ""
    yield "throughput", f"{found.throughput:,.1f} nodes/s{lately}"
    yield "work", f"{_took(found.work)}, {found.parallelism:.2f} at once"
    on_path = counted(len(found.critical_path), "node")
    yield (
        "critical path",
        f"{_took(found.critical_seconds)} of {on_path}, {_took(found.overhead)} beyond it",
    )
    yield "node time", _spread(found.duration)
    yield "node queue", _spread(found.queued)
    yield "data", f"{size(found.received)} in, {size(found.produced)} out"
    yield "peak memory", _known(found.memory)


def _spread(spread: "Spread") -> str:
    if not spread.count:
        return "-"
    named = (("p50", spread.p50), ("p95", spread.p95), ("p99", spread.p99), ("most", spread.largest))
    return ", ".join(f"{name} {_took(value)}" for name, value in named)


def _group(group: "GroupMetrics") -> tuple[str, ...]:
    duration = group.duration
    return (
        group.name,
        f"{group.nodes:,}",
        f"{group.failed:,}",
        f"{group.retries:,}",
        _took(duration.p50),
        _took(duration.p95),
        _took(duration.p99),
        _took(group.queued.p95),
        _took(group.work),
        size(group.received),
        size(group.produced),
        _known(group.memory),
    )


def _node(node: "NodeMetrics", critical: bool) -> tuple[str, ...]:
    return (
        f"{node.node} *" if critical else node.node,
        "reused" if node.origin else node.state,
        _took(node.seconds) if node.began else "",
        _took(node.queued) if node.began else "",
        _took(node.work) if node.began else "",
        f"{node.retries:,}",
        size(node.received),
        size(node.produced),
        _known(node.memory),
        node.place,
    )


def _took(amount: float) -> str:
    """A duration for people, in milliseconds where it is short: most of what is measured is."""
    return f"{amount * 1e3:.1f} ms" if 0 < amount < 0.0995 else seconds(amount)


def _known(amount: int) -> str:
    return size(amount) if amount else "-"
