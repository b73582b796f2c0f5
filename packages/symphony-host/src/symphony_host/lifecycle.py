"""Where each extension is in its life, why, and since when; and the order in which lives begin and end."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from symphony_sdk.errors import ExtensionError, SymphonyError, foreign_error

if TYPE_CHECKING:
    from symphony_sdk.ports.extension import ExtensionState

Step = Literal["load", "activate", "deactivate", "unload"]

TRANSITIONS: "Mapping[ExtensionState, tuple[ExtensionState, ...]]" = {
    "discovered": ("resolved", "failed", "disabled", "quarantined"),
    "resolved": ("loaded", "failed", "disabled", "quarantined"),
    "loaded": ("active", "unloaded", "failed", "quarantined"),
    "active": ("deactivated", "failed", "quarantined"),
    "deactivated": ("active", "unloaded", "failed", "quarantined"),
    "unloaded": ("resolved", "failed", "disabled", "quarantined"),
    "failed": ("resolved", "disabled", "quarantined"),
    "disabled": ("resolved", "failed", "quarantined"),
    "quarantined": ("resolved", "disabled"),
}
"""For each state, those that may follow it. A failed, disabled or quarantined one begins again at `resolved`."""

AFTER: "Mapping[Step, ExtensionState]" = {
    "load": "loaded",
    "activate": "active",
    "deactivate": "deactivated",
    "unload": "unloaded",
}
"""The state after each step."""


class Change(NamedTuple):
    """One change of an extension's state.

    Args:
        extension: Id of the extension.
        state: Its state from then on.
        at: Unix time in seconds.
        reason: Why; empty where it is the ordinary course.
        error: The error that led there, if one did.
    """

    extension: str
    state: "ExtensionState"
    at: float
    reason: str = ""
    error: SymphonyError | None = None


class Lifecycle:
    """Keeps the states of all extensions and leads them through their lives.

    Args:
        on_change: Sees each change after it happened.
        clock: Gives the Unix time in seconds.
        strict: Whether what a step raises is raised again once the extension has become `failed`.
    """

    def __init__(
        self,
        on_change: Callable[[Change], None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        strict: bool = False,
    ) -> None:
        self._on_change = on_change
        self._strict = strict
        self._clock = clock
        self._history: dict[str, list[Change]] = {}

    def discover(self, extension: str) -> None:
        """Begin to keep the state of an extension, as `discovered`.

        Args:
            extension: Its id.

        Raises:
            ExtensionError: SYM-E029, it is kept already.
        """
        if extension in self._history:
            raise ExtensionError(
                f"{extension} was discovered before and is {self.state(extension)}",
                code="SYM-E029",
                hint="Move it to `resolved` to begin again.",
            )
        self._history[extension] = []
        self._note(Change(extension, "discovered", self._clock()))

    def move(
        self,
        extension: str,
        state: "ExtensionState",
        *,
        reason: str = "",
        error: SymphonyError | None = None,
    ) -> None:
        """Change the state of an extension.

        Args:
            extension: Its id.
            state: The new state.
            reason: Why; the error's message where there is an error and no reason.
            error: The error that leads there, if one does.

        Raises:
            ExtensionError: SYM-E028, it is unknown; SYM-E029, that state cannot follow the present one.
        """
        present = self.state(extension)
        if state not in TRANSITIONS[present]:
            raise ExtensionError(
                f"{extension} is {present} and cannot become {state}; expected one of "
                f"{', '.join(TRANSITIONS[present])}",
                code="SYM-E029",
                hint="Lead it through the states between.",
                details={"extension": extension, "from": present, "to": state},
            )
        reason = reason or (error.message if error else "")
        self._note(Change(extension, state, self._clock(), reason, error))

    def state(self, extension: str) -> "ExtensionState":
        """The present state of an extension.

        Args:
            extension: Its id.

        Raises:
            ExtensionError: SYM-E028, it is unknown.
        """
        return self.history(extension)[-1].state

    def history(self, extension: str) -> Sequence[Change]:
        """Every change of an extension's state, the latest last; never empty.

        Args:
            extension: Its id.

        Raises:
            ExtensionError: SYM-E028, it is unknown.
        """
        try:
            return tuple(self._history[extension])
        except KeyError:
            raise ExtensionError(
                f"no extension {extension!r} is installed",
                code="SYM-E028",
                hint="`symphony list` shows those that are.",
            ) from None

    def latest(self) -> Mapping[str, Change]:
        """The latest change of each extension, by id."""
        return {extension: changes[-1] for extension, changes in self._history.items()}

    def start(
        self,
        order: Iterable[str],
        run: Callable[[str, Step], None],
        needs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Load and activate extensions one after the other.

        One that raises becomes `failed`, those that need it too, and the others go on.

        Args:
            order: Ids of resolved extensions; each comes after all that it needs.
            run: Runs one step of one extension.
            needs: Ids of the extensions that each one needs.
        """
        causes: dict[str, str] = {}
        for extension in order:
            for need in (needs or {}).get(extension, ()):
                if self.state(need) != "active":
                    cause = causes[extension] = causes.get(need, need)
                    told = f"{extension} needs {need}, which is {self.state(need)}: "
                    if cause != need:  # a chain is told by its ends, however long it is
                        told += f"{need} needs {cause}, which is {self.state(cause)}: "
                    error = ExtensionError(
                        told + self._history[cause][-1].reason,
                        code="SYM-E026",
                        hint=f"Mend {need} first.",
                        details={"needs": need},
                    )
                    self.move(extension, "failed", error=error)
                    break
            else:
                self._step(extension, "load", run) and self._step(extension, "activate", run)

    def stop(self, order: Iterable[str], run: Callable[[str, Step], None]) -> None:
        """Deactivate and unload what is loaded, in the reverse of the order in which it was started.

        One that raises becomes `failed`, and the others go on.

        Args:
            order: The order that `start` was given.
            run: Runs one step of one extension.
        """
        for extension in reversed(tuple(order)):
            if self.state(extension) == "active":
                self._step(extension, "deactivate", run)
            if self.state(extension) in ("loaded", "deactivated"):
                self._step(extension, "unload", run)

    def _step(self, extension: str, step: Step, run: Callable[[str, Step], None]) -> bool:
        try:
            run(extension, step)
        except (Exception, SystemExit) as error:
            self.move(extension, "failed", error=foreign_error(error, extension))
            if self._strict:
                raise
            return False
        self.move(extension, AFTER[step])
        return True

    def _note(self, change: Change) -> None:
        self._history[change.extension].append(change)
        if self._on_change is not None:
            self._on_change(change)
