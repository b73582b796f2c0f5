"""What `/proc` tells of the processes that others have started; see proc_pid_stat(5)."""

import os
from mmap import PAGESIZE
from typing import NamedTuple


class ProcessStat(NamedTuple):
    """One process at one moment.

    Args:
        state: A letter: `R` running, `S` and `D` asleep, `T` stopped, `Z` ended and not reaped.
        parent: Id of the process that started it, or that took it over.
        threads: How many it has.
        memory: Bytes that it has in RAM, those that it shares included.
    """

    state: str
    parent: int
    threads: int
    memory: int


def parse_stat(line: bytes) -> ProcessStat:
    """What a `/proc/PID/stat` says.

    Args:
        line: Its content.
    """
    fields = line.rpartition(b")")[2].split()  # the name before it may hold anything
    return ProcessStat(fields[0].decode(), int(fields[1]), int(fields[17]), int(fields[21]) * PAGESIZE)


def descendants_of(parent: int) -> list[int]:
    """Ids of the processes that one has started, that those have started, and so on.

    Args:
        parent: Its id.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    stat = parse_stat(file.read())
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(stat.parent, []).append(int(name))
    found = [parent]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def children_of(parent: int) -> list[int]:
    """Ids of the processes that one has started, and of those that it took over; they may be ended and not reaped.

    Args:
        parent: Its id.
    """
    try:
        with open(f"/proc/{parent}/task/{parent}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        found = []
        for pid in descendants_of(parent):
            with open(f"/proc/{pid}/stat", "rb") as file:
                if parse_stat(file.read()).parent == parent:
                    found.append(pid)
        return found
