"""The installed extensions with what is known of their contributions, for those who list and inspect them.

It loads no code of any extension unless it is told to ask them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from symphony_host.catalogue import CatalogueEntry, load_catalogue, quarantine_of
from symphony_host.configuration import Settings

if TYPE_CHECKING:
    from symphony_sdk.contributions import AddonSpec, OperationSpec
    from symphony_sdk.errors import SymphonyError
    from symphony_sdk.ports import ExtensionInfo

    from symphony_host.composition import Host
    from symphony_host.records import ExtensionRecord


class Surveyed(NamedTuple):
    """One installed extension.

    Args:
        record: What discovery knows of it.
        state: Its state.
        reason: Why it cannot be used; empty where it can.
        problems: All that is known to be wrong with it.
        operations: Its operations; None while they are not known.
        addons: Its addons.
    """

    record: "ExtensionRecord"
    state: str
    reason: str = ""
    problems: "tuple[SymphonyError, ...]" = ()
    operations: "tuple[OperationSpec, ...] | None" = None
    addons: "tuple[AddonSpec, ...]" = ()

    @property
    def works_for_nodes(self) -> bool:
        """Whether it runs in a worker, so that it can have operations."""
        return self.record.runs == "worker"


def kind_of(operation: "OperationSpec") -> str:
    """What an operation is called: `operator`, `instrument` or `scorer`.

    Args:
        operation: The operation.
    """
    return operation.kind if operation.scores is None else "scorer"


def survey(settings: Settings, *, ask: bool = False, health: bool = False) -> list[Surveyed]:
    """Every installed extension, the broken ones included, sorted by id.

    Args:
        settings: The settings of this call.
        ask: Whether to start those whose contributions are not known, each in its worker, and to load those
            that run in the host; otherwise only what was learned before is told.
        health: With `ask`, whether to start every one that has a worker, and have it say how it is.
    """
    entries = load_catalogue(settings).entries
    found = _asked(settings, entries, health) if ask else [_remembered(settings, entry) for entry in entries]
    return _told_apart(found)


def _remembered(settings: Settings, entry: CatalogueEntry) -> Surveyed:
    surveyed = Surveyed(entry.record, entry.state, entry.reason, entry.problems)
    if entry.state != "resolved" or not surveyed.works_for_nodes:
        return surveyed
    if reason := _quarantined(settings, entry.record):
        error = _in_quarantine(entry.record.id, reason)
        surveyed = surveyed._replace(state="quarantined", reason=error.message, problems=(error,))
    directory = settings.cache_dir / "contributions"
    if not (directory / f"{entry.record.id}.json").exists():
        return surveyed
    from symphony_isolation.contributions_cache import ContributionsCache
    from symphony_isolation.spec import WorkerSpec

    record = entry.record
    known = ContributionsCache(directory).get(
        WorkerSpec(
            id=record.id,
            version=record.version,
            kind=record.kind,
            module=record.manifest.module,
            data_dir="",
            fingerprint=record.fingerprint(),
        )
    )
    return surveyed if known is None else surveyed._replace(operations=known.operations, addons=known.addons)


def _quarantined(settings: Settings, record: "ExtensionRecord") -> str:
    """Why an extension is quarantined; empty where it is not."""
    quarantine = quarantine_of(settings)
    if not quarantine.reason(record.id):
        return ""
    from symphony_isolation.spec import fingerprint

    now = fingerprint(record.fingerprint(), record.version, settings.of_extension(record))
    return quarantine.reason(record.id, now)


def _asked(settings: Settings, entries: Iterable[CatalogueEntry], health: bool) -> list[Surveyed]:
    import asyncio

    infos, problems = asyncio.run(_ask(settings, health))
    found = []
    for entry in entries:
        surveyed = Surveyed(entry.record, entry.state, entry.reason, entry.problems)
        info = infos.get(entry.record.id)
        if entry.state != "resolved":
            found.append(surveyed)
        elif errors := problems.get(entry.record.id, ()):
            found.append(surveyed._replace(state="failed", reason=errors[0].message, problems=errors))
        elif info is None:
            found.append(surveyed)
        elif info.state in ("failed", "quarantined"):
            error = _no_worker(info)
            found.append(surveyed._replace(state=info.state, reason=error.message, problems=(error,)))
        else:
            found.append(surveyed._replace(operations=info.operations, addons=info.addons))
    return found


async def _ask(
    settings: Settings, health: bool
) -> "tuple[Mapping[str, ExtensionInfo], Mapping[str, tuple[SymphonyError, ...]]]":
    import asyncio

    from symphony_host.cli.session import open_host

    async with open_host(settings) as host:
        infos = {info.id: info for info in await host.extensions.extensions()}
        asked = [id for id, info in infos.items() if health and info.state == "resolved"]
        errors = await asyncio.gather(*(_unwell(host, id) for id in asked))
        unwell = {id: (error,) for id, error in zip(asked, errors, strict=True) if error is not None}
        host.plugins.pit_components()
        host.plugins.executors()
        host.plugins.transports()
        host.plugins.artifact_tiers()
        return infos, {**unwell, **host.problems}


async def _unwell(host: "Host", extension: str) -> "SymphonyError | None":
    """What is wrong with an extension when it runs; None where nothing is."""
    from symphony_sdk.errors import ExtensionError, SymphonyError

    try:
        await host.extensions.activate(extension)
        problem = (await host.extensions.health(extension)).problem
        await host.extensions.deactivate(extension)
    except SymphonyError as error:
        return None if error.code == "SYM-P002" else error  # nobody was asked yet: `run` does
    if not problem:
        return None
    return ExtensionError(
        f"it is not well: {problem}", code="SYM-E049", hint="Its `symphony_health` says so."
    )


def _no_worker(info: "ExtensionInfo") -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError, error_from_payload

    if info.error is not None:
        return error_from_payload(info.error)
    if info.state == "quarantined":
        return _in_quarantine(info.id, info.reason)
    return ExtensionError(
        info.reason or f"{info.id} is {info.state}",
        hint=f"Install another version of it, tell its author, or `symphony disable {info.id}`.",
        details={"extension": info.id},
    )


def _in_quarantine(extension: str, reason: str) -> "SymphonyError":
    from symphony_sdk.errors import ExtensionError

    return ExtensionError(
        f"it {reason}",
        code="SYM-E032",
        hint=f"Mend or update it, or give it one more try: `symphony reload {extension}`.",
        details={"extension": extension},
    )


def _told_apart(found: list[Surveyed]) -> list[Surveyed]:
    """The extensions; those that bring one operation between them say so, and can still do the rest."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for surveyed in found:
        for operation in surveyed.operations or ():
            owners[operation.id].append(surveyed.record.id)
    conflicts = {operation: who for operation, who in owners.items() if len(who) > 1}
    if not conflicts:
        return found
    from symphony_sdk.errors import ExtensionError

    told = []
    for surveyed in found:
        errors = tuple(
            ExtensionError(
                f"the operation {operation!r} comes from {' and '.join(who)}; none of them is used",
                code="SYM-E017",
                hint=f"`symphony disable` all of {', '.join(who)} but one.",
                details={"operation": operation, "extensions": who},
            )
            for operation, who in conflicts.items()
            if surveyed.record.id in who
        )
        if errors:
            surveyed = surveyed._replace(
                reason=surveyed.reason or errors[0].message, problems=(*surveyed.problems, *errors)
            )
        told.append(surveyed)
    return told
