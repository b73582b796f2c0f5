"""What an attempt is, and how the modules of this package say one: `@files.high(told())` above a function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["high", "low"]


@dataclass(frozen=True)
class Look:
    """What the host looks at to see whether an attempt had an effect.

    Args:
        world: The host's side of it.
        name: Of the attempt.
        said: What the hostile code answered; only a secret in it counts.
        before: What the host saw before.
        runner: Where the attacker runs.
        grace: Seconds that whoever holds it to its limits has to end it.
    """

    world: Any
    name: str
    said: str
    before: Any
    runner: Any
    grace: float = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the attacker, as the host sees them."""
        return self.runner.pids()


@dataclass(frozen=True)
class Effect:
    """How the host sees that an attempt has escaped.

    Args:
        seen: Whether it has.
        before: Looks at how it was before.
    """

    seen: Callable[[Look], bool]
    before: Callable[[Look], Any] = lambda look: None


@dataclass(frozen=True)
class Attempt:
    """One thing that an extension must not be able to do.

    Args:
        name: What it does.
        kind: Such as `files`.
        severity: `high` where it takes, changes or reaches something; `low` where it only learns that something is
            there, or bends a limit of its own.
        run: The hostile code; gets an `At`.
        effect: How the host sees that it has succeeded.
        needs: Why it may not succeed on a machine that confines nothing; empty where it must.
        alone: Whether it ends or exhausts the process that tries it.
        asks: Whether it asks the host, which only a worker has; another process does it itself.
        starts: Whether it is tried by an extension that may start processes.
    """

    name: str
    kind: str
    severity: Severity
    run: Callable[[Any], Any]
    effect: Effect
    needs: str = ""
    alone: bool = False
    asks: bool = False
    starts: bool = False


class Table:
    """The attempts of one kind.

    Args:
        kind: Such as `files`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.attempts: list[Attempt] = []

    def high(self, effect: Effect, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Adds an attempt that takes, changes or reaches something."""
        return self._adds("high", effect, more)

    def low(self, effect: Effect, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Adds an attempt that only learns that something is there, or bends a limit of its own."""
        return self._adds("low", effect, more)

    def _adds(self, severity: Severity, effect: Effect, more: dict[str, Any]) -> Callable[..., Any]:
        def add(run: Callable[..., Any]) -> Callable[..., Any]:
            self.attempts.append(
                Attempt(run.__name__.replace("_", " "), self.kind, severity, run, effect, **more)
            )
            return run

        return add
