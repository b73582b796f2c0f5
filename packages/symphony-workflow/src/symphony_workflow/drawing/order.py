"""An order for what is drawn, which there must be even where an unfinished workflow has a cycle."""

from collections.abc import Iterable


def drawing_order(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The numbers from 0 so that every pair leads forward; in a cycle the smallest number comes first all the same.

    Args:
        count: How many numbers there are.
        pairs: Two different numbers each, of which the first comes first.
    """
    children: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for source, target in pairs:
        children[source].append(target)
        waits[target] += 1
    ready = [number for number in range(count - 1, -1, -1) if not waits[number]]
    order: list[int] = []
    placed = [False] * count
    unplaced = iter(range(count))
    while len(order) < count:
        number = ready.pop() if ready else next(one for one in unplaced if not placed[one])
        placed[number] = True
        order.append(number)
        for child in children[number]:
            waits[child] -= 1
            if not waits[child] and not placed[child]:
                ready.append(child)
    return order
