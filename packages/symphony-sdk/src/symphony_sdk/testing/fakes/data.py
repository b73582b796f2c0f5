"""Stores in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec

from symphony_sdk.errors import PortError
from symphony_sdk.ports import Account, ExtensionEntry, Page, Project, WorkflowEntry
from symphony_sdk.ports.data import AccountId, ExtensionId, ProjectId, WorkflowId

Entry = TypeVar("Entry", bound=msgspec.Struct)
Key = TypeVar("Key", bound=str)


class FakeStore(Generic[Entry, Key]):
    """Fake of TransactionalStore: entries by their `id`, with revisions where they have one."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    async def get(self, id: Key) -> Entry:
        """One entry; a PortError where there is none."""
        try:
            return self._entries[id]
        except KeyError:
            raise PortError(f"there is no entry {id!r}", details={"layer": "authoritative"}) from None

    async def put(self, entry: Entry) -> Entry:
        """Keep an entry; a PortError where it is based on an old revision."""
        fields = msgspec.structs.asdict(entry)
        kept = self._entries.get(fields["id"])
        if "revision" in fields:
            current = msgspec.structs.asdict(kept)["revision"] if kept is not None else 0
            if fields["revision"] != current:
                raise PortError(
                    f"{fields['id']!r} has revision {current}, not {fields['revision']}",
                    hint="Read it again and repeat the change.",
                    details={"layer": "authoritative"},
                )
            entry = msgspec.structs.replace(entry, revision=current + 1)
        self._entries[fields["id"]] = entry
        return entry

    async def delete(self, id: Key) -> None:
        """Remove an entry; a PortError where there is none."""
        await self.get(id)
        del self._entries[id]

    async def query(self, where: dict[str, Any], page: Page = Page()) -> tuple[Sequence[Entry], str]:
        """Entries whose fields have these values, in the order of their ids."""
        found = [
            entry
            for _, entry in sorted(self._entries.items())
            if where.items() <= msgspec.structs.asdict(entry).items()
        ]
        start = int(page.cursor or 0)
        end = start + page.limit
        return found[start:end], str(end) if end < len(found) else ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Changes inside of it are undone by an error."""
        before = dict(self._entries)
        try:
            yield
        except BaseException:
            self._entries = before
            raise


class FakeDataAccess:
    """Fake of DataAccessPort: four stores in memory."""

    def __init__(self) -> None:
        self.accounts: FakeStore[Account, AccountId] = FakeStore()
        self.projects: FakeStore[Project, ProjectId] = FakeStore()
        self.workflows: FakeStore[WorkflowEntry, WorkflowId] = FakeStore()
        self.extensions: FakeStore[ExtensionEntry, ExtensionId] = FakeStore()
