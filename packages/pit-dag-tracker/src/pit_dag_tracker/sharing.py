"""Divides an executor among the runs of this process: its places by weight, and what calls need by whose turn it is.

Stride scheduling (Waldspurger and Weihl, MIT/LCS/TM-528, 1995): each run has passed so much of the time that the
executor spent on it, divided by its weight; the one that has passed least of those that have something to hand out
goes next. A run that had nothing to hand out saves nothing up, so that whoever comes late gets its share at once, and
no more. What is left over by one is used by the others.
"""

from collections.abc import Callable, Iterable, Mapping, Set

from symphony_sdk.messages import CHAIN_LIMIT
from symphony_sdk.ports.executor import ExecutorPort

from pit_dag_tracker.limits import Limits, Need

BATCHES_PER_SLOT = 2
LEAST_SECONDS = 1e-4
"""What a call counts at least, so that runs of many short calls are shared too."""

NOTHING: Set[str] = frozenset()


class Turn:
    """One run among those that share an executor.

    Args:
        weight: Its share; twice the weight gets twice the time.
        wake: Lets the run look whether it may hand out more.

    Attributes:
        passed: Seconds of the executor's time, divided by the weight.
        hungry: Whether it has something to hand out and waits for its turn.
        lacking: What its most urgent calls wait for.
        seen: How often what is free had changed when it last looked.
    """

    __slots__ = ("hungry", "lacking", "passed", "seen", "wake", "weight")

    def __init__(self, weight: float, passed: float, wake: Callable[[], None]) -> None:
        self.weight = weight
        self.passed = passed
        self.wake = wake
        self.hungry = False
        self.lacking = NOTHING
        self.seen = 0


class Share:
    """An executor and the runs that want it.

    Args:
        executor: The executor, which is ready for calls.
        concurrency: Calls of an extension that may be out at once, by the id of the extension.

    Attributes:
        executor: The executor.
        limits: What calls may take together.
        batches: How many batches it has.
        typical: Seconds that a call of each operation takes, as far as that is known.
        links: Calls of a chain that it gets through before it gives the rest back.
    """

    def __init__(self, executor: ExecutorPort, concurrency: Mapping[str, int]) -> None:
        self.executor = executor
        # An executor that was made before the port had a capacity sees to that itself.
        self.limits = Limits(getattr(executor, "capacity", None), concurrency)
        self.batches = 0
        self.typical: dict[str, float] = {}
        self.links = CHAIN_LIMIT
        self._turns: list[Turn] = []
        self._passed = 0.0
        self._changes = 0

    def join(self, weight: float, wake: Callable[[], None]) -> Turn:
        """Let a run share the executor.

        Args:
            weight: Its share; twice the weight gets twice the time.
            wake: Lets the run look whether it may hand out more.
        """
        turn = Turn(weight, self._passed, wake)
        self._turns.append(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """A run needs the executor no more.

        Args:
            turn: The run; it may have left already.
        """
        if turn in self._turns:
            self._turns.remove(turn)
            self.call_next()
            self._changes += 1
            self.call_lacking()

    def begin(self, turn: Turn) -> None:
        """A run looks what it may hand out; what it did not want before, it does not get now.

        Args:
            turn: The run.
        """
        if not turn.hungry and not turn.lacking:
            turn.passed = max(turn.passed, self._passed)
        turn.hungry = False
        turn.lacking = NOTHING
        turn.seen = self._changes

    def first(self, turn: Turn) -> bool:
        """Whether no other run that has something to hand out comes before a run.

        Args:
            turn: The run.
        """
        return len(self._turns) == 1 or not any(
            other.hungry and other.passed < turn.passed for other in self._turns
        )

    def charge(self, turn: Turn, seconds: float) -> None:
        """A run hands out a batch.

        Args:
            turn: The run, whose turn it is.
            seconds: How long the calls of the batch should take together.
        """
        self._passed = max(self._passed, turn.passed)
        turn.passed += seconds / turn.weight

    def lacking(self, turn: Turn, need: Need) -> Set[str]:
        """What a call has to wait for; nothing where it may go.

        It also waits for what a run before its own waits for, so that many who need little starve nobody who needs
        much.

        Args:
            turn: The run that it belongs to.
            need: What it takes.
        """
        lacking = self.limits.lacking(need)
        if not lacking and len(self._turns) > 1:
            kinds = {kind for kind, _ in need}
            for other in self._turns:
                if other is not turn and other.passed < turn.passed:
                    lacking = lacking | (kinds & other.lacking)
        return lacking

    def take(self, need: Need) -> None:
        """A call that takes something goes out.

        Args:
            need: What it takes; all of it is free.
        """
        self.limits.take(need)
        self._changes += 1

    def give(self, need: Need) -> None:
        """A call that took something has come back.

        Args:
            need: What it took.
        """
        self.limits.give(need)
        self._changes += 1
        self.call_lacking()

    def stopped_lacking(self) -> None:
        """A run does not wait any more for what its calls waited for."""
        self._changes += 1

    def call_next(self) -> None:
        """Let the run whose turn it is hand something out."""
        if len(self._turns) > 1:
            hungry = [turn for turn in self._turns if turn.hungry]
            if hungry:
                min(hungry, key=lambda turn: turn.passed).wake()

    def call_lacking(self) -> None:
        """Let the first of the runs look that wait for something of which there is some, and have not looked since."""
        waiting = [
            turn
            for turn in self._turns
            if turn.lacking and turn.seen != self._changes and self.limits.some(turn.lacking)
        ]
        if waiting:
            min(waiting, key=lambda turn: turn.passed).wake()


class Shares:
    """The executors of this process, each as all of its runs share it.

    Args:
        concurrency: Calls of an extension that may be out at one executor at once: `extension=calls` each.
    """

    def __init__(self, concurrency: Iterable[str]) -> None:
        self._concurrency = dict(_read(text) for text in concurrency)
        self._shares: dict[str, Share] = {}

    def of(self, executor: ExecutorPort) -> Share:
        """An executor and the runs that want it.

        Args:
            executor: The executor, which is ready for calls.
        """
        if executor.name not in self._shares:
            self._shares[executor.name] = Share(executor, self._concurrency)
        return self._shares[executor.name]


def _read(text: str) -> tuple[str, int]:
    extension, _, calls = text.partition("=")
    return extension, int(calls)
