"""A tier of artifacts in memory, and how the Artifact Store in memory uses one."""

import pickle
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports.artifact_tiers import ArtifactTier, TierFile
from symphony_sdk.ports.artifacts import OnArtifactProgress, TierReport, TierStatus
from symphony_sdk.testing.fakes.artifact_records import Artifact, Records


class FakeArtifactTier:
    """Fake of ArtifactTier: files in memory.

    Args:
        url: What it says that it is at.

    Attributes:
        files: The files by name.
        reachable: Whether it can be used; otherwise every method raises.
    """

    def __init__(self, url: str = "fake://tier") -> None:
        self.files: dict[str, bytes] = {}
        self.reachable = True
        self._url = url
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    def put(self, name: str, data: bytes | memoryview) -> bool:
        """Keep a file; tells whether it did."""
        self._expect_reachable()
        with self._lock:
            if name in self.files:
                return False
            self.files[name] = bytes(data)
            return True

    def get(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file."""
        self._expect_reachable()
        if name not in self.files:
            raise FileNotFoundError(2, "there is no such file in the tier", name)
        return self.files[name][offset : offset + length]

    def list(self, prefix: str) -> Iterator[TierFile]:
        """The files whose name begins so."""
        self._expect_reachable()
        for name, data in [*self.files.items()]:
            if name.startswith(prefix):
                yield TierFile(name, len(data))

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        self._expect_reachable()
        return len(self.files[name]) if name in self.files else None

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._expect_reachable()
        self.files.pop(name, None)

    def _expect_reachable(self) -> None:
        if not self.reachable:
            raise ArtifactError(
                f"the tier {self._url} cannot be reached: nobody answers",
                code="SYM-A050",
                hint="Try again when it can be reached; nothing is lost.",
                details={"url": self._url},
            )


class FakeTiering:
    """What of the artifacts of a store in memory is in its tier.

    Args:
        tier: The tier; None where there is none.
    """

    def __init__(self, tier: ArtifactTier | None) -> None:
        self._tier = tier
        self._store = uuid4().hex
        self._away: set[str] = set()

    @property
    def tier(self) -> ArtifactTier:
        """The tier."""
        if self._tier is None:
            raise ArtifactError("this artifact store has no tier", code="SYM-A051", hint="Give it one.")
        return self._tier

    def data_of(self, artifact: Artifact) -> bytes:
        """The bytes of an artifact, wherever they are.

        Args:
            artifact: The artifact.

        Raises:
            ArtifactError: They are in the tier, and that cannot be reached.
        """
        if artifact.id not in self._away:
            return artifact.data
        try:
            return self.tier.get(_name(artifact), 0, len(artifact.data) or 1)
        except ArtifactError as error:
            raise ArtifactError(
                f"artifact {artifact.id} was offloaded, and cannot be read now: {error.message}",
                code=error.code,
                hint=error.hint,
                details={**error.details, "id": artifact.id},
            ) from error

    def stored(self, id: str) -> None:
        """An artifact was stored again: it is here.

        Args:
            id: Its id.
        """
        self._away.discard(id)

    def back_up(self, records: Records, on_progress: OnArtifactProgress | None) -> TierReport:
        """Copy what the tier does not have."""
        stores = {file.name.split("/")[1] for file in self.tier.list("keys/")}
        if stores - {self._store}:
            raise ArtifactError(
                f"the tier {self.tier.url} is that of another artifact store",
                code="SYM-A052",
                hint="Set another place.",
            )
        put = [one for one in records.artifacts.values() if self.tier.put(_name(one), one.data)]
        for file in [*self.tier.list("keys/")]:
            self.tier.delete(file.name)
        self.tier.put(f"keys/{self._store}/1", pickle.dumps((self._store, records)))
        return _report(put, len(records.artifacts), on_progress)

    def offload(self, records: Records, age: float, on_progress: OnArtifactProgress | None) -> TierReport:
        """Have artifacts in the tier alone."""
        self.back_up(records, None)
        old = [
            one
            for one in records.artifacts.values()
            if one.id not in self._away
            and max(info.created for _, info in one.descriptions.values()) <= time.time() - age
        ]
        self._away |= {one.id for one in old}
        return _report(old, len(records.artifacts), on_progress)

    def recall(self, records: Records, on_progress: OnArtifactProgress | None) -> TierReport:
        """Bring back what is in the tier alone."""
        self.tier.size("keys")  # it is asked for, also where nothing is to come back
        back = [records.artifacts[id] for id in self._away if id in records.artifacts]
        for one in back:
            one.data = self.data_of(one)
        self._away.clear()
        return _report(back, len(back), on_progress)

    def rebuild(self, records: Records, on_progress: OnArtifactProgress | None) -> tuple[Records, TierReport]:
        """What was backed up, for an empty store."""
        if records.artifacts:
            raise ArtifactError("the artifact store is not empty", code="SYM-A054", hint="Take an empty one.")
        keys = [*self.tier.list("keys/")]
        if not keys:
            raise ArtifactError(
                f"there is no artifact store in the tier {self.tier.url}",
                code="SYM-A054",
                hint="Give the URL that the store was backed up to.",
            )
        content = self.tier.get(keys[0].name, 0, keys[0].size)
        self._store, found = pickle.loads(content)  # noqa: S301 - a store of this very test put it there
        return found, _report([*found.artifacts.values()], len(found.artifacts), on_progress)

    def status(self, records: Records) -> TierStatus:
        """How much is in the tier."""
        sizes = {one.id: len(one.data) for one in records.artifacts.values()}
        away = sum(size for id, size in sizes.items() if id in self._away)
        try:
            there = {file.name for file in self.tier.list("packs/")}
        except ArtifactError as error:
            return TierStatus(
                self.tier.url,
                len(sizes),
                sum(sizes.values()),
                0,
                away,
                len(self._away),
                problem=error.payload(),
            )
        kept = [one for one in records.artifacts.values() if _name(one) in there]
        here = sum(len(one.data) for one in kept if one.id not in self._away)
        unknown = len(there) - len(kept)
        return TierStatus(
            self.tier.url, len(sizes), sum(sizes.values()), here, away, len(self._away), unknown=unknown
        )


def _name(artifact: Artifact) -> str:
    return f"packs/{artifact.id}/{len(artifact.data)}"


def _report(moved: list[Artifact], all: int, on_progress: OnArtifactProgress | None) -> TierReport:
    size = sum(len(one.data) for one in moved)
    if on_progress is not None:
        on_progress(size, size)
    return TierReport(len(moved), size, all - len(moved))
