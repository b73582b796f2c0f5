"""The contract of every Artifact Store: how artifacts are removed, restored and collected."""

from collections.abc import Callable

from symphony_sdk.ports import ArtifactStore, Lineage
from symphony_sdk.testing.contracts.artifact_contract import LARGE, UNKNOWN, ArtifactContract, refused


class ArtifactRemovalContract(ArtifactContract):
    """Part of `ArtifactStoreContract`."""

    def test_what_is_removed_is_not_found_and_not_read(self, artifact_store: ArtifactStore) -> None:
        """What is removed is not found and not read, and the error says how it comes back."""
        here, id = artifact_store.put(b"here").id, artifact_store.put(b"gone").id
        artifact_store.tag(id, "its")
        artifact_store.remove(id)
        for given in (id, id[:20], "its"):
            calls: list[Callable[[], object]] = [
                lambda given=given: artifact_store.get(given),  # type: ignore[misc]
                lambda given=given: artifact_store.read(given, 0, 1),  # type: ignore[misc]
                lambda given=given: list(artifact_store.stream(given)),  # type: ignore[misc]
                lambda given=given: artifact_store.tag(given, "t"),  # type: ignore[misc]
                lambda given=given: artifact_store.pin(given),  # type: ignore[misc]
                lambda given=given: artifact_store.hold(given, "r"),  # type: ignore[misc]
            ]
            for call in calls:
                with refused("SYM-A002", "removed", "restore"):
                    call()
        with refused("SYM-A002", "removed", "restore"):
            artifact_store.remove(id)
        assert [info.ref.id for info in artifact_store.find()] == [here]
        assert artifact_store.get(here) == b"here"

    def test_what_is_removed_is_still_known(self, artifact_store: ArtifactStore) -> None:
        """What is known of an artifact is known when it was removed."""
        id = artifact_store.put(b"x", name="a").id
        artifact_store.put(b"x", name="b")
        artifact_store.tag(id, "its")
        before = artifact_store.info(id)
        assert before.removed == 0
        artifact_store.remove(id)
        for given in (id, id[:20], "its"):
            info = artifact_store.info(given)
            assert (info.ref, info.tags, info.created) == (before.ref, ("its",), before.created)
            assert info.removed >= before.created
            assert [one.ref.name for one in artifact_store.history(given)] == ["b", "a"]
        assert artifact_store.find(removed=True) == [artifact_store.info(id)]

    def test_only_a_whole_id_removes(self, artifact_store: ArtifactStore) -> None:
        """Only a whole id removes: its first characters and a tag do not."""
        id = artifact_store.put(b"x").id
        artifact_store.tag(id, "its")
        for given in (id[:20], id[:-1], "its"):
            with refused("SYM-A004", given):
                artifact_store.remove(given)
        assert artifact_store.get(id) == b"x"

    def test_a_removal_is_undone(self, artifact_store: ArtifactStore) -> None:
        """A removal is undone, by id and by tag, and all is as it was."""
        id = artifact_store.put(LARGE, name="a", durability="os").id
        artifact_store.tag(id, "its")
        before = artifact_store.info(id)
        for given in (id, id[:20], "its"):
            artifact_store.remove(id)
            artifact_store.restore(given)
            assert artifact_store.find() == [before]
            assert artifact_store.get("its") == LARGE
        with refused("SYM-A042", "not removed"):
            artifact_store.restore(id)

    def test_storing_what_was_removed_restores_it(self, artifact_store: ArtifactStore) -> None:
        """Storing what was removed restores it."""
        for data in (b"x", LARGE):
            id = artifact_store.put(data, name="first").id
            artifact_store.tag(id, "its")
            artifact_store.remove(id)
            assert not artifact_store.find()
            assert artifact_store.put(data, name="second").id == id
            assert artifact_store.get("its") == data
            assert [info.ref.name for info in artifact_store.history(id)] == ["second", "first"]
            assert artifact_store.info(id).removed == 0
            artifact_store.remove(id)

    def test_what_is_collected_is_gone_for_good(self, artifact_store: ArtifactStore) -> None:
        """What is collected is gone for good, and can be stored as if it had never been there."""
        here = artifact_store.put(b"here", name="a", lineage=Lineage(inputs=(UNKNOWN,))).id
        id = artifact_store.put(LARGE, name="a", metadata={"k": "v"}, lineage=Lineage(inputs=(here,))).id
        artifact_store.tag(id, "its")
        artifact_store.remove(id)
        assert artifact_store.collect(grace=0).artifacts == 1
        for call in (artifact_store.get, artifact_store.info, artifact_store.history, artifact_store.restore):
            for given in (id, "its"):
                with refused("SYM-A002"):
                    call(given)
        assert not artifact_store.tags()
        assert not artifact_store.relations(here)
        assert not artifact_store.find(removed=True)
        assert [info.ref.id for info in artifact_store.versions("a")] == [here]
        assert artifact_store.get(here) == b"here"
        assert artifact_store.put(LARGE, name="b", durability="os").id == id
        assert artifact_store.get(id) == LARGE
        assert [info.ref.name for info in artifact_store.history(id)] == ["b"]
        assert list(artifact_store.verify()) == []

    def test_only_what_was_removed_longer_ago_than_the_grace_is_collected(
        self, artifact_store: ArtifactStore
    ) -> None:
        """Only what was removed longer ago than the time of grace is collected; the rest waits."""
        id = artifact_store.put(LARGE, durability="os").id
        artifact_store.remove(id)
        collected = artifact_store.collect()
        assert collected.artifacts == 0
        assert collected.waiting > 0
        artifact_store.restore(id)
        assert artifact_store.get(id) == LARGE
        assert artifact_store.collect(grace=0).artifacts == 0
        assert artifact_store.get(id) == LARGE

    def test_a_dry_run_only_says_what_would_be_freed(self, artifact_store: ArtifactStore) -> None:
        """A dry run only says what would be freed."""
        told: list[tuple[int, int]] = []
        id = artifact_store.put(LARGE, durability="os").id
        artifact_store.remove(id)
        dry = artifact_store.collect(grace=0, dry_run=True)
        assert dry.artifacts == 1
        assert dry.freed + dry.waiting > 0
        artifact_store.restore(id)
        assert artifact_store.get(id) == LARGE
        artifact_store.remove(id)
        assert artifact_store.collect(grace=0, on_progress=lambda *now: told.append(now)).artifacts == 1
        assert told == sorted(told)
        assert all(0 <= done <= total for done, total in told)

    def test_the_store_says_what_it_holds(self, artifact_store: ArtifactStore) -> None:
        """The store says what it holds, each artifact counted once."""
        empty = artifact_store.usage()
        assert (empty.artifacts, empty.bytes, empty.removed) == (0, 0, 0)
        id = artifact_store.put(LARGE, name="a", durability="os").id
        artifact_store.put(LARGE, name="b", durability="os")
        artifact_store.put(b"x", durability="os")
        usage = artifact_store.usage()
        assert (usage.artifacts, usage.bytes, usage.removed) == (2, len(LARGE) + 1, 0)
        assert usage.stored >= len(LARGE)
        artifact_store.remove(id)
        usage = artifact_store.usage()
        assert (usage.artifacts, usage.bytes, usage.removed) == (1, 1, 1)
