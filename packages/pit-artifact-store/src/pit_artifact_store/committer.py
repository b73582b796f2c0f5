"""Commits what several threads store in one group, so that they share the cost of one sync."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from symphony_sdk.errors import ArtifactError

Item = TypeVar("Item")


class Committer(Generic[Item]):
    """One thread that commits everything that came while it committed the group before.

    So a lone writer waits for one sync, and many at once share each.

    Args:
        commit: Commits a group, all or nothing. Raises `ArtifactError`.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], None]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Item, Future[None]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, item: Item) -> None:
        """Hand in an item, and return when its group is committed.

        Args:
            item: What to commit.

        Raises:
            ArtifactError: It could not be committed, or the committer is closed.
        """
        done: Future[None] = Future()
        with self._changed:
            if self._closed:
                raise ArtifactError("the artifact store is closed", code="SYM-A007")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="artifact-committer", daemon=True)
                self._thread.start()
            self._waiting.append((item, done))
            self._changed.notify()
        done.result()

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                group, self._waiting = self._waiting, []
            if not group:
                return
            self._commit_group(group)

    def _commit_group(self, group: list[tuple[Item, "Future[None]"]]) -> None:
        try:
            self._commit([item for item, _ in group])
        except ArtifactError as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for member in group:  # so that one that cannot be stored harms none beside it
                self._commit_group([member])
        except BaseException as error:  # noqa: BLE001 - the thread must go on; the callers get it
            for _, done in group:
                done.set_exception(error)
        else:
            for _, done in group:
                done.set_result(None)
