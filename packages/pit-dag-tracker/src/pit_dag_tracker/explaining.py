"""Says of each node of a run why it was computed, or was not, by comparing the run with those before it.

Nothing is written for that while a run is under way: the log has what each node was given and gave, and what was known
of the operations when the run began.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import MalformedMessage, SymphonyError
from symphony_sdk.ports.pit import Explanation, ExplanationCode
from symphony_sdk.providers import Services
from symphony_sdk.values import decode
from symphony_workflow.model import LoopNode, MapNode
from symphony_workflow.state import NodeState

from pit_dag_tracker.entries import Stored
from pit_dag_tracker.forking import node_number
from pit_dag_tracker.keys import Caller, is_kept
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.past_runs import PastRun
from pit_dag_tracker.spill import artifact_ids

LOOK_BACK = 20
"""Earlier runs of the workflow in which a result of a node is looked for."""

_SHOWN_BYTES = 60
_SHOWN_DIGITS = 12
_SHOWN_PORTS = 3

Reason = tuple[ExplanationCode, str, dict[str, Any]]


def explain(services: Services, log: EventLog, run: str, node: str) -> list[Explanation]:
    """Why nodes of a run were computed, or were not; reads the log, so it belongs in a thread.

    Args:
        services: Gives the Artifact Store.
        log: The log.
        run: Id of the run.
        node: Id of a node; empty for all.

    Raises:
        RunError: There is no such run or node, or the log is damaged.
    """
    now = PastRun(log, run)
    graph = now.ledger.graph
    numbers = [node_number(graph, node)] if node else list(graph.order)
    why: dict[int, Reason] = {}
    left: dict[int, Caller] = {}
    for number in numbers:
        found = _without_comparing(now, number)
        if isinstance(found, tuple):
            why[number] = found
        else:
            left[number] = found
    for before in _earlier(log, now) if left else ():
        for number, caller in list(left.items()):
            there = before.ledger.graph.index.get(caller.id)
            if there is not None and there in before.stored:
                why[number] = _compared(services, now, number, caller, before, there)
                del left[number]
        if not left:
            break
    for number in left:
        why[number] = "first-time", "no earlier run of the workflow has a result of it", {}
    return [Explanation(graph.nodes[number].id, *_with_items(now, number, why[number])) for number in numbers]


def _earlier(log: EventLog, now: PastRun) -> Iterator[PastRun]:
    """The runs of the same workflow before a run, the newest first; those that cannot be read are passed over."""
    rows = log.look(
        lambda connection: connection.execute(
            "SELECT run FROM runs WHERE workflow = (SELECT workflow FROM runs WHERE run = ?) AND rowid < "
            "(SELECT rowid FROM runs WHERE run = ?) ORDER BY rowid DESC LIMIT ?",
            (now.run, now.run, LOOK_BACK),
        ).fetchall()
    )
    for (run,) in rows:
        try:
            yield PastRun(log, run)
        except SymphonyError:  # whoever asks for that run is told
            continue


def _without_comparing(now: PastRun, number: int) -> Reason | Caller:
    """Why, where the run itself tells; the node where earlier runs must be looked at."""
    ledger = now.ledger
    node, state = ledger.graph.nodes[number], ledger.state[number]
    reused = now.reused.get(number)
    if reused is not None and state is NodeState.COMPLETED:
        details = {"run": reused.origin, "node": reused.source or reused.node, "computed": reused.computed}
        if reused.cached:
            text = f"the same as node {reused.source} of run {reused.origin} of {_moment(reused.computed)}"
            return "hit", text, details
        return "taken-over", f"the rerun took it over from run {reused.origin}", details
    if not isinstance(node, Caller) or ledger.graph.runs(number) is not None:
        return "control", "a control node is decided anew in each run", {}
    if not ledger.attempt[number]:
        return "not-run", f"it is {state} and has not run", {}
    count = now.reused_items.get(number, 0)
    if isinstance(node, MapNode | LoopNode) and 0 < count == ledger.done(number):
        return "hit", f"its {count:,} items are the same as earlier ones", {"items": count}
    if ledger.anew(number):
        return "asked", "a user asked for it to run again", {}
    if not now.request.policy.cache:
        return "switched-off", "the run was to compute everything anew", {}
    if node.cache.use == "never":
        return "never", 'its cache policy is `"use": "never"`', {}
    known = now.known.get(node.uses)
    if known is None:
        return "unknown", f"no usable extension said what {node.uses} is when the run began", {}
    if not known.idempotent:
        return "not-idempotent", f"{node.uses} has effects: it is not declared idempotent", {}
    if known.short:
        return (
            "cheaper-to-run",
            f"{node.uses} is declared short: it takes less to compute than to look up",
            {},
        )
    if not is_kept(known, node.cache):
        text = (
            f"{node.uses} may depend on files, the network or the system, which {known.extension} asks for; "
            'a node whose cache policy has a "ttl" takes results all the same'
        )
        return "reads-outside", text, {"extension": known.extension}
    return node


def _compared(
    services: Services, now: PastRun, number: int, node: Caller, before: PastRun, there: int
) -> Reason:
    """Why the result that a node had in an earlier run did not stand in."""
    old, new = before.known.get(node.uses), now.known[node.uses]
    if old is None:
        return "forgotten", f"run {before.run} kept no result of it", {"run": before.run}
    for what, was, is_ in (
        ("the version of its operation", old.version, new.version),
        (f"the version of {new.extension}", old.release, new.release),
    ):
        if was != is_:
            text = f"{what} changed from {was} to {is_} since run {before.run}"
            return "version-changed", text, {"run": before.run, "old": was, "new": is_}
    for whose, was, is_ in (
        (new.extension, old.fingerprint, new.fingerprint),
        (f"models that {new.extension} may run", old.models, new.models),
    ):
        if was != is_:
            text = f"the settings or the content of {whose} changed since run {before.run}"
            return "settings-changed", text, {"run": before.run, "old": was, "new": is_}
    given, was_given = now.given(number), before.given(there)
    if given is not None and was_given is not None:
        changed = {
            port: {"old": _shown(was_given.get(port)), "new": _shown(given.get(port))}
            for port in sorted(given.keys() | was_given.keys())
            if port not in node.cache.ignore and given.get(port) != was_given.get(port)
        }
        if changed:
            return "input-changed", _changes(changed, before.run), {"run": before.run, "inputs": changed}
    return _lost(services, node.cache.ttl, now.ledger.started[number], before, there)


def _lost(services: Services, ttl: float | None, started: float, before: PastRun, there: int) -> Reason:
    """Why a result that is the same did not stand in."""
    run, computed, stored = before.run, before.computed(there), before.stored[there]
    details = {"run": run, "computed": computed}
    if not stored:
        return "no-outputs", "it gives no outputs, so there is nothing to keep", details
    if before.ledger.ended[there] > started:
        return "at-the-same-time", f"run {run} was computing the same at that time", details
    if ttl is not None and computed + ttl < started:
        return "expired", f"the result of run {run} was older than the {ttl:g} s for which it counts", details
    for id_ in _artifacts(stored):
        try:
            is_there = not services.pit.artifacts.info(id_).removed
        except SymphonyError:
            is_there = False
        if not is_there:
            text = f"the artifact {id_[:_SHOWN_DIGITS]} of the result of run {run} was removed"
            return "removed", text, {**details, "artifact": id_}
    return "forgotten", f"the result of run {run} is not kept any more, or was not kept yet", details


def _with_items(now: PastRun, number: int, reason: Reason) -> Reason:
    """A reason that also says how many items of a map or loop were not computed."""
    code, text, details = reason
    reused, done = now.reused_items.get(number, 0), now.ledger.done(number)
    if code == "hit" or not reused:
        return reason
    text = f"{reused:,} of its {done:,} items are the same as earlier ones; {text}"
    return code, text, {**details, "items": reused}


def _artifacts(stored: Mapping[str, Stored]) -> Iterator[str]:
    values = {port: value for port, value in stored.items() if isinstance(value, bytes)}
    yield from artifact_ids(values)
    yield from (value.id for value in stored.values() if isinstance(value, ArtifactRef))


def _changes(changed: dict[str, dict[str, str]], run: str) -> str:
    ports: Sequence[str] = list(changed)
    told = [
        f"its input {port} changed from {changed[port]['old']} to {changed[port]['new']}"
        for port in ports[:_SHOWN_PORTS]
    ]
    more = f", and {len(ports) - _SHOWN_PORTS} more inputs" if len(ports) > _SHOWN_PORTS else ""
    return f"{', '.join(told)}{more} since run {run}"


def _shown(value: Stored | None) -> str:
    """A small value as it is, a large one as the first digits of its SHA-256."""
    if value is None:
        return "nothing"
    if isinstance(value, ArtifactRef):
        return f"artifact {value.id[:_SHOWN_DIGITS]}"
    if len(value) <= _SHOWN_BYTES:
        try:
            return repr(decode(value))
        except MalformedMessage:
            pass
    return f"{len(value):,} bytes {sha256(value).hexdigest()[:_SHOWN_DIGITS]}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
