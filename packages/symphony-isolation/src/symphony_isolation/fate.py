"""How a worker came to its end, and the last steps of one that is to end."""

import signal
import time
from typing import Final, NamedTuple

import msgspec
from symphony_sdk.errors import MalformedMessage, PeerGone, SymphonyError
from symphony_sdk.ports import ExitCause, WorkerExit

from symphony_isolation.process import WorkerProcess
from symphony_isolation.worker_log import WorkerLog

EXIT_GRACE: Final = 1.0
"""Seconds that a worker without a connection has to exit by itself, and then again after SIGTERM."""


class Verdict(NamedTuple):
    """Why the host ends a worker.

    Args:
        cause: For programs.
        text: For people, such as `was too slow to load`.
    """

    cause: ExitCause
    text: str


class Fate(msgspec.Struct, frozen=True):
    """How a worker came to its end.

    Args:
        cause: Why, for programs.
        text: In words, such as `was killed by SIGSEGV`.
        exit_code: What it exited with; None where a signal ended it.
        signal: Name of the signal that ended it; empty where it exited.
        last_words: The last lines that it printed on stderr.
    """

    cause: ExitCause
    text: str
    exit_code: int | None
    signal: str
    last_words: str

    def error(self, extension: str) -> PeerGone:
        """This end as the error of a call that was under way.

        Args:
            extension: Id of the extension.
        """
        words = f"; its last words:\n{self.last_words}" if self.last_words else ""
        return PeerGone(
            f"the worker of {extension!r} {self.text}{words}",
            hint="It is started again with the next call.",
            details={
                "extension": extension,
                "cause": self.cause,
                "exit_code": self.exit_code,
                "signal": self.signal,
            },
        )

    def exit(self, place: str) -> WorkerExit:
        """This end as what is known of the extension.

        Args:
            place: What the worker was called.
        """
        return WorkerExit(self.cause, self.text, place, time.time())


async def end(
    process: WorkerProcess, log: WorkerLog, reason: SymphonyError | None, verdict: Verdict | None = None
) -> Fate:
    """Make sure that a process has ended, and say how it did.

    Args:
        process: The process; its connection is closed.
        log: What it said.
        reason: Why its connection was closed.
        verdict: Why the host ended it; None where it did not.
    """
    if isinstance(reason, MalformedMessage):
        process.signal(signal.SIGKILL)
        verdict = verdict or Verdict("protocol", f"broke the protocol: {reason.message}")
    for number in (signal.SIGTERM, signal.SIGKILL):
        if await process.wait(EXIT_GRACE):
            break
        verdict = verdict or Verdict("protocol", f"closed its connection and went on running ({reason})")
        process.signal(number)
    else:
        await process.wait()
    code = process.returncode
    name = _signal_name(-code) if code < 0 else ""
    if verdict is None and process.violation is not None:
        verdict = Verdict(process.violation.resource, process.violation.text)
    if verdict is None and process.orphaned:
        verdict = Verdict("host", "ended with the process that it was forked from")
    if verdict is None:
        if name:
            verdict = Verdict("signal", f"was killed by {name}")
        else:
            verdict = Verdict("exit", f"ended by itself with exit code {code}")
    return Fate(verdict.cause, verdict.text, None if name else code, name, log.last_words)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return f"signal {number}"
