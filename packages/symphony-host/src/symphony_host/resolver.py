"""Decides which extensions can be used and in which order they load, and tells every problem at once.

Versions were compared with ranges when the extensions were discovered, so this imports nothing heavy as
long as there is no problem. It takes time in proportion to what is installed, however much of it is broken.
"""

from collections.abc import Collection, Iterable, Mapping
from graphlib import TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from symphony_host.records import SYMPHONY, ExtensionRecord, Requirement

if TYPE_CHECKING:
    from symphony_sdk.errors import SymphonyError

OTHERS: Final = 5
"""Others that need the same extension, and that an error names."""

LINKS: Final = 3
"""Links of a chain of requirements that an error spells out before it names the cause at its end."""

CIRCLE: Final = 8
"""Members of a circle that an error spells out."""


class Resolution(NamedTuple):
    """Which extensions can be used.

    Args:
        order: Ids of the usable ones; each comes after all that it needs, else by id.
        needs: For each usable one, the ids of the extensions that it needs.
        problems: For each that could be used but for what it needs, all that is in its way.
    """

    order: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]
    problems: "Mapping[str, tuple[SymphonyError, ...]]"


def resolve(records: Iterable[ExtensionRecord], unavailable: Mapping[str, str] | None = None) -> Resolution:
    """Which extensions can be used, in which order, and what is in the way of the others.

    A problem touches the extension that has it and those that need that one, nobody else. An optional
    requirement that is missing, unusable or of another version counts as not there.

    Args:
        records: The installed extensions; the broken ones are not usable and no problem of the resolver's.
        unavailable: Extensions that may not be used whatever they are, with the reason: the disabled ones.
    """
    unavailable = unavailable or {}
    known = {record.id: record for record in records}
    reasons = {
        extension: str((record.fault or {}).get("message", ""))
        for extension, record in known.items()
        if record.fault
    }
    reasons |= unavailable
    candidates = {extension: record for extension, record in known.items() if extension not in reasons}
    unmet = {
        extension: [need for need in record.requires if not (need.optional or need.met)]
        for extension, record in candidates.items()
    }
    # What is required in a circle can never be used; what is only wished for first can, where one of them is not.
    circles = _circles({extension: _required(record, candidates) for extension, record in candidates.items()})
    causes = {*reasons, *circles, *(extension for extension, needs in unmet.items() if needs)}
    lost = _with_dependents(causes, candidates)
    left = {extension: record for extension, record in candidates.items() if extension not in lost}
    graph = {extension: _before(record, left) for extension, record in left.items()}
    if wishes := _circles(graph):
        circles |= wishes
        causes |= wishes.keys()
        lost |= _with_dependents(wishes, candidates)
        left = {extension: record for extension, record in left.items() if extension not in lost}
        graph = {extension: _before(record, left) for extension, record in left.items()}
    problems = (
        _problems(candidates, unmet, circles, causes, lost, reasons, unavailable)
        if lost - reasons.keys()
        else {}
    )
    return Resolution(
        order=tuple(_ordered(graph)),
        needs={extension: tuple(_required(record, left)) for extension, record in left.items()},
        problems=problems,
    )


def _required(record: ExtensionRecord, present: Collection[str]) -> list[str]:
    """Ids of the extensions among `present` that one cannot do without, and whose version will do."""
    return [need.id for need in record.requires if need.met and not need.optional and need.id in present]


def _before(record: ExtensionRecord, present: Collection[str]) -> list[str]:
    """Ids of the extensions among `present` that load before `record`."""
    wanted = [need.id for need in record.requires if need.met] + list(record.after)
    return sorted({extension for extension in wanted if extension in present})


