"""Searches a store, and has it indexed: in a thread of its own, later, when nothing is stored."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactInfo, Found

from pit_artifact_store.changes import feed
from pit_artifact_store.ids import text_of
from pit_artifact_store.index import Index
from pit_artifact_store.lookups import Filters, fitting
from pit_artifact_store.reading import Reader
from pit_artifact_store.rows import Object, Rows
from pit_artifact_store.tiering.remote import OutOfReach

if TYPE_CHECKING:
    from pit_artifact_store.searching.live import Live

DELAY: Final = 1.0
"""Seconds after which what was stored is indexed: a short process never does it."""

QUIET: Final = 0.05
"""Seconds in which nothing was stored, after which it is indexed."""

PATIENCE: Final = 30.0
"""Seconds after which it is indexed also beside what is stored without a pause."""

_TICK: Final = 0.1

_log = logging.getLogger(__name__)


class Search:
    """Searches one open store; safe with many threads. Nothing is opened before it is first used.

    Args:
        root: The directory of the store.
        index: Its index.
        reader: Reads its packs.
        here: Reads those of them that are on this machine.
        key: Names and seals the index of words, 32 bytes.
    """

    def __init__(self, root: Path, index: Index, reader: Reader, here: Reader, key: bytes) -> None:
        self._root = root
        self._directory = root / "search"
        self._index = index
        self._reader = reader
        self._here = here
        self._key = key
        self._live: Live | None = None
        self._indexed = 0
        self._guard = threading.Lock()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._waiting = False
        self._urgent = 0
        self._stored = 0.0

    def noticed(self) -> None:
        """Something was stored: it is indexed a little later."""
        self._stored = time.monotonic()
        if not self._waiting:
            self._waiting = True
            with self._guard:
                if self._thread is None and not self._stop.is_set():
                    thread = threading.Thread(target=self._run, name="artifact-search")
                    with suppress(RuntimeError):  # the interpreter ends: another process indexes it
                        thread.start()
                        self._thread = thread

    def search(self, query: str, filters: Filters, limit: int, *, fresh: bool) -> list[Found]:
        """The artifacts that fit best.

        Args:
            query: The query, not empty.
            filters: Which are looked for.
            limit: At most so many.
            fresh: Whether all that was stored before is to be indexed first.

        Raises:
            ArtifactError: The query cannot be understood, or what is stored cannot be indexed.
        """
        from pit_artifact_store.searching.documents import is_text
        from pit_artifact_store.searching.indexing import Stopped
        from pit_artifact_store.searching.queries import filtered, pages, words_of
        from pit_artifact_store.searching.snippets import Snippets

        try:
            if fresh:
                self._catch_up()
            index = self._opened().index()
        except Stopped as error:
            raise self._is_closed() from error
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        if not fresh:
            self._notice_others()
        words = words_of(index, query)
        searcher = index.searcher()
        snippets = Snippets(searcher, index.schema, words)
        found: list[Found] = []
        for page in pages(searcher, filtered(index.schema, words, filters), query, limit):
            with self._index.reading() as rows:
                # What was removed or changed since it was indexed is left out.
                told: dict[str, ArtifactInfo] = {}
                for info in fitting(rows, filters, [*page]):
                    told.setdefault(info.ref.id, info)
                shown = {id: told[text_of(id)] for id in page if text_of(id) in told}
                shown = dict(islice(shown.items(), limit - len(found)))
                texts = rows.objects([id for id, info in shown.items() if is_text(info.ref.media_type)])
                for id, info in shown.items():
                    text = self._text_here(rows, texts[id]) if id in texts else ""
                    snippet = snippets.of(info, text)
                    found.append(Found(info, page[id], snippet.text, snippet.highlights))
            if len(found) >= limit:
                break
        return found

    def _text_here(self, rows: Rows, object: Object) -> str:
        """The text of an artifact that is on this machine: nobody waits for the tier to see a snippet."""
        from pit_artifact_store.searching.documents import content

        try:
            return content(rows, self._here, object)
        except OutOfReach:
            return ""

    def faults(self) -> list[ArtifactError]:
        """What on the disk is not what was written there."""
        from pit_artifact_store.searching.schema import VERSION
        from pit_artifact_store.searching.sealing import Sealed

        if not self._directory.is_dir():
            return []
        sealed = Sealed(self._directory, self._key, VERSION)
        with sealed.turn(shared=True):
            return [
                ArtifactError(
                    f"{name} of the search is damaged: {found}; it touches no artifact",
                    code="SYM-A022",
                    hint="Nothing is lost: what is sealed for the search is made anew by the next search. And check the disk.",
                    file=str(self._directory / name),
                    details={"artifacts": []},
                )
                for name, found in sealed.faults()
            ]

    def close(self) -> None:
        """End the thread, and let go of the index of words. A second time does nothing."""
        with self._guard:
            self._stop.set()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        with self._working, self._guard:
            if self._live is not None:
                self._live.close()
                self._live = None

    # -- indexing ------------------------------------------------------------------------------------

    def _opened(self) -> "Live":
        with self._guard:
            if self._live is None:
                if self._stop.is_set():
                    raise self._is_closed()
                from pit_artifact_store.searching.live import open_live
                from pit_artifact_store.searching.schema import VERSION
                from pit_artifact_store.searching.sealing import Sealed

                sealed = Sealed(self._directory, self._key, VERSION)
                self._live = open_live(self._root, self._key, sealed)
            return self._live

    def _notice_others(self) -> None:
        """Have indexed what other processes stored."""
        with self._index.peeking() as rows:
            latest = feed(rows).latest
        if latest != self._indexed and not self._waiting:
            stored = self._stored
            self.noticed()
            self._stored = stored  # nothing was stored here

    def _catch_up(self) -> None:
        """Index all that was stored before, now."""
        with self._guard:
            self._urgent += 1
        try:
            self._index_all(wait=lambda _: False)
        finally:
            with self._guard:
                self._urgent -= 1

    def _index_all(self, wait: Callable[[float], bool]) -> None:
        """Index all that was stored before, in batches.

        Args:
            wait: Waits until a batch may begin, at most as long as is patient with what began at this time; tells
                whether none may.
        """
        from pit_artifact_store.searching.indexing import Indexing

        indexing = Indexing(self._index, self._reader, self._here, self._opened())
        goal, began, more = indexing.goal(), time.monotonic(), True
        while more:
            if wait(began):
                return
            with self._working:
                more = indexing.batch(goal, self._is_stopping, partial(self._is_giving_way, began))
        self._indexed = goal

    def _run(self) -> None:
        from pit_artifact_store.searching.indexing import Stopped

        while not self._is_stopped_within(DELAY):
            self._waiting = False
            try:
                self._index_all(self._wait_for_quiet)
            except Stopped:  # nothing is lost by it
                return
            except (OSError, ValueError, apsw.Error, ArtifactError) as error:
                _log.warning("what is new in %s was not indexed for the search: %s", self._root, error)
            with self._guard:
                if not self._waiting:
                    self._thread = None
                    return

    def _wait_for_quiet(self, began: float) -> bool:
        while self._is_giving_way(began):
            if self._is_stopped_within(QUIET):
                return True
        return False

    def _is_giving_way(self, began: float) -> bool:
        """Whether something is stored just now, and indexing can wait."""
        now = time.monotonic()
        return not self._urgent and now < self._stored + QUIET and now < began + PATIENCE

    def _is_closed(self) -> ArtifactError:
        return ArtifactError(f"the artifact store {self._root} is closed", code="SYM-A007")

    def _failed(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"what is in the artifact store {self._root} cannot be indexed: {error}",
            code="SYM-A021",
            hint="The words of all texts are kept in memory, in `$XDG_RUNTIME_DIR` or `/dev/shm`: see that there is "
            "room. Without a query, the filters alone find artifacts all the same.",
        )

    def _is_stopping(self) -> bool:
        return self._stop.is_set() or not threading.main_thread().is_alive()

    def _is_stopped_within(self, seconds: float) -> bool:
        """Wait; tells whether the store is closed, or the program ends."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            if self._stop.wait(min(rest, _TICK)) or self._is_stopping():
                return True
        return self._is_stopping()
