"""Compresses packs in the background where that pays, in one process at a time, while nobody stores anything.

It has no lower priority than others, as it holds locks that they wait for: it gives way between any two small steps.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Final

import apsw
from symphony_sdk.errors import ArtifactError

from pit_artifact_store import layout
from pit_artifact_store.collecting import Collector
from pit_artifact_store.publishing import Publisher
from pit_artifact_store.reading import DamagedContent

FIRST_AFTER: Final = 5.0
"""Seconds after something was first stored: a process that is gone by then pays nothing."""

AGAIN_AFTER: Final = 60.0
"""Seconds between two looks at which packs there are."""

QUIET: Final = 0.05
"""Seconds for which nothing was stored before it goes on."""

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The store is being closed."""


class Compressor:
    """A thread of one open store.

    Args:
        root: The directory of the store.
        collector: Writes packs anew.
        publisher: Those that it works for go first.
    """

    def __init__(self, root: Path, collector: Collector, publisher: Publisher) -> None:
        self._root = root
        self._collector = collector
        self._publisher = publisher
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin a little later; a second time does nothing."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._closing.is_set():
                    self._thread = threading.Thread(target=self._run, name="artifact-compressor", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """End the thread; what it was at is left as it was."""
        with self._starting:
            self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def compress(self) -> None:
        """Compress what is in packs that nobody goes on with; does nothing where another process does.

        Raises:
            Stopped: The store is being closed.
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        with layout.compressing(self._root) as is_alone:
            if is_alone:
                self._collector.compress(self._give_way)

    def _run(self) -> None:
        pause = FIRST_AFTER
        while not self._closing.wait(pause):
            pause = AGAIN_AFTER
            try:
                self.compress()
            except Stopped:
                return
            except (
                OSError,
                apsw.Error,
                ArtifactError,
                DamagedContent,
            ) as error:  # who stores or reads is told
                _log.warning("packs of %s were not compressed: %s", self._root, error)

    def _give_way(self) -> None:
        while (rest := self._publisher.latest + QUIET - time.monotonic()) > 0:
            self._closing.wait(rest)
            if self._closing.is_set():
                break
        if self._closing.is_set():
            raise Stopped