def _with_dependents(lost: Iterable[str], candidates: Mapping[str, ExtensionRecord]) -> set[str]:
    """Extensions that cannot be used, and all that need one of them, or one that needs one, and so on."""
    found = dict.fromkeys(lost)
    if found:
        dependents: dict[str, list[str]] = {}
        for extension, record in candidates.items():
            for need in record.requires:
                if not need.optional:
                    dependents.setdefault(need.id, []).append(extension)
        queue = list(found)
        for extension in queue:
            new = [each for each in dependents.get(extension, ()) if each not in found]
            found |= dict.fromkeys(new)
            queue += new
    return set(found)


def _ordered(graph: Mapping[str, list[str]]) -> Iterable[str]:
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while ready := sorted(sorter.get_ready()):
        yield from ready
        sorter.done(*ready)


def _circles(graph: Mapping[str, list[str]]) -> dict[str, tuple[list[str], int]]:
    """For each extension that comes before itself a circle through it, and its place in that."""
    core = _without_ends(_turned(_without_ends(graph)))
    circles: dict[str, tuple[list[str], int]] = {}
    for extension in sorted(core):
        if extension not in circles:
            circle = _circle(extension, graph, core)
            for at, each in enumerate(circle):
                circles.setdefault(each, (circle, at))
    return circles


