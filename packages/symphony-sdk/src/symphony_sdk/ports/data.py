"""DataAccessPort: users, projects, workflows and extensions, wherever they are kept.

The side that keeps them decides: it checks who may do what, and the rules of the business. Errors of that
side carry `details["layer"] == "authoritative"`, those of the technical check before it `"pre-validation"`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NewType, Protocol, TypeVar

import msgspec

AccountId = NewType("AccountId", str)
ProjectId = NewType("ProjectId", str)
WorkflowId = NewType("WorkflowId", str)
ExtensionId = NewType("ExtensionId", str)


class Account(msgspec.Struct, frozen=True):
    """A user.

    Args:
        id: Unique id.
        name: Shown to people.
        roles: What the account may do, by role.
    """

    id: AccountId
    name: str
    roles: tuple[str, ...] = ()


class Project(msgspec.Struct, frozen=True):
    """Workflows that belong together.

    Args:
        id: Unique id.
        name: Shown to people.
        owner: Whose it is.
    """

    id: ProjectId
    name: str
    owner: AccountId


class WorkflowEntry(msgspec.Struct, frozen=True):
    """A workflow that is kept.

    Args:
        id: Unique id.
        project: Where it belongs.
        name: Shown to people.
        revision: Number of its state; an update names the one that it is based on.
        document: The workflow as its JSON document.
    """

    id: WorkflowId
    project: ProjectId
    name: str
    revision: int
    document: dict[str, Any]


class ExtensionEntry(msgspec.Struct, frozen=True):
    """An extension that an account uses.

    Args:
        id: `publisher.name`.
        account: Whose entry it is.
        version: Version that is used.
        enabled: Whether it is.
        settings: Its settings.
    """

    id: ExtensionId
    account: AccountId
    version: str
    enabled: bool = True
    settings: dict[str, Any] = {}


class Page(msgspec.Struct, frozen=True):
    """Which part of a long answer is wanted.

    Args:
        limit: At most so many entries.
        cursor: The last answer's cursor; empty for the first page.
    """

    limit: int = 100
    cursor: str = ""


Entry = TypeVar("Entry")
Key = TypeVar("Key", contravariant=True)


class DataStore(Protocol[Entry, Key]):
    """Entries by their id."""

    async def get(self, id: Key) -> Entry:
        """One entry.

        Args:
            id: Its id.

        Raises:
            PortError: There is none, or it may not be read.
        """

    async def put(self, entry: Entry) -> Entry:
        """Create or change an entry, and return it as it is kept now.

        Args:
            entry: What it is to be.

        Raises:
            PortError: It is refused, or another change came first.
        """

    async def delete(self, id: Key) -> None:
        """Remove an entry.

        Args:
            id: Its id.

        Raises:
            PortError: There is none, or it may not be removed.
        """


class QueryableStore(DataStore[Entry, Key], Protocol):
    """Entries that can be searched."""

    async def query(self, where: dict[str, Any], page: Page = Page()) -> tuple[Sequence[Entry], str]:
        """Entries whose fields have these values, and the cursor of the next page; empty at the end.

        Args:
            where: Values by field name.
            page: Which part of the answer.
        """


class TransactionalStore(QueryableStore[Entry, Key], Protocol):
    """Entries that change together or not at all."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Changes inside of it become visible together at its end, and none of them after an error."""


class DataAccessPort(Protocol):
    """The four stores; each operation is one call to the side that keeps them."""

    @property
    def accounts(self) -> "QueryableStore[Account, AccountId]":
        """Users."""

    @property
    def projects(self) -> "QueryableStore[Project, ProjectId]":
        """Projects."""

    @property
    def workflows(self) -> "TransactionalStore[WorkflowEntry, WorkflowId]":
        """Workflows."""

    @property
    def extensions(self) -> "QueryableStore[ExtensionEntry, ExtensionId]":
        """Extensions that accounts use."""
