"""How far a run is and how long it may still take, from how long its nodes took before.

The weight of a node is the seconds that it took in the last completed run of the workflow; a node that is not known
from there weighs as much as the mean of those that are. What is left is expected to go at the pace of what was done:
time that has passed, times weight left, over weight done. That holds however many nodes run at once.
"""

import sqlite3

import msgspec
from symphony_sdk.ports.pit import Progress
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.ledger import Ledger

_LEAST = 1e-6


class Pace(msgspec.Struct, frozen=True):
    """How long the last completed run of a workflow took.

    Args:
        seconds: The whole run, without its pauses.
        nodes: Each node that completed in it.
    """

    seconds: float = 0.0
    nodes: dict[str, float] = {}


def pace_of(ledger: Ledger) -> Pace:
    """The pace of a run that has completed.

    Args:
        ledger: Where the run is.
    """
    done = {
        name: seconds
        for name, state, seconds in zip(ledger.graph.names, ledger.state, ledger.seconds, strict=True)
        if state is NodeState.COMPLETED
    }
    return Pace(max(0.0, ledger.run_ended - ledger.went_on), done)


def read_pace(connection: sqlite3.Connection, workflow: str) -> Pace:
    """The pace of the last completed run of a workflow; empty where there is none.

    Args:
        connection: A connection to the log.
        workflow: Id of the workflow.
    """
    row = connection.execute("SELECT pace FROM paces WHERE workflow = ?", (workflow,)).fetchone()
    return msgspec.msgpack.decode(row[0], type=Pace) if row else Pace()


def write_pace(connection: sqlite3.Connection, workflow: str, pace: Pace) -> None:
    """Keep the pace of a run for the next one of its workflow.

    Args:
        connection: A connection to the log, in a transaction.
        workflow: Id of the workflow.
        pace: The pace.
    """
    connection.execute("INSERT OR REPLACE INTO paces VALUES (?, ?)", (workflow, msgspec.msgpack.encode(pace)))


def progress_of(ledger: Ledger, pace: Pace, now: float) -> Progress:
    """How far a run is.

    Args:
        ledger: Where the run is.
        pace: How long the workflow took before.
        now: Unix time in seconds.
    """
    graph = ledger.graph
    known = [pace.nodes[name] for name in graph.names if name in pace.nodes]
    usual = sum(known) / len(known) if known else 1.0
    over, done, earned, total = 0, 0.0, 0.0, 0.0
    for number, name in enumerate(graph.names):
        weight = max(_LEAST, pace.nodes.get(name, usual))
        total += weight
        if ledger.over(number):
            over += 1
            done += weight
            if ledger.ended[number] > ledger.went_on and ledger.began[number]:
                earned += weight
        elif ledger.items.get(number) and ledger.total[number]:
            share = min(1.0, len(ledger.items[number]) / ledger.total[number])
            done += weight * share
            earned += weight * share
    left = max(0.0, total - done)
    eta = None
    if not left or ledger.run_state is RunState.COMPLETED:
        eta = 0.0
    elif ledger.run_state is RunState.RUNNING:
        if earned > 0:
            eta = max(0.0, now - ledger.went_on) * left / earned
        elif pace.seconds:
            eta = pace.seconds * left / total
    percentage = 100.0 * done / total if total else 100.0
    return Progress(over, len(graph.names), done, total, min(100.0, percentage), eta)
