"""The Artifact Store: bytes by their content, on this machine's disk."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar, get_args

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports import ArtifactInfo, Durability, Lineage

from pit_artifact_store import layout
from pit_artifact_store.committer import Committer
from pit_artifact_store.entries import describe
from pit_artifact_store.failures import ambiguous, damaged, damaged_index, disk_errors_named, missing
from pit_artifact_store.ids import content_id, id_range, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.objects import ObjectFiles, check, segment_hashes
from pit_artifact_store.publishing import Publication, Publisher, collect
from pit_artifact_store.rows import Object, Rows
from pit_artifact_store.staging import Staging, sweep

Result = TypeVar("Result")


class Store:
    """Implements `symphony_sdk.ports.ArtifactStore` in a directory; safe with many threads and processes.

    Args:
        directory: Where it is; made if it is not there.

    Raises:
        ArtifactError: The directory cannot be used, or is of a newer version.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._process = os.getpid()
        self._closed = False
        self._files = ObjectFiles(directory / "objects")
        with disk_errors_named(directory, "opened"):
            self._index, self._staging = self._join()
        self._publisher = Publisher(directory, self._index, self._files, self._staging)
        self._committer = Committer(self._publisher.commit)

    def _join(self) -> tuple[Index, Staging]:
        """Become one of the processes that use the directory; make it a store where it is not yet one."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with layout.joining(self._root):
            made = layout.is_made(self._root)
            if not made:
                layout.make_directories(self._root)
            index = Index(self._root / "index.db")
            try:
                if not made:
                    index.make()
                    layout.mark_made(self._root)
                sweep(self._root / "staging", lambda ids: collect(index, self._files, ids))
                return index, Staging(self._root / "staging")
            except BaseException:
                index.close()
                raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(
        self,
        data: bytes | memoryview,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        lineage: Lineage | None = None,
        durability: Durability = "group",
    ) -> ArtifactRef:
        """Store bytes; storing the same bytes again costs no space, and mends them if they were damaged.

        Args:
            data: The bytes.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.
            lineage: Where it comes from.
            durability: When it counts as stored. `os` survives the death of this process, `group` and
                `sync` a crash of the machine; `group` shares one sync among those who store at once.

        Raises:
            ArtifactError: It cannot be written.
        """
        self._expect_open()
        if durability not in get_args(Durability):
            raise ArtifactError(
                f"there is no durability {durability!r}; expected one of {', '.join(get_args(Durability))}",
                code="SYM-A010",
            )
        view = memoryview(data)
        # Bytes that somebody could change between hashing and writing are copied first.
        view = view.cast("B") if view.readonly and view.c_contiguous else memoryview(bytes(view))
        id = content_id(view)
        publication = Publication(
            view,
            segment_hashes(id, view),
            describe(id, name, media_type, metadata, lineage),
            durability != "os",
        )
        try:
            with disk_errors_named(self._root):
                self._publisher.stage(publication)
            if durability == "group":
                self._committer.submit(publication)
            else:
                self._publisher.commit([publication])
        finally:
            if publication.staged:
                Path(publication.staged).unlink(missing_ok=True)
        return ArtifactRef(text_of(id), len(view), media_type, name)

    def get(self, id: str) -> bytes:
        """All bytes of an artifact, checked against its id.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.

        Raises:
            ArtifactError: There is none, there are several, or its bytes are damaged.
        """
        self._expect_open()

        def read(found: Object) -> bytes:
            if found.data is None:
                return self._files.read(found.id, found.size)
            check(found.id, found.size, found.data)
            return found.data

        return self._with_object(id, read)

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Some bytes of an artifact, checked; fewer at its end.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.
            offset: First byte, counted from 0.
            length: How many bytes.

        Raises:
            ArtifactError: There is none, its bytes are damaged, or the range begins before its first byte.
        """
        if offset < 0 or length < 0:
            raise ArtifactError(
                f"artifact {id} has no {length} bytes from {offset} on; both count from 0",
                code="SYM-A010",
                details={"id": id},
            )
        self._expect_open()

        def read(found: Object) -> bytes:
            if found.data is not None:
                check(found.id, found.size, found.data)
                return found.data[offset : offset + length]
            inside = min(length, found.size - offset)
            if inside <= 0:
                return b""
            return self._files.read_range(found.id, found.size, found.segments, offset, inside)

        return self._with_object(id, read)

    def info(self, id: str) -> ArtifactInfo:
        """What is known of an artifact: what it was last stored with.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        return self._entries(id, limit=1)[0]

    def history(self, id: str) -> Sequence[ArtifactInfo]:
        """Everything that an artifact was ever stored with, the newest first, each once.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        return self._entries(id, limit=-1)

    def find(self, *, run: str = "", name: str = "", limit: int = 100) -> Sequence[ArtifactInfo]:
        """Artifacts, the newest first, each once: with the newest of its descriptions that fits.

        Args:
            run: Only those of this run.
            name: Only those with this text in their name.
            limit: At most so many.
        """
        self._expect_open()
        with disk_errors_named(self._root, "read"), self._index.reading() as rows:
            return rows.find(run, name, limit)

    def remove(self, id: str) -> None:
        """Forget an artifact with everything it was stored with, and free its space.

        Args:
            id: Its whole id.

        Raises:
            ArtifactError: There is none.
        """
        self._expect_open()
        low, high = id_range(id)
        if low != high:
            raise ArtifactError(
                f"{id} is not a whole id; an artifact is removed only by its whole id",
                code="SYM-A004",
                hint="`symphony artifacts info` gives the whole id.",
                details={"id": id},
            )
        self._publisher.withdraw(low)

    def verify(self) -> Sequence[ErrorPayload]:
        """Read every artifact and name each that is damaged, with its id in `details["id"]`."""
        self._expect_open()
        faults: dict[str, ArtifactError] = {}
        try:
            with disk_errors_named(self._root, "read"):
                with self._index.reading() as rows:
                    for text in rows.faults():
                        faults.setdefault("", damaged_index(self._root, text))
                    for error in rows.damaged_entries():
                        faults.setdefault(error.details["id"], error)
                number = -1
                while page := self._objects_after(number):
                    number = page[-1][0]
                    for _, id in page:
                        if damage := self._damage(text_of(id)):
                            faults[text_of(id)] = damage
        except ArtifactError as error:  # the index ends here; what was found before it is worth knowing
            faults.setdefault("", error)
        return [error.payload() for error in faults.values()]

    def close(self) -> None:
        """Sync what is not yet synced, and close. A second time does nothing."""
        if self._closed or os.getpid() != self._process:
            return
        self._committer.close()
        self._closed = True
        with ExitStack() as closing:
            closing.callback(self._staging.close)
            closing.callback(self._index.close)
            with disk_errors_named(self._root):
                self._publisher.sync()

    def _expect_open(self) -> None:
        if self._closed:
            raise ArtifactError(f"the artifact store {self._root} is closed", code="SYM-A007")
        if os.getpid() != self._process:
            raise ArtifactError(
                f"the artifact store {self._root} was opened in process {self._process} and is used in its "
                f"fork {os.getpid()}",
                code="SYM-A007",
                hint="Open the store in each process that uses it.",
            )

    def _resolve(self, rows: Rows, text: str) -> bytes:
        low, high = id_range(text)
        matches = rows.matches(low, high, 4)
        if not matches:
            if low == high and rows.has_entries(low):
                raise damaged(low, "its object is not in the index")
            raise missing(text)
        if len(matches) > 1:
            raise ambiguous(text, matches)
        return matches[0]

    def _with_object(self, text: str, use: Callable[[Object], Result]) -> Result:
        """Use the bytes of an artifact, and be sure of it before they are called damaged."""
        with disk_errors_named(self._root, "read"):
            with self._index.reading() as rows:
                found = self._object(rows, text)
            try:
                return use(found)
            except (OSError, ArtifactError):
                # Since its row was read, the artifact may have been removed, and even stored again. So look
                # once more, while nobody can write.
                with self._index.writing(durable=False) as rows:
                    found = self._object(rows, text_of(found.id))
                    try:
                        return use(found)
                    except FileNotFoundError as error:
                        raise damaged(found.id, "its file is gone") from error
                    except OSError as error:
                        if error.errno == errno.EIO:
                            raise damaged(found.id, "the disk cannot read its file") from error
                        raise

    def _object(self, rows: Rows, text: str) -> Object:
        id = self._resolve(rows, text)
        if found := rows.object(id):
            return found
        raise damaged(id, "its object is not in the index")

    def _objects_after(self, number: int) -> list[tuple[int, bytes]]:
        with self._index.reading() as rows:
            return rows.objects_after(number, 256)

    def _damage(self, text: str) -> ArtifactError | None:
        def verify(found: Object) -> None:
            if found.data is None:
                self._files.verify(found.id, found.size, found.segments)
            else:
                check(found.id, found.size, found.data)

        try:
            self._with_object(text, verify)
        except ArtifactError as error:
            return None if error.code == "SYM-A002" else error  # removed meanwhile, or waiting for it
        return None

    def _entries(self, text: str, limit: int) -> list[ArtifactInfo]:
        self._expect_open()
        with disk_errors_named(self._root, "read"), self._index.reading() as rows:
            id = self._resolve(rows, text)
            if found := rows.entries(id, limit):
                return found
            raise damaged(id, "its object is not in the index")
