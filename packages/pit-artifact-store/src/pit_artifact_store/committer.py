"""Commits what several threads store in one group, so that they share the cost of one sync."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from symphony_sdk.errors import ArtifactError

Item = TypeVar("Item")

PATIENCE = 0.25
"""For how much of the time that the last group took the next one is waited for to be as large."""


class _Submission(Generic[Item]):
    """An item that waits to be committed; its thread waits for the lock `done`, which is all that it costs."""

    __slots__ = ("done", "error", "item")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Committer(Generic[Item]):
    """One thread that commits everything that came while it committed the group before.

    So a lone writer waits for one sync, and many at once share each.

    Args:
        commit: Commits a group, all or nothing.
        alone: What it raises where a single item may be to blame.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], None], alone: tuple[type[Exception], ...]) -> None:
        self._commit = commit
        self._alone = alone
        self._waiting: list[_Submission[Item]] = []
        self._changed = threading.Condition()
        self._expected = 1
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, item: Item) -> None:
        """Hand in an item, and return when its group is committed.

        Args:
            item: What to commit.

        Raises:
            ArtifactError: The committer is closed.
            Exception: What `commit` raised.
        """
        submission = _Submission(item)
        with self._changed:
            if self._closed:
                raise ArtifactError("the artifact store is closed", code="SYM-A007")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="artifact-committer", daemon=True)
                self._thread.start()
            self._waiting.append(submission)
            if len(self._waiting) == 1 or len(self._waiting) >= self._expected:
                self._changed.notify()
        submission.done.acquire()
        if submission.error is not None:
            raise submission.error

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        took = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                # Those of the last group are about to come again: without them, two halves would take turns.
                self._changed.wait_for(self._is_as_large, took * PATIENCE)
                group, self._waiting = self._waiting, []
            if not group:
                return
            began = time.monotonic()
            self._commit_group(group)
            took = time.monotonic() - began
            with self._changed:
                self._expected = len(group) + len(self._waiting)

    def _is_as_large(self) -> bool:
        return len(self._waiting) >= self._expected or self._closed

    def _commit_group(self, group: list[_Submission[Item]]) -> None:
        try:
            self._commit([submission.item for submission in group])
        except self._alone as error:
            if len(group) > 1:
                for submission in group:  # so that one that cannot be stored harms none beside it
                    self._commit_group([submission])
                return
            group[0].error = error
        except BaseException as error:  # noqa: BLE001 - the thread must go on; the callers get it
            for submission in group:
                submission.error = error
        for submission in group:
            submission.done.release()
