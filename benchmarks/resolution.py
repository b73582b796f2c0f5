"""Which of 10, 100 and 1,000 extensions can be used and in which order: in sound sets, and in broken ones.

Each figure is the median CPU time of the rounds, taken in turns in one process, of resolving a whole set; nothing is
loaded. The floor is sorting the same graph with `graphlib`, which finds nothing that is missing and says nothing.

    uv run python benchmarks/resolution.py [--rounds N]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from graphlib import TopologicalSorter

from symphony_host.records import ExtensionRecord, Requirement
from symphony_host.resolver import resolve

SIZES = (10, 100, 1000)
GOAL_MS = 100.0
GOAL_RATIO = 2.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    missed = []
    print(f"{'extensions':>10}  {'set':<34}{'CPU ms':>9}  {'to the sound chain':>18}")
    for size in SIZES:
        sets = {
            "sound, each needs up to three": web(size),
            "sound chain": chain(size),
            "chain on a broken manifest": chain(size, broken=True),
            "chain on what is not installed": chain(size, Requirement("acme.gone", ">=1", False, "", False)),
            "chain on a circle": chain(size, found("acme.e1")),
            "all need another version of one": conflict(size),
        }
        ways: dict[str, Callable[[], object]] = {
            name: lambda records=records: resolve(records) for name, records in sets.items()
        }
        ways["graphlib alone, the sound chain"] = lambda records=sets["sound chain"]: floor(records)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                begun = time.process_time()
                way()
                taken[name].append(1000 * (time.process_time() - begun))
        medians = {name: statistics.median(each) for name, each in taken.items()}
        for name, median in medians.items():
            print(f"{size:>10}  {name:<34}{median:>9.2f}  {median / medians['sound chain']:>17.2f}x")
        if size == SIZES[-1]:
            if medians["sound, each needs up to three"] > GOAL_MS:
                missed.append(f"a sound set takes more than {GOAL_MS:.0f} ms")
            if medians["chain on a broken manifest"] > GOAL_RATIO * medians["sound chain"]:
                missed.append(f"a broken chain takes more than {GOAL_RATIO:.0f}x a sound one")
    print("goals: " + ("met" if not missed else "; ".join(missed)))


def found(id: str) -> Requirement:
    """A requirement that is met."""
    return Requirement(id, ">=1", False, "1.0", True)


def record(number: int, *requires: Requirement, broken: bool = False) -> ExtensionRecord:
    """One installed extension.

    Args:
        number: Makes its id.
        requires: What it needs.
        broken: Whether its manifest is.
    """
    return ExtensionRecord(
        id=f"acme.e{number}",
        distribution=f"acme-e{number}",
        version="1.0",
        metadata_dir="",
        entry_point="",
        requires=requires,
        fault={"message": "the manifest is not TOML"} if broken else None,
    )


def chain(size: int, *of_first: Requirement, broken: bool = False) -> list[ExtensionRecord]:
    """Each needs the one before it."""
    rest = (record(number, found(f"acme.e{number - 1}")) for number in range(1, size))
    return [record(0, *of_first, broken=broken), *rest]


def web(size: int) -> list[ExtensionRecord]:
    """Each needs up to three of those before it, spread over all of them."""
    return [
        record(
            number,
            *(
                found(f"acme.e{other}")
                for other in sorted({number // 2, number // 3, number // 5} - {number})
            ),
        )
        for number in range(size)
    ]


def conflict(size: int) -> list[ExtensionRecord]:
    """All but the first need another version of it."""
    unmet = Requirement("acme.e0", "<1", False, "1.0", False)
    return [record(0), *(record(number, unmet) for number in range(1, size))]


def floor(records: list[ExtensionRecord]) -> list[str]:
    """The order alone."""
    return list(
        TopologicalSorter({each.id: [need.id for need in each.requires] for each in records}).static_order()
    )


if __name__ == "__main__":
    main()
