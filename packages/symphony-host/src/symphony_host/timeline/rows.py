"""Gives every bar a row in which none overlaps it: greedy colouring of intervals, within each place.

That needs as few rows as any way to do it: as many as there are bars at the same time (Gupta, Lee and Leung, IEEE
Transactions on Computers 28, 1979).
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from symphony_host.timeline.record import Bar

MOST = 160
"""Rows of a drawing; where more bars overlap, several of them share a row."""


class Row(NamedTuple):
    """One row of a drawing.

    Args:
        name: What is written before it: its place at the first row of a place, else nothing.
        bars: In the order of their starts; they overlap only where there are more than `MOST` rows.
    """

    name: str
    bars: list[Bar]


def rows_of(bars: Iterable[Bar]) -> list[Row]:
    """The rows of a drawing, those of a place below each other, and those of control nodes last.

    Args:
        bars: In the order of their starts.
    """
    places: dict[tuple[bool, str], list[Bar]] = {}
    for bar in bars:
        places.setdefault((bar.control, bar.place), []).append(bar)
    named = len(places) > 1
    coloured = [(place, _coloured(places[place])) for place in sorted(places)]
    shared = -(-sum(len(slots) for _, slots in coloured) // MOST)
    rows = []
    for (control, place), slots in coloured:
        name = ("control" if control else place or "nodes") if named else ""
        for first in range(0, len(slots), max(1, shared)):
            rows.append(Row(name, _merged(slots[first : first + max(1, shared)])))
            name = ""
    return rows


def _coloured(bars: Sequence[Bar]) -> list[list[Bar]]:
    slots: list[list[Bar]] = []
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for bar in bars:
        while busy and busy[0][0] <= bar.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(slots)
        if slot == len(slots):
            slots.append([])
        slots[slot].append(bar)
        heapq.heappush(busy, (bar.end, slot))
    return slots


def _merged(slots: Sequence[list[Bar]]) -> list[Bar]:
    return slots[0] if len(slots) == 1 else list(heapq.merge(*slots, key=lambda bar: bar.start))
