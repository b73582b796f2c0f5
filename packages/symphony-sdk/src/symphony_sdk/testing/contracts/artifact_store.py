"""The contract of every Artifact Store."""

import random
from collections.abc import Callable, Iterator

import pytest

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactStore, Durability, Lineage
from symphony_sdk.testing.contracts.contract import Contract

LARGE = random.Random(7).randbytes(3 << 20)


class ArtifactStoreContract(Contract):
    """Inherit it and give a fixture `artifact_store` that makes an empty store and closes it."""

    @pytest.fixture
    def artifact_store(self) -> Iterator[ArtifactStore]:
        """An empty store."""
        pytest.fail("give a fixture `artifact_store` that makes an empty store and closes it")

    @pytest.mark.parametrize("data", [b"", b"a", b"\x00" * 100_000, LARGE], ids=["empty", "a", "100K", "3M"])
    @pytest.mark.parametrize("durability", ["os", "group", "sync"])
    def test_what_is_put_is_what_is_got(
        self, artifact_store: ArtifactStore, data: bytes, durability: Durability
    ) -> None:
        """What is put is what is got."""
        ref = artifact_store.put(data, name="x.bin", media_type="text/x-test", durability=durability)
        assert (ref.size, ref.name, ref.media_type) == (len(data), "x.bin", "text/x-test")
        assert artifact_store.get(ref.id) == data

    def test_a_memoryview_is_stored_like_its_bytes(self, artifact_store: ArtifactStore) -> None:
        """A memoryview is stored like its bytes."""
        ref = artifact_store.put(memoryview(bytearray(b"abcdef"))[1:4])
        assert artifact_store.get(ref.id) == b"bcd"
        assert artifact_store.put(b"bcd").id == ref.id

    def test_the_same_bytes_have_the_same_id_and_others_another(self, artifact_store: ArtifactStore) -> None:
        """The same bytes have the same id and others another."""
        first = artifact_store.put(b"one", name="a")
        assert artifact_store.put(b"one", name="b").id == first.id
        assert artifact_store.put(b"two", name="a").id != first.id

    def test_an_artifact_is_found_by_the_first_characters_of_its_id(
        self, artifact_store: ArtifactStore
    ) -> None:
        """An artifact is found by the first characters of its id."""
        ref = artifact_store.put(b"one")
        assert artifact_store.get(ref.id[:16]) == b"one"
        assert artifact_store.info(ref.id[:16]).ref.id == ref.id

    def test_characters_that_several_ids_begin_with_are_refused(self, artifact_store: ArtifactStore) -> None:
        """Characters that several ids begin with are refused."""
        ids = [artifact_store.put(bytes([number]), durability="os").id for number in range(64)]
        prefix = ids[0]
        while sum(id.startswith(prefix) for id in ids) == 1:
            prefix = prefix[:-1]
        if prefix[-1].isalnum():
            with pytest.raises(ArtifactError):
                artifact_store.get(prefix)

    def test_an_unknown_id_is_an_error_everywhere(self, artifact_store: ArtifactStore) -> None:
        """An unknown id is an error everywhere."""
        other = artifact_store.put(b"here").id
        id = artifact_store.put(b"gone").id
        artifact_store.remove(id)
        calls: list[Callable[[], object]] = [
            lambda: artifact_store.get(id),
            lambda: artifact_store.read(id, 0, 1),
            lambda: artifact_store.info(id),
            lambda: artifact_store.remove(id),
        ]
        for call in calls:
            with pytest.raises(ArtifactError):
                call()
        assert artifact_store.get(other) == b"here"

    @pytest.mark.parametrize("id", ["", "..", "/etc/passwd", "../../x", "*", "%", "x" * 500, "a\x00b", "ünï"])
    def test_what_is_no_id_is_refused(self, artifact_store: ArtifactStore, id: str) -> None:
        """What is no id is refused."""
        artifact_store.put(b"here")
        for call in (artifact_store.get, artifact_store.info, artifact_store.remove):
            with pytest.raises(ArtifactError):
                call(id)

    def test_a_range_is_read_and_ends_with_the_artifact(self, artifact_store: ArtifactStore) -> None:
        """A range is read and ends with the artifact."""
        id = artifact_store.put(LARGE).id
        for offset, length in [
            (0, 10),
            (1 << 20, 1),
            ((1 << 20) - 5, 10),
            (5, 1 << 21),
            (len(LARGE) - 3, 99),
        ]:
            assert artifact_store.read(id, offset, length) == LARGE[offset : offset + length]
        assert artifact_store.read(id, len(LARGE), 10) == b""
        assert artifact_store.read(id, len(LARGE) + 10, 10) == b""
        assert artifact_store.read(id, 0, 0) == b""

    def test_its_description_is_kept(self, artifact_store: ArtifactStore) -> None:
        """Its description is kept."""
        lineage = Lineage(run="r1", node="n", extension="acme.x", inputs=("b3-00", "b3-11"))
        ref = artifact_store.put(b"x", name="ü.txt", metadata={"k": "wert"}, lineage=lineage)
        info = artifact_store.info(ref.id)
        assert info.ref == ref
        assert info.metadata == {"k": "wert"}
        assert info.lineage == lineage
        assert info.created > 1_600_000_000

    def test_its_newest_description_is_shown_and_its_time_stays(self, artifact_store: ArtifactStore) -> None:
        """Its newest description is shown and its time stays."""
        ref = artifact_store.put(b"x", name="first")
        created = artifact_store.info(ref.id).created
        artifact_store.put(b"x", name="second", metadata={"a": "b"})
        info = artifact_store.info(ref.id)
        assert (info.ref.name, info.metadata, info.created) == ("second", {"a": "b"}, created)

    def test_artifacts_are_found_newest_first(self, artifact_store: ArtifactStore) -> None:
        """Artifacts are found newest first."""
        for number in range(5):
            artifact_store.put(b"%d" % number, name=f"file-{number}", lineage=Lineage(run=f"r{number % 2}"))
        assert [info.ref.name[-1] for info in artifact_store.find()] == list("43210")
        assert [info.ref.name[-1] for info in artifact_store.find(limit=2)] == list("43")
        assert [info.ref.name[-1] for info in artifact_store.find(run="r1")] == list("31")
        assert [info.ref.name[-1] for info in artifact_store.find(name="le-2")] == ["2"]
        assert not artifact_store.find(run="r0", name="le-1")
        assert not artifact_store.find(name="%")

    def test_a_removed_artifact_can_be_stored_again(self, artifact_store: ArtifactStore) -> None:
        """A removed artifact can be stored again."""
        for data in (b"x", LARGE):
            id = artifact_store.put(data, name="first").id
            artifact_store.remove(id)
            assert not artifact_store.find()
            assert artifact_store.put(data, name="second").id == id
            assert artifact_store.get(id) == data
            artifact_store.remove(id)

    def test_a_sound_store_has_no_damage(self, artifact_store: ArtifactStore) -> None:
        """A sound store has no damage."""
        for data in (b"", b"x", LARGE):
            artifact_store.put(data)
        assert list(artifact_store.verify()) == []

    def test_a_closed_store_is_closed_twice_without_harm(self, artifact_store: ArtifactStore) -> None:
        """A closed store is closed twice without harm."""
        artifact_store.put(b"x", durability="os")
        artifact_store.close()
        artifact_store.close()
