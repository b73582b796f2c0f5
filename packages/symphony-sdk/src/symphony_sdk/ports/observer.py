"""ObserverPort: what watches the runs of a host, such as a bridge to a monitoring system."""

from typing import Protocol

from symphony_sdk.events import RunEvent


class ObserverPort(Protocol):
    """Sees what happens in the runs that the host starts or resumes; what it raises harms no run."""

    def see(self, event: RunEvent) -> None:
        """See an event as it happens.

        It is called on the host's event loop, so it must return at once; what takes longer goes into a task or a thread.

        Args:
            event: What happened.
        """

    async def close(self) -> None:
        """Finish; no event comes any more, and the Pit is still there to be asked."""
