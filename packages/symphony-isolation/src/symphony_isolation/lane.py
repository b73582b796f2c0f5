"""What runs the operations of one extension, in whichever processes or threads."""

from collections.abc import Callable, Iterable
from typing import Protocol

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.ports import ExtensionHealth, ExtensionInfo

from symphony_isolation.call import Call


class Lane(Protocol):
    """The calls of one extension on their way to its code; all methods are called on one event loop."""

    @property
    def info(self) -> ExtensionInfo:
        """What is known of the extension."""

    @property
    def contributions(self) -> ExtensionLoaded | None:
        """What it contributes; None until that is known."""

    async def activate(self) -> None:
        """Make it ready for calls; nothing where it is.

        Raises:
            ExtensionError: It cannot be made ready.
        """

    async def stop(self) -> None:
        """End what runs of it; nothing where nothing does."""

    async def health(self) -> ExtensionHealth:
        """How that is which runs it."""

    def chains(self, first: OperationSpec, then: OperationSpec) -> bool:
        """Whether calls of two operations can run one right after the other, in one thread.

        Args:
            first: The operation of the one.
            then: The operation of the other.
        """

    def submit(self, calls: Iterable[Call]) -> None:
        """Run calls, each with the links after it in its chain; each of them gets its final event.

        Args:
            calls: Calls whose operation is known.
        """

    def cancel(self, chosen: Callable[[Call], bool], *, force: bool = False) -> None:
        """End calls.

        Args:
            chosen: Whether a call is meant.
            force: End also what does not end by itself, as far as that can be done.
        """
