"""All that is installed, with what the user has switched off and what each extension lacks: who can be used.

It loads no code of any extension, so it answers in every state that an installation can be in.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from symphony_host.configuration import Settings
from symphony_host.enablement import Enablement
from symphony_host.index import load_records
from symphony_host.records import ExtensionRecord
from symphony_host.resolver import resolve
from symphony_host.trust import refusal_in_host

if TYPE_CHECKING:
    from symphony_isolation.quarantine import Quarantine
    from symphony_sdk.errors import SymphonyError

    from symphony_host.lifecycle import Change, Lifecycle


class CatalogueEntry(NamedTuple):
    """One installed extension and whether it can be used.

    Args:
        record: What discovery knows of it.
        state: `resolved` where it can be used, else `failed` or `disabled`.
        reason: Why it cannot be used; empty where it can.
        problems: Of a failed one: all that is wrong.
    """

    record: ExtensionRecord
    state: Literal["resolved", "failed", "disabled"]
    reason: str = ""
    problems: "tuple[SymphonyError, ...]" = ()


class Catalogue(NamedTuple):
    """The installed extensions.

    Args:
        entries: Each of them, sorted by id; two with one id are both there, and both failed.
        order: Ids of those that can be used; each comes after all that it needs.
        needs: For each of those, the ids of the extensions that it needs.
    """

    entries: tuple[CatalogueEntry, ...]
    order: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]

    def entry(self, extension: str) -> CatalogueEntry:
        """An installed extension, whatever its state.

        Args:
            extension: Its id.

        Raises:
            ExtensionError: SYM-E028, it is not installed.
        """
        for entry in self.entries:
            if entry.record.id == extension:
                return entry
        from difflib import get_close_matches

        from symphony_sdk.errors import ExtensionError

        near = get_close_matches(extension, [entry.record.id for entry in self.entries], n=1)
        raise ExtensionError(
            f"no extension {extension!r} is installed",
            code="SYM-E028",
            hint=f"Did you mean {near[0]!r}?" if near else "`symphony list` shows those that are.",
        )

    def usable(self) -> tuple[ExtensionRecord, ...]:
        """Those that can be used, in the order in which they load."""
        records = {entry.record.id: entry.record for entry in self.entries}
        return tuple(records[extension] for extension in self.order)

    def lifecycle(
        self, *, on_change: "Callable[[Change], None] | None" = None, strict: bool = False
    ) -> "Lifecycle":
        """The life cycle of these extensions, each in its state here.

        Args:
            on_change: As of [Lifecycle][symphony_host.lifecycle.Lifecycle].
            strict: As of [Lifecycle][symphony_host.lifecycle.Lifecycle].
        """
        from symphony_host.lifecycle import Lifecycle

        lifecycle = Lifecycle(on_change, strict=strict)
        for extension, entry in {entry.record.id: entry for entry in self.entries}.items():
            lifecycle.discover(extension)
            lifecycle.move(
                extension, entry.state, reason=entry.reason, error=next(iter(entry.problems), None)
            )
        return lifecycle


def enablement_of(settings: Settings) -> Enablement:
    """What the user has switched off, kept among the user's data.

    Args:
        settings: The settings of this start.
    """
    return Enablement(settings.data_dir / "disabled")


def quarantine_of(settings: Settings) -> "Quarantine":
    """Which extensions crash too often, kept among the user's data.

    Args:
        settings: The settings of this start.
    """
    from symphony_isolation.quarantine import Quarantine

    return Quarantine(settings.data_dir / "quarantine")


def load_catalogue(settings: Settings, *, refresh: bool = False) -> Catalogue:
    """What is installed and who can be used.

    Args:
        settings: The settings of this start.
        refresh: Whether to look anew even where the index holds good.
    """
    installed = load_records(refresh=refresh, cache_dir=str(settings.cache_dir))
    records = [_if_trusted(record, settings) for record in installed]
    switched_off = {
        extension: f"switched off{f': {reason}' if reason else ''}"
        for extension, reason in enablement_of(settings).disabled().items()
    }
    for record in records:
        if (pattern := settings.denial(record.id)) is not None:
            switched_off[record.id] = f"denied by {pattern!r} in the setting `denied`"
    misconfigured = {
        record.id: error
        for record in records
        if record.usable
        and record.id not in switched_off
        and settings.mentions(record.id)  # the check of settings is not light
        and (error := _settings_fault(settings, record)) is not None
    }
    unusable = switched_off | {extension: error.message for extension, error in misconfigured.items()}
    resolution = resolve(records, unusable)

    def entry(record: ExtensionRecord) -> CatalogueEntry:
        if record.id in switched_off:
            return CatalogueEntry(record, "disabled", switched_off[record.id])
        problems = resolution.problems.get(record.id, ())
        if record.id in misconfigured:
            problems = (misconfigured[record.id],)
        if (error := record.error) is not None:
            problems = (error, *problems)
        if problems:
            return CatalogueEntry(record, "failed", problems[0].message, problems)
        return CatalogueEntry(record, "resolved")

    return Catalogue(tuple(map(entry, records)), resolution.order, resolution.needs)


def _if_trusted(record: ExtensionRecord, settings: Settings) -> ExtensionRecord:
    """`record`, broken where it asks to run in the host and may not."""
    if record.runs != "host" or record.fault is not None:
        return record
    refusal = refusal_in_host(record, settings.trusted)
    if refusal is None:
        return record
    import msgspec

    return record.with_changes(fault=msgspec.to_builtins(refusal.payload()))


def _settings_fault(settings: Settings, record: ExtensionRecord) -> "SymphonyError | None":
    from symphony_sdk.errors import ConfigurationError

    try:
        settings.of_extension(record)
    except ConfigurationError as error:
        return error
    return None
