"""`symphony runs diff`: what is different between two runs."""

import asyncio
from typing import TYPE_CHECKING, Any

import click
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.values import decode

from symphony_host.cli.session import open_host, settings_of, whole_id
from symphony_host.cli.shell import Shell, debug_option, json_option, pass_shell
from symphony_host.cli.text import seconds, size

if TYPE_CHECKING:
    from symphony_core import Outcome, SymphonyCore
    from symphony_sdk.ports import NodeStatus, RunRequest

Pair = dict[str, Any]
"""A value of each run, under `a` and `b`; a key is left out where its run has none."""

_WIDTH = 40


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@json_option
@debug_option
@pass_shell
def diff(shell: Shell, first: str, second: str) -> None:
    """Compare two runs: states, times, inputs, params and outputs, and of those only what is different.

    \b
    Example:
      symphony runs diff 20260301-1 20260302-9
    """
    (request_a, outcome_a), (request_b, outcome_b) = asyncio.run(_both(shell, first, second))
    found: dict[str, Any] = {
        "a": outcome_a.status.run,
        "b": outcome_b.status.run,
        "run": run_difference(outcome_a, outcome_b),
        "inputs": values_difference(request_a.inputs, request_b.inputs),
        "params": difference(params_of(request_a), params_of(request_b)),
        "nodes": nodes_difference(outcome_a, outcome_b),
        "outputs": values_difference(outcome_a.outputs, outcome_b.outputs),
    }
    if shell.json:
        shell.print_json(found)
        return
    rows = [
        (kind, name, _shown(pair, "a"), _shown(pair, "b"))
        for kind in ("run", "inputs", "params", "outputs")
        for name, pair in found[kind].items()
    ]
    rows += [
        (f"node {node}", name, _shown(pair, "a"), _shown(pair, "b"))
        for node, facts in found["nodes"].items()
        for name, pair in facts.items()
    ]
    shell.table(("", "", found["a"], found["b"]), rows)


def difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Pair]:
    """What is different in two dictionaries, by key.

    Args:
        a: Values of the first run.
        b: Values of the second.
    """
    found = {}
    for name in sorted(a.keys() | b.keys()):
        pair = {side: values[name] for side, values in (("a", a), ("b", b)) if name in values}
        if len(pair) == 1 or pair["a"] != pair["b"]:
            found[name] = pair
    return found


def run_difference(a: "Outcome", b: "Outcome") -> dict[str, Pair]:
    """What is different in two runs as a whole.

    Args:
        a: The first run.
        b: The second.
    """
    return difference(
        *({name: getattr(one.status, name) for name in ("workflow", "state", "seconds")} for one in (a, b))
    )


def nodes_difference(a: "Outcome", b: "Outcome") -> dict[str, dict[str, Pair]]:
    """What is different in the nodes of two runs, by node.

    Args:
        a: The first run.
        b: The second.
    """
    left, right = ({node.node: _facts(node) for node in one.status.nodes} for one in (a, b))
    found = {node: difference(left.get(node, {}), right.get(node, {})) for node in {**left, **right}}
    return {node: facts for node, facts in found.items() if facts}


def values_difference(a: "dict[str, bytes]", b: "dict[str, bytes]") -> dict[str, Pair]:
    """What is different in encoded values, by name, decoded where they are not too large.

    Args:
        a: Values of the first run.
        b: Values of the second.
    """
    return {
        name: {side: _decoded(data) for side, data in pair.items()} for name, pair in difference(a, b).items()
    }


def params_of(request: "RunRequest") -> dict[str, Any]:
    """The params of a run's workflow, by `NODE.PORT`.

    Args:
        request: What the run was asked to do.
    """
    return {
        f"{id}.{port}": value
        for id, node in request.workflow.get("nodes", {}).items()
        for port, value in node.get("params", {}).items()
    }


async def _both(shell: Shell, first: str, second: str) -> "list[tuple[RunRequest, Outcome]]":
    async with open_host(settings_of(shell)) as host:
        return [await _one(host.core, text) for text in (first, second)]


async def _one(core: "SymphonyCore", text: str) -> "tuple[RunRequest, Outcome]":
    run = await whole_id(core, text)
    return await core.request(run), await core.outcome(run)


def _facts(node: "NodeStatus") -> dict[str, Any]:
    error = node.error.message if node.error is not None else None
    return {"state": node.state, "seconds": node.seconds, "attempt": node.attempt, "error": error}


def _decoded(data: bytes) -> Any:
    try:
        return decode(data)
    except MalformedMessage:  # longer than what is read without a type
        return size(len(data))


def _shown(pair: Pair, side: str) -> str:
    if side not in pair:
        return "-"
    value = pair[side]
    text = seconds(value) if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."
