"""Gives a command to a run, wherever that is: under way here, in another process, or nowhere."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from symphony_sdk.errors import RunError, SymphonyError, foreign_error
from symphony_sdk.events import NodeSkipped, RunEvent, RunSteered
from symphony_workflow.state import NODE_ENDS, NodeState

from pit_dag_tracker import mailbox
from pit_dag_tracker.forking import node_number
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.mailbox import Command
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.scheduler import Scheduler
from pit_dag_tracker.tables import RunRow, amend_run, cancel_run, find_run

ENDS = ("completed", "failed", "cancelled")
GOING_ON = ("running", "waiting")


class Steering:
    """Takes every command that does not need a new scheduler, and passes the others on.

    Args:
        log: Keeps the runs.
        owner: This tracker, among those that work on runs.
        live: The runs that are under way here.
        replay: Where a run is, from the log; called in a thread.
        unstall: Writes what could not be written of a run that is paused for that, and ends it here.
        go_on: Lets a run on which nobody works go on, for `resume` and `retry`.
        retry: Lets nodes of a run that is under way here run again.
    """

    def __init__(
        self,
        log: EventLog,
        owner: Owner,
        live: Mapping[str, Scheduler],
        *,
        replay: Callable[[str], tuple[RunRow, Ledger]],
        unstall: Callable[[str], Awaitable[None]],
        go_on: Callable[[Command], Awaitable[None]],
        retry: Callable[[Scheduler, Command], Awaitable[None]],
    ) -> None:
        self._log = log
        self._owner = owner
        self._live = live
        self._replay = replay
        self._unstall = unstall
        self._go_on = go_on
        self._retry = retry
        self._attending: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def give(self, command: Command) -> None:
        """Give a command, and return once it has taken effect and is durable.

        Args:
            command: What is asked.

        Raises:
            RunError: It cannot be done as the run stands, or the log cannot be written.
        """
        while True:
            live = self._live.get(command.run)
            if live is not None and live.stalled:
                if command.kind == "pause":
                    return
                await self._unstall(command.run)
                row = await asyncio.to_thread(self._log.run, command.run)
                if (
                    command.kind == "resume" and row.state == "completed"
                ):  # its end was all that was not written
                    return
                continue
            if live is not None and (live.ending or (live.stopped and command.kind in ("resume", "retry"))):
                await live.wait_ended()
                continue
            if live is not None:
                await self._give_live(live, command)
                return
            letter = await asyncio.wrap_future(
                self._log.work(lambda connection: self._post_abroad(connection, command))
            )
            if letter is None:
                await self._give_idle(command)
                return
            if await mailbox.outcome(self._log, self._owner, *letter):
                return

    def attend(self) -> None:
        """Take commands that other processes give, as long as there are runs under way here."""
        if self._attending is None or self._attending.done():
            self._attending = asyncio.get_running_loop().create_task(self._attend())

    async def close(self) -> None:
        """Take no further commands from other processes, which will find the runs free."""
        tasks = [*self._serving, *([self._attending] if self._attending else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def foreign(self, row: RunRow) -> str:
        """The owner of a run in another process that is alive; empty for none.

        Args:
            row: The run.
        """
        if row.owner in ("", self._owner.name) or not self._owner.alive(row.owner):
            return ""
        return row.owner

    def refuse_foreign(self, row: RunRow) -> None:
        """See that no other process works on a run.

        Args:
            row: The run.

        Raises:
            RunError: One does.
        """
        name = self.foreign(row)
        if name:
            raise RunError(
                f"run {row.run!r} is under way in the process {name.partition('-')[0]}",
                code="SYM-R006",
                hint="It has just been resumed there. Look how it stands, and ask again if need be.",
                details={"run": row.run, "process": name.partition("-")[0]},
            )

    # -- under way here -------------------------------------------------------------------------------

    async def _give_live(self, live: Scheduler, command: Command) -> None:
        run, node, actor = command.run, command.node, command.actor
        match command.kind:
            case "pause":
                live.pause(actor)
            case "resume":
                if not live.go_on(actor):
                    raise wrong_state(run, "is running already")
            case "cancel":
                live.cancel(actor)
                await live.wait_ended()
                return
            case "skip":
                number = node_number(live.ledger.graph, node)
                if may_skip(live.ledger, number, command):
                    live.skip(number, actor)
            case "approve" | "reject":
                number = node_number(live.ledger.graph, node)
                if may_answer(live.ledger, number, command):
                    live.answer(number, command.kind == "approve", actor, command.comment)
            case _:
                await self._retry(live, command)
        live.flush()
        await asyncio.wrap_future(self._log.flush())

    # -- in another process ---------------------------------------------------------------------------

    def _post_abroad(self, connection: sqlite3.Connection, command: Command) -> tuple[str, int] | None:
        name = self.foreign(find_run(connection, command.run))
        return (name, mailbox.post(connection, name, command)) if name else None

    async def _attend(self) -> None:
        name = self._owner.name
        while self._live:
            if await asyncio.to_thread(self._log.look, lambda connection: mailbox.waiting(connection, name)):
                letters = await asyncio.wrap_future(
                    self._log.work(lambda connection: mailbox.take(connection, name))
                )
                for number, command in letters:
                    task = asyncio.get_running_loop().create_task(self._serve(number, command))
                    self._serving.add(task)
                    task.add_done_callback(self._serving.discard)
            await asyncio.sleep(mailbox.LOOK)

    async def _serve(self, number: int, command: Command) -> None:
        error = None
        try:
            await self.give(command)
        except SymphonyError as refused:
            error = refused.payload()
        except Exception as broken:  # noqa: BLE001 - whoever asked must get an answer
            error = foreign_error(broken, "the DAG Tracker").payload()
        await asyncio.wrap_future(
            self._log.work(lambda connection: mailbox.answer(connection, number, error))
        )

    # -- nobody works on it ---------------------------------------------------------------------------

    async def _give_idle(self, command: Command) -> None:
        run, actor = command.run, command.actor
        match command.kind:
            case "resume" | "retry":
                await self._go_on(command)
            case "pause":
                row = await asyncio.to_thread(self._log.run, run)
                if row.state in ENDS:
                    raise wrong_state(run, f"is {row.state}")
            case "cancel":
                await asyncio.wrap_future(
                    self._log.work(lambda connection: self._cancel_idle(connection, run, actor))
                )
            case _:
                await self._amend(command)

    async def _amend(self, command: Command) -> None:
        """Add a command about a node to the log; whoever resumes the run finds it there."""
        row, ledger = await asyncio.to_thread(self._replay, command.run)
        number = node_number(ledger.graph, command.node)
        may = may_skip if command.kind == "skip" else may_answer
        if not may(ledger, number, command):
            return
        head: dict[str, Any] = {"run": command.run, "at": time.time(), "node": command.node}
        steered = RunSteered(
            **head,
            sequence=ledger.sequence + 1,
            command=command.kind,
            actor=command.actor,
            comment=command.comment,
        )
        events: list[RunEvent] = [steered]
        if command.kind == "skip":
            reason = skip_reason(command.actor)
            events.append(NodeSkipped(**head, sequence=ledger.sequence + 2, reason=reason))

        def add(connection: sqlite3.Connection) -> None:
            self.refuse_foreign(find_run(connection, command.run))
            amend_run(connection, row.run, events)

        await asyncio.wrap_future(self._log.work(add))

    def _cancel_idle(self, connection: sqlite3.Connection, run: str, actor: str) -> None:
        row = find_run(connection, run)
        self.refuse_foreign(row)
        if row.state in ENDS:
            raise wrong_state(run, f"is {row.state}")
        cancel_run(connection, run, actor, time.time())


def may_skip(ledger: Ledger, number: int, command: Command) -> bool:
    """Whether a node is to be skipped; False where that was asked before.

    Args:
        ledger: Where the run is.
        number: The node.
        command: What is asked.

    Raises:
        RunError: The node is completed.
    """
    if ledger.state[number] is NodeState.COMPLETED:
        raise RunError(
            f"node {command.node!r} of run {command.run!r} is completed and cannot be skipped",
            code="SYM-R062",
            hint="`symphony runs rerun` begins a new run from its results, with changes.",
            details={"run": command.run, "node": command.node},
        )
    return number not in ledger.held


def may_answer(ledger: Ledger, number: int, command: Command) -> bool:
    """Whether an answer is to be taken; False where the same one was given before.

    Args:
        ledger: Where the run is.
        number: The node.
        command: What is asked.

    Raises:
        RunError: The node does not wait, was answered differently, or the actor is none of its approvers.
    """
    node, run = command.node, command.run
    given = ledger.answers.get(number)
    if given is not None:
        if given.command == command.kind:
            return False
        raise RunError(
            f"node {node!r} of run {run!r} was answered before: {given.command} by {given.actor!r}",
            code="SYM-R063",
            hint=f"`symphony runs retry {run} {node}` asks again.",
            details={"run": run, "node": node},
        )
    asked = ledger.waiting.get(number)
    if asked is None:
        raise RunError(
            f"node {node!r} of run {run!r} is {ledger.state[number]} and waits for no answer",
            code="SYM-R063",
            hint="Only a node that is waiting can be answered.",
            details={"run": run, "node": node},
        )
    if asked.approvers and command.actor not in asked.approvers:
        raise RunError(
            f"{command.actor!r} may not answer node {node!r} of run {run!r}",
            code="SYM-R064",
            hint=f"Those who may are {', '.join(asked.approvers)}.",
            details={"run": run, "node": node, "approvers": list(asked.approvers)},
        )
    return True


def may_retry(
    ledger: Ledger, steered: RunSteered, *, out: Callable[[int], bool] = lambda number: False
) -> list[int]:
    """The nodes that a retry lets run again, in topological order.

    Args:
        ledger: Where the run is.
        steered: The command.
        out: Whether the executor still has a call of a node.

    Raises:
        RunError: There is no such node, it has not ended, no node failed, or something that depends on it is under
            way.
    """
    run, node = steered.run, steered.node
    if node:
        number = node_number(ledger.graph, node)
        if not ledger.over(number):
            raise _not_again(
                run, f"node {node!r} is {ledger.state[number]}", "Only what has ended can run again."
            )
    again = ledger.discarded(steered)
    if not again:
        hint = "Name a node to run it again with all that depends on it."
        raise _not_again(run, "no node failed", hint)
    for number in again:
        for one in (number, *ledger.graph.children[number]):
            if out(one) or ledger.state[one] not in (NodeState.PENDING, *NODE_ENDS):
                name = ledger.graph.nodes[one].id
                raise _not_again(run, f"node {name!r} is under way", "Wait for it, or skip it first.")
    return again


def _not_again(run: str, what: str, hint: str) -> RunError:
    return RunError(
        f"nothing of run {run!r} can be retried: {what}", code="SYM-R061", hint=hint, details={"run": run}
    )


def skip_reason(actor: str) -> str:
    """Why a node is skipped on somebody's command.

    Args:
        actor: Who asked.
    """
    return f"skipped by {actor or 'its user'}"


def wrong_state(run: str, what: str, hint: str = "") -> RunError:
    """The error of a command that does not fit the state of a run.

    Args:
        run: Id of the run.
        what: How it stands.
        hint: What to do instead.
    """
    return RunError(f"run {run!r} {what}", code="SYM-R005", hint=hint, details={"run": run})
