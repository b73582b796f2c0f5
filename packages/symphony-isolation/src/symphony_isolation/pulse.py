"""What a process does that does not answer: it computes, waits for something, or was stopped by a signal.

A process whose C code holds Python's lock answers no PING, and is well. Its CPU clock and its state, as `proc(5)`
tells them, know better; those of its children are its own, as a sandbox stands between it and its host.
"""

from pathlib import Path
from typing import NamedTuple

from symphony_sdk.ports import Pulse

_AT_WORK = frozenset("RDt")  # a disk will answer; whoever traces a process knows why


class Sight(NamedTuple):
    """One look at a process and all below it.

    Args:
        ticks: CPU time that they have used, in ticks of the clock.
        states: The states of their threads, each a letter.
    """

    ticks: int
    states: frozenset[str]


def look(pid: int) -> Sight | None:
    """Look at a process; None where it is gone, or the platform does not tell.

    Args:
        pid: Its id.
    """
    ticks, states, left = 0, set(), [pid]
    while left:
        process = Path(f"/proc/{left.pop()}")
        try:
            ticks += sum(
                map(int, _fields(process)[11:15])
            )  # its own, and of the children that it has waited for
            for thread in (process / "task").iterdir():
                states.add(_fields(thread)[0].decode())
                left += map(int, (thread / "children").read_text().split())
        except (OSError, ValueError):  # it has just ended
            continue
    return Sight(ticks, frozenset(states)) if states else None


def _fields(place: Path) -> list[bytes]:
    """What follows the name of the program, which is in parentheses and may have any itself."""
    return (place / "stat").read_bytes().rpartition(b") ")[2].split()


def judge(before: Sight | None, after: Sight | None) -> Pulse | None:
    """What a process did between two looks; None where that is not known.

    Args:
        before: The first look.
        after: The second one.
    """
    if before is None or after is None:
        return None
    if after.ticks > before.ticks or after.states & _AT_WORK:
        return "busy"
    return "stopped" if "T" in after.states else "blocked"
