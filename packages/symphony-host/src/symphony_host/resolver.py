"""Decides which extensions can be used and in which order they load, and tells every problem at once.

Versions were compared with ranges when the extensions were discovered, so this imports nothing heavy as
long as there is no problem.
"""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from symphony_host.records import SYMPHONY, ExtensionRecord, Requirement

if TYPE_CHECKING:
    from symphony_sdk.errors import SymphonyError


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
    problems = {
        extension: found
        for extension, record in candidates.items()
        if (found := [_problem(record, need) for need in record.requires if not (need.optional or need.met)])
    }
    reasons |= {extension: found[0].message for extension, found in problems.items()}
    graph = {extension: _before(record, candidates) for extension, record in candidates.items()}
    for extension, circle in _cycles(graph).items():
        problems.setdefault(extension, []).append(_cycle_error([*circle, extension], candidates[extension]))
        reasons.setdefault(extension, problems[extension][0].message)
    while blocked := {
        extension: chain
        for extension, record in candidates.items()
        if extension not in reasons and (chain := _blocked(record, reasons))
    }:
        for extension, missing in blocked.items():
            problems[extension] = [_chain_error(extension, need.id, reasons, unavailable) for need in missing]
            reasons[extension] = problems[extension][0].message
    usable = {extension: record for extension, record in candidates.items() if extension not in reasons}
    return Resolution(
        order=tuple(_ordered({extension: _before(record, usable) for extension, record in usable.items()})),
        needs={
            extension: tuple(need.id for need in _required(record)) for extension, record in usable.items()
        },
        problems={extension: tuple(found) for extension, found in sorted(problems.items())},
    )


def _required(record: ExtensionRecord) -> list[Requirement]:
    return [need for need in record.requires if not need.optional and need.id != SYMPHONY]


def _before(record: ExtensionRecord, present: Mapping[str, ExtensionRecord]) -> list[str]:
    """Ids of the extensions among `present` that load before `record`."""
    wanted = [need.id for need in record.requires if need.met] + list(record.after)
    return sorted({extension for extension in wanted if extension in present})


def _blocked(record: ExtensionRecord, reasons: Mapping[str, str]) -> list[Requirement]:
    return [need for need in _required(record) if need.id in reasons]


def _cycles(graph: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """For each extension that comes before itself the shortest circle through it, which begins with it."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        circles = {extension: _circle(extension, graph) for extension in sorted(graph)}
        return {extension: circle for extension, circle in circles.items() if circle}
    return {}


def _circle(start: str, graph: Mapping[str, list[str]]) -> list[str]:
    """The shortest way from `start` to one that leads back to it, breadth first; empty where none does."""
    reached_from = {start: ""}
    queue = [start]
    for extension in queue:
        if start in graph[extension]:
            circle = [extension]
            while circle[0] != start:
                circle.insert(0, reached_from[circle[0]])
            return circle
        new = [each for each in graph[extension] if each not in reached_from]
        reached_from |= dict.fromkeys(new, extension)
        queue += new
    return []


def _ordered(graph: Mapping[str, list[str]]) -> Iterable[str]:
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while ready := sorted(sorter.get_ready()):
        yield from ready
        sorter.done(*ready)


def _problem(record: ExtensionRecord, need: Requirement) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    details = {"needs": need.id, "range": need.range, "found": need.found}
    if not need.found:
        return ExtensionError(
            f"{record.id} needs the extension {need.id}{_in_range(need)}, which is not installed",
            code="SYM-E023",
            hint=f"Install the distribution that brings {need.id}.",
            details=details,
            file=record.manifest_file,
        )
    if need.id == SYMPHONY:
        hint = (
            f"Install a version of {record.distribution} that was made for this Symphony, or change Symphony."
        )
    else:
        hint = f"Install a version of {need.id} in that range, or another version of {record.distribution}."
    return ExtensionError(
        f"{record.id} {record.version} needs {need.id}{_in_range(need)}, found {need.found}",
        code="SYM-E024",
        hint=hint,
        details=details,
        file=record.manifest_file,
    )


def _in_range(need: Requirement) -> str:
    return "" if need.range == "*" else f" {need.range}"


def _cycle_error(path: list[str], record: ExtensionRecord) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    return ExtensionError(
        f"{record.id} needs itself: {' -> '.join(path)}",
        code="SYM-E025",
        hint="Remove one of these from `requires` (or `after`) of the one before it.",
        details={"cycle": path},
        file=record.manifest_file,
    )


def _chain_error(
    extension: str, need: str, reasons: Mapping[str, str], unavailable: Mapping[str, str]
) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    hint = f"`symphony enable {need}`" if need in unavailable else f"Mend {need} first."
    return ExtensionError(
        f"{extension} needs {need}, which cannot be used: {(reasons[need] or 'it is broken').splitlines()[0]}",
        code="SYM-E026",
        hint=hint,
        details={"needs": need},
    )