def _without_ends(graph: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """A graph without what leads nowhere, and what leads only to that: the circles, and what leads to them."""
    leads_here = _turned(graph)
    ways = {extension: len(others) for extension, others in graph.items()}
    ends = [extension for extension, count in ways.items() if not count]
    for extension in ends:
        for other in leads_here[extension]:
            ways[other] -= 1
            if not ways[other]:
                ends.append(other)
    gone = set(ends)
    return {
        extension: [other for other in others if other not in gone]
        for extension, others in graph.items()
        if extension not in gone
    }


def _turned(graph: Mapping[str, list[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {extension: [] for extension in graph}
    for extension, others in graph.items():
        for other in others:
            turned[other].append(extension)
    return turned


def _circle(start: str, graph: Mapping[str, list[str]], core: Collection[str]) -> list[str]:
    """The shortest way from `start` to one that leads back to it, breadth first; empty where none does."""
    reached_from = {start: ""}
    queue = [start]
    for extension in queue:
        if start in graph[extension]:
            circle = [extension]
            while circle[-1] != start:
                circle.append(reached_from[circle[-1]])
            return circle[::-1]
        new = dict.fromkeys(each for each in graph[extension] if each in core and each not in reached_from)
        reached_from |= dict.fromkeys(new, extension)
        queue += new
    return []


def _problems(
    candidates: Mapping[str, ExtensionRecord],
    unmet: Mapping[str, list[Requirement]],
    circles: Mapping[str, tuple[list[str], int]],
    causes: Collection[str],
    lost: Collection[str],
    reasons: dict[str, str],
    unavailable: Mapping[str, str],
) -> "dict[str, tuple[SymphonyError, ...]]":
    """All that is in the way of each candidate that cannot be used, by id.

    Args:
        candidates: Those that could be used but for what they need.
        unmet: What each of them requires and does not find.
        circles: A circle through each that comes before itself.
        causes: Those that cannot be used for a reason of their own; the others need one of them.
        lost: All that cannot be used.
        reasons: Why those cannot be used that are no candidates.
        unavailable: Of these, the ones that somebody has switched off.
    """
    wanted_by: dict[str, dict[str, str]] = {}
    for extension, record in sorted(candidates.items()):
        for need in record.requires:
            if not need.optional and need.range != "*":
                wanted_by.setdefault(need.id, {})[extension] = need.range
    own: dict[str, list[SymphonyError]] = {}
    for extension in sorted(candidates.keys() & causes):
        record = candidates[extension]
        own[extension] = [_unmet_error(record, need, wanted_by.get(need.id, {})) for need in unmet[extension]]
        if extension in circles:
            own[extension].append(_circle_error(*circles[extension], record))
    first = reasons | {extension: errors[0].message for extension, errors in own.items()}
    blocked = {
        extension: _required(candidates[extension], lost) for extension in sorted(candidates.keys() & lost)
    }
    via = {extension: needs[0] for extension, needs in blocked.items() if extension not in first}
    ends = _ends(via)
    return {
        extension: (
            *own.get(extension, ()),
            *(
                _chain_error(extension, need, _why(need, via, ends, first), switched_off=need in unavailable)
                for need in needs
                if not (extension in circles and need in circles)  # the circle says it
            ),
        )
        for extension, needs in blocked.items()
    }


def _ends(via: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """For each extension the last of those that it needs one by way of the other, and how many are before that.

    Args:
        via: What each one needs and cannot have; it leads back to nobody.
    """
    ends: dict[str, tuple[str, int]] = {}
    for extension in via:
        path = []
        while extension in via and extension not in ends:
            path.append(extension)
            extension = via[extension]
        end, distance = ends.get(extension, (extension, 0))
        for each in reversed(path):
            distance += 1
            ends[each] = end, distance
    return ends


def _why(
    extension: str, via: Mapping[str, str], ends: Mapping[str, tuple[str, int]], first: Mapping[str, str]
) -> str:
    """Why an extension cannot be used: the first links of the chain, and the cause at its end."""
    text = ""
    for _ in range(LINKS):
        if extension not in via:
            break
        text += f"{extension} needs {via[extension]}, which cannot be used: "
        extension = via[extension]
    if extension in via:
        end, distance = ends[extension]
        text += f"and so on, by way of {distance} more, down to {end}: "
        extension = end
    return text + (first[extension] or "it is broken").splitlines()[0]


def _unmet_error(record: ExtensionRecord, need: Requirement, wanted_by: Mapping[str, str]) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    others = dict(
        islice(((other, range) for other, range in wanted_by.items() if other != record.id), OTHERS)
    )
    more = len(wanted_by) - len(others) - (record.id in wanted_by)
    details = {"needs": need.id, "range": need.range, "found": need.found, "others": others, "more": more}
    also = "".join(f"; {other} needs {range}" for other, range in others.items())
    also += f"; {more} more need it" if more else ""
    if not need.found:
        return ExtensionError(
            f"{record.id} needs the extension {need.id}{_in_range(need)}, which is not installed",
            code="SYM-E023",
            hint=f"Install the distribution that brings {need.id}{also}.",
            details=details,
            file=record.manifest_file,
        )
    if need.id == SYMPHONY:
        hint = (
            f"Install a version of {record.distribution} that was made for this Symphony, or change Symphony."
        )
    else:
        hint = f"Install a version of {need.id} in that range, or another version of {record.distribution}"
        hint += f"; mind that there is one {need.id} for all{also}." if also else "."
    return ExtensionError(
        f"{record.id} {record.version} needs {need.id}{_in_range(need)}, found {need.found}",
        code="SYM-E024",
        hint=hint,
        details=details,
        file=record.manifest_file,
    )


def _in_range(need: Requirement) -> str:
    return "" if need.range == "*" else f" {need.range}"


def _circle_error(circle: list[str], at: int, record: ExtensionRecord) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    path = [circle[(at + step) % len(circle)] for step in range(min(len(circle), CIRCLE))]
    more = len(circle) - len(path)
    spelled = [*path, *([f"{more} more"] if more else []), record.id]
    return ExtensionError(
        f"{record.id} needs itself: {' -> '.join(spelled)}",
        code="SYM-E025",
        hint="Remove one of these from `requires` (or `after`) of the one before it.",
        details={"cycle": [*path, record.id], "more": more},
        file=record.manifest_file,
    )


def _chain_error(extension: str, need: str, why: str, *, switched_off: bool) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    return ExtensionError(
        f"{extension} needs {need}, which cannot be used: {why}",
        code="SYM-E026",
        hint=f"`symphony enable {need}`" if switched_off else f"Mend {need} first.",
        details={"needs": need},
    )
