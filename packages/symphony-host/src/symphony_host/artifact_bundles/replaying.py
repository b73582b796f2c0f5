"""In which order a store has to be told descriptions again to know of its artifacts what another one knows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TypeAlias

from symphony_sdk.ports import ArtifactInfo

_Place: TypeAlias = tuple[str, int]
"""An artifact, and which of its descriptions, counted from the oldest."""


def replay_order(
    histories: Mapping[str, Sequence[ArtifactInfo]], newest_last: Iterable[str] = ()
) -> list[ArtifactInfo]:
    """Descriptions such that those of each artifact, and the versions of each name, follow each other.

    Where that leaves a choice, what was stored first comes first.

    Args:
        histories: The descriptions of each artifact, the newest first, by its id.
        newest_last: Ids of artifacts whose newest descriptions were told in this order.
    """
    oldest_first = {id: list(reversed(infos)) for id, infos in histories.items()}
    infos = {(id, at): info for id, told in oldest_first.items() for at, info in enumerate(told)}
    after: dict[_Place, set[_Place]] = defaultdict(set)
    for id, told in oldest_first.items():
        for at in range(1, len(told)):
            after[id, at - 1].add((id, at))
    for first, second in pairwise(newest_last):
        after[first, len(histories[first]) - 1].add((second, len(histories[second]) - 1))
    versions: dict[str, dict[int, list[_Place]]] = defaultdict(lambda: defaultdict(list))
    for place, info in infos.items():
        if info.ref.name:
            versions[info.ref.name][info.version].append(place)
    for of_name in versions.values():
        for before, next_ in pairwise(sorted(of_name)):
            after[of_name[before][-1]].add(of_name[next_][0])
    return _sorted(infos, after)


def _sorted(infos: Mapping[_Place, ArtifactInfo], after: Mapping[_Place, set[_Place]]) -> list[ArtifactInfo]:
    """Kahn's algorithm, with a heap for what is possible next."""
    waits: dict[_Place, int] = dict.fromkeys(infos, 0)
    for places in after.values():
        for place in places:
            waits[place] += 1
    ready = [(infos[place].created, place) for place, count in waits.items() if not count]
    heapify(ready)
    found: list[_Place] = []
    while ready:
        _, place = heappop(ready)
        found.append(place)
        for next_ in after.get(place, ()):
            waits[next_] -= 1
            if not waits[next_]:
                heappush(ready, (infos[next_].created, next_))
    # A store that changes while it is looked at can seem to have been told things in a circle.
    rest = infos.keys() - set(found)
    found += sorted(rest, key=lambda place: (infos[place].created, place))
    return [infos[place] for place in found]
