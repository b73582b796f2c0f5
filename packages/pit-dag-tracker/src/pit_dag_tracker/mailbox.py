"""Commands for a run that another process works on: left in the log's database, taken and answered by that process.

The process that works on runs looks for commands a few dozen times a second. It answers when the command is done, and
durable. Where it ends before, whoever asked finds the run free and gives the command itself.
"""

import asyncio
import sqlite3
import time

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError, error_from_payload
from symphony_sdk.events import RunCommand

from pit_dag_tracker.log import EventLog
from pit_dag_tracker.owner import Owner

LOOK = 0.02
"""Seconds between two looks for commands, and for their answers."""

PATIENCE = 10.0
"""Seconds after which a command that was not taken is withdrawn."""

_LOOKS_PER_SIGN_OF_LIFE = 10


class Command(msgspec.Struct, frozen=True):
    """What somebody asks of a run.

    Args:
        run: Id of the run.
        kind: What is asked.
        actor: Who asks.
        node: Id of the node that it is about; empty for the whole run.
        comment: What the actor says about it.
    """

    run: str
    kind: RunCommand
    actor: str = ""
    node: str = ""
    comment: str = ""


def post(connection: sqlite3.Connection, owner: str, command: Command) -> int:
    """Leave a command for an owner; the number that its answer will have.

    Args:
        connection: A connection to the log, in a transaction.
        owner: Name of the owner.
        command: What is asked.
    """
    cursor = connection.execute(
        "INSERT INTO mailbox (owner, command) VALUES (?, ?)", (owner, msgspec.msgpack.encode(command))
    )
    return cursor.lastrowid or 0


def take(connection: sqlite3.Connection, owner: str) -> list[tuple[int, Command]]:
    """The commands that are left for an owner, each once, with their numbers.

    Args:
        connection: A connection to the log, in a transaction.
        owner: Name of the owner.
    """
    rows = connection.execute(
        "UPDATE mailbox SET taken = 1 WHERE owner = ? AND NOT taken RETURNING id, command", (owner,)
    ).fetchall()
    return [(number, msgspec.msgpack.decode(data, type=Command)) for number, data in sorted(rows)]


def answer(connection: sqlite3.Connection, number: int, error: ErrorPayload | None) -> None:
    """Tell whoever asked what became of a command.

    Args:
        connection: A connection to the log, in a transaction.
        number: Number of the command.
        error: Why it was refused.
    """
    connection.execute("UPDATE mailbox SET answer = ? WHERE id = ?", (msgspec.msgpack.encode(error), number))


def forget(connection: sqlite3.Connection, number: int) -> None:
    """Take a command out.

    Args:
        connection: A connection to the log, in a transaction.
        number: Number of the command.
    """
    connection.execute("DELETE FROM mailbox WHERE id = ?", (number,))


def waiting(connection: sqlite3.Connection, owner: str) -> bool:
    """Whether a command is left for an owner.

    Args:
        connection: A connection to the log.
        owner: Name of the owner.
    """
    return (
        connection.execute("SELECT 1 FROM mailbox WHERE owner = ? AND NOT taken", (owner,)).fetchone()
        is not None
    )


async def outcome(log: EventLog, owner: Owner, name: str, number: int) -> bool:
    """Wait for the answer to a command; whether there was one before its owner ended.

    Args:
        log: Where the command is.
        owner: Tells who is alive.
        name: Whom it was left for.
        number: Number of the command.

    Raises:
        RunError: It was refused, or not taken in time; it is withdrawn then.
    """
    until, looks = time.monotonic() + PATIENCE, 0

    def withdrawn(connection: sqlite3.Connection) -> bool:
        return connection.execute("DELETE FROM mailbox WHERE id = ? AND NOT taken", (number,)).rowcount > 0

    try:
        while True:
            taken, given = await asyncio.to_thread(log.look, lambda connection: _stands(connection, number))
            if given is not None:
                error = msgspec.msgpack.decode(given, type=ErrorPayload | None)
                if error is not None:
                    raise error_from_payload(error)
                return True
            looks += 1
            if looks % _LOOKS_PER_SIGN_OF_LIFE == 0 and not owner.alive(name):
                return False
            if not taken and time.monotonic() > until and await asyncio.wrap_future(log.work(withdrawn)):
                raise RunError(
                    f"the process {name.partition('-')[0]} works on the run and does not answer",
                    code="SYM-R066",
                    hint="See whether it is stopped. Where it ends, the run can be steered from here.",
                )
            await asyncio.sleep(LOOK / 2)
    finally:
        await asyncio.wrap_future(log.work(lambda connection: forget(connection, number)))


def _stands(connection: sqlite3.Connection, number: int) -> tuple[bool, bytes | None]:
    taken, given = connection.execute("SELECT taken, answer FROM mailbox WHERE id = ?", (number,)).fetchone()
    return bool(taken), given
