"""The contract of every Artifact Store: names, versions, tags, pins, holds, and how artifacts are found."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from symphony_sdk.ports import ArtifactInfo, ArtifactStore, Lineage
from symphony_sdk.testing.contracts.artifact_contract import refused, store_in_turn
from symphony_sdk.testing.contracts.artifact_lineage import ArtifactLineageContract


class ArtifactCatalogueContract(ArtifactLineageContract):
    """Inherit it, and `ArtifactStoreContract`, and give a fixture `artifact_store` that makes an empty store."""

    # -- descriptions and versions -------------------------------------------------------------------

    def test_its_description_is_kept(self, artifact_store: ArtifactStore) -> None:
        """Its description is kept."""
        before = time.time()
        lineage = Lineage(run="r1", node="n", extension="acme.x", inputs=("b3-00", "b3-11"), version="1.2")
        ref = artifact_store.put(b"x", name="ü.txt", metadata={"k": "wert"}, lineage=lineage)
        info = artifact_store.info(ref.id)
        assert before <= info.created <= time.time()
        assert info == ArtifactInfo(ref, info.created, {"k": "wert"}, lineage, version=1)

    def test_everything_it_was_stored_with_is_told_newest_first(self, artifact_store: ArtifactStore) -> None:
        """Everything that an artifact was stored with is told, the newest first, each with its own time."""
        id = store_in_turn(artifact_store, b"x", "first")
        store_in_turn(artifact_store, b"x", "second", metadata={"a": "b"})
        history = artifact_store.history(id)
        assert [(info.ref.name, info.metadata) for info in history] == [("second", {"a": "b"}), ("first", {})]
        assert history[0].created > history[1].created
        assert artifact_store.info(id) == history[0]

    def test_the_same_description_again_adds_nothing_and_is_the_newest(
        self, artifact_store: ArtifactStore
    ) -> None:
        """The same bytes with the same description add nothing new; it is the newest again, and its time stays."""
        id = store_in_turn(artifact_store, b"x", "first")
        other = store_in_turn(artifact_store, b"y", "other")
        store_in_turn(artifact_store, b"x", "second")
        created = artifact_store.history(id)[1].created
        store_in_turn(artifact_store, b"y", "other")
        store_in_turn(artifact_store, b"x", "first")
        assert [info.ref.name for info in artifact_store.history(id)] == ["first", "second"]
        assert artifact_store.info(id).created == created
        assert [info.ref.id for info in artifact_store.find()] == [id, other]
        assert [info.version for info in artifact_store.versions("first")] == [1]

    def test_other_bytes_are_the_next_version_of_a_name(self, artifact_store: ArtifactStore) -> None:
        """A name with other bytes than before is the next version of it, also where it once had them."""
        ids = [artifact_store.put(data, name="page").id for data in (b"a", b"b", b"a")]
        artifact_store.put(b"c", name="page two")
        versions = artifact_store.versions("page")
        assert [(info.version, info.ref.id, info.ref.name) for info in versions] == [
            (3, ids[2], "page"),
            (2, ids[1], "page"),
            (1, ids[0], "page"),
        ]
        assert artifact_store.versions("page", limit=2) == versions[:2]
        assert [info.version for info in artifact_store.history(ids[0])] == [3, 1]
        assert not artifact_store.versions("pag")

    def test_the_same_bytes_described_anew_are_the_same_version(self, artifact_store: ArtifactStore) -> None:
        """The same bytes described anew are the same version, told with its newest description."""
        id = artifact_store.put(b"a", name="page").id
        artifact_store.put(b"a", name="page", metadata={"k": "v"})
        assert [info.version for info in artifact_store.history(id)] == [1, 1]
        assert [(one.version, one.metadata) for one in artifact_store.versions("page")] == [(1, {"k": "v"})]

    def test_the_time_at_which_it_was_stored_elsewhere_is_kept(self, artifact_store: ArtifactStore) -> None:
        """An artifact that was stored elsewhere before has the time of that; it is found as the newest all the same."""
        first = artifact_store.put(b"new", name="page").id
        second = artifact_store.put(b"old", name="page", created=1_000.5).id
        third = artifact_store.put_stream([b"older"], created=0.0).id
        assert [info.ref.id for info in artifact_store.find()] == [third, second, first]
        assert [artifact_store.info(id).created for id in (second, third)] == [1_000.5, 0.0]
        assert [info.version for info in artifact_store.versions("page")] == [2, 1]
        artifact_store.put(b"old", name="page")
        assert artifact_store.info(second).created == 1_000.5
        artifact_store.put(b"old", name="page", created=999.0)
        assert artifact_store.info(second).created == 999.0

    @pytest.mark.parametrize("created", [-1.0, float("nan"), float("inf"), 1e12, "noon"], ids=repr)
    def test_nothing_was_stored_at_what_is_no_time(
        self, artifact_store: ArtifactStore, created: float
    ) -> None:
        """Nothing can have been stored at what is no time."""
        with refused("SYM-A010"):
            artifact_store.put(b"x", created=created)
        assert not artifact_store.find()

    def test_what_has_no_name_has_no_version(self, artifact_store: ArtifactStore) -> None:
        """What has no name has no version, and replaces nothing."""
        ids = [artifact_store.put(data).id for data in (b"a", b"b")]
        assert [artifact_store.info(id).version for id in ids] == [0, 0]
        assert not artifact_store.relations(ids[1])

    def test_a_removed_version_keeps_its_number(self, artifact_store: ArtifactStore) -> None:
        """A version that was removed keeps its number, and is told with the time of its removal."""
        for data in (b"a", b"b"):
            id = artifact_store.put(data, name="page").id
        artifact_store.remove(id)
        artifact_store.put(b"c", name="page")
        versions = artifact_store.versions("page")
        assert [(info.version, bool(info.removed)) for info in versions] == [
            (3, False),
            (2, True),
            (1, False),
        ]

    def test_many_threads_make_versions_without_a_gap(self, artifact_store: ArtifactStore) -> None:
        """Many threads that store one name at once make versions of it without a gap."""

        def work(number: int) -> None:
            artifact_store.put(b"%d" % number, name="page", durability="os")

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(16)))
        assert [info.version for info in artifact_store.versions("page")] == list(range(16, 0, -1))

    # -- tags ----------------------------------------------------------------------------------------

    def test_a_tag_stands_for_its_artifact(self, artifact_store: ArtifactStore) -> None:
        """A tag stands for its artifact wherever an id is taken."""
        id = artifact_store.put(b"one", name="a").id
        tag = artifact_store.tag(id[:20], "stable")
        assert (tag.name, tag.id) == ("stable", id)
        assert artifact_store.tag("stable", "release/1").id == id
        assert artifact_store.get("stable") == b"one"
        assert artifact_store.read("stable", 1, 1) == b"n"
        assert b"".join(artifact_store.stream("release/1")) == b"one"
        artifact_store.pin("stable")
        artifact_store.hold("stable", "law")
        artifact_store.relate("stable", "produced-by", "hand")
        info = artifact_store.info("stable")
        assert (info.ref.id, info.tags, info.pinned) == (id, ("release/1", "stable"), True)
        assert artifact_store.history("stable") == [info]
        assert len(artifact_store.relations("stable")) == len(artifact_store.lineage("stable")) == 1
        artifact_store.unpin("stable")
        artifact_store.release("stable", "law")
        assert artifact_store.info(id).pinned is False
        assert artifact_store.info(id).holds == ()

    def test_a_tag_moves_when_it_is_given_again(self, artifact_store: ArtifactStore) -> None:
        """A tag moves when it is given to another artifact; given again to the same one, it stays."""
        first, second = (artifact_store.put(data).id for data in (b"1", b"2"))
        tag = artifact_store.tag(first, "stable")
        assert artifact_store.tag(first, "stable") == tag
        assert artifact_store.tag(second, "stable").id == second
        assert artifact_store.get("stable") == b"2"
        assert [artifact_store.info(id).tags for id in (first, second)] == [(), ("stable",)]

    @pytest.mark.parametrize(
        "tag", ["a", "7", "v1.2", "release/2026-11", "a_b", "x" * 128, "b3"], ids=lambda tag: tag[:15]
    )
    def test_tags_are_written_with_letters_digits_and_a_few_signs_inside(
        self, artifact_store: ArtifactStore, tag: str
    ) -> None:
        """A tag is 1 to 128 letters and digits, with `.`, `_`, `-`, `/` inside."""
        id = artifact_store.put(b"x").id
        artifact_store.tag(id, tag)
        assert artifact_store.info(tag).tags == (tag,)

    @pytest.mark.parametrize(
        "tag",
        ["", "b3-", "b3-0a", "-a", "a-", ".a", "a/", "/", "a b", "a\n", "a\x00", "a%", "x" * 129],
        ids=repr,
    )
    def test_what_is_not_written_so_is_no_tag(self, artifact_store: ArtifactStore, tag: str) -> None:
        """What is not written so is no tag."""
        id = artifact_store.put(b"x").id
        with refused("SYM-A041"):
            artifact_store.tag(id, tag)
        with refused("SYM-A041"):
            artifact_store.untag(tag)
        assert not artifact_store.tags()

    def test_a_tag_is_taken_away(self, artifact_store: ArtifactStore) -> None:
        """A tag is taken away; one that nothing has is an error, and no artifact."""
        id = artifact_store.put(b"x").id
        artifact_store.tag(id, "stable")
        artifact_store.untag("stable")
        assert artifact_store.info(id).tags == ()
        with refused("SYM-A041", "stable"):
            artifact_store.untag("stable")
        for call in (artifact_store.get, artifact_store.info, artifact_store.pin, artifact_store.restore):
            with refused("SYM-A002", "stable"):
                call("stable")

    def test_tags_are_told_in_alphabetical_order(self, artifact_store: ArtifactStore) -> None:
        """The tags are told in alphabetical order."""
        ids = {tag: artifact_store.put(tag.encode()).id for tag in ("b", "c/d", "a")}
        for tag, id in ids.items():
            artifact_store.tag(id, tag)
        assert [(tag.name, tag.id) for tag in artifact_store.tags()] == sorted(ids.items())
        assert [tag.name for tag in artifact_store.tags(limit=2)] == ["a", "b"]

    def test_the_tags_of_what_was_removed_stay_its_own(self, artifact_store: ArtifactStore) -> None:
        """The tags of what was removed stay its own, and can be taken away or moved."""
        id, other = (artifact_store.put(data).id for data in (b"1", b"2"))
        for tag in ("kept", "moved", "taken"):
            artifact_store.tag(id, tag)
        artifact_store.remove(id)
        artifact_store.untag("taken")
        artifact_store.tag(other, "moved")
        assert [(tag.name, tag.id) for tag in artifact_store.tags()] == [("kept", id), ("moved", other)]
        assert [info.ref.id for info in artifact_store.find(tag="kept", removed=True)] == [id]
        artifact_store.restore("kept")
        assert artifact_store.info(id).tags == ("kept",)

    # -- pins and holds ------------------------------------------------------------------------------

    def test_what_is_pinned_is_not_removed_until_it_is_unpinned(self, artifact_store: ArtifactStore) -> None:
        """What is pinned is not removed until it is unpinned; a second time does nothing."""
        id = artifact_store.put(b"x").id
        artifact_store.unpin(id)
        artifact_store.pin(id)
        artifact_store.pin(id)
        assert artifact_store.info(id).pinned
        with refused("SYM-A040", id, "pinned"):
            artifact_store.remove(id)
        assert artifact_store.get(id) == b"x"
        artifact_store.unpin(id)
        assert not artifact_store.info(id).pinned
        artifact_store.remove(id)
        assert artifact_store.info(id).removed

    def test_what_is_held_is_not_removed_until_every_reason_is_gone(
        self, artifact_store: ArtifactStore
    ) -> None:
        """What is held is not removed until it is released of every reason; the error names them."""
        id = artifact_store.put(b"x").id
        for reason in ("case 7", "audit ü", "case 7"):
            artifact_store.hold(id, reason)
        holds = artifact_store.info(id).holds
        assert [hold.reason for hold in holds] == ["case 7", "audit ü"]
        assert all(0 < hold.created <= time.time() for hold in holds)
        with refused("SYM-A040", "case 7", "audit ü"):
            artifact_store.remove(id)
        artifact_store.release(id, "case 7")
        with refused("SYM-A040", "audit ü"):
            artifact_store.remove(id)
        artifact_store.pin(id)
        with refused("SYM-A040", "audit ü", "pinned"):
            artifact_store.remove(id)
        artifact_store.unpin(id)
        artifact_store.release(id, "audit ü")
        artifact_store.remove(id)
        assert artifact_store.info(id).removed

    def test_only_a_hold_that_there_is_can_be_released(self, artifact_store: ArtifactStore) -> None:
        """Only a hold that there is can be released, and a hold has a reason."""
        id = artifact_store.put(b"x").id
        artifact_store.hold(id, "case 7")
        with refused("SYM-A042", "case 8"):
            artifact_store.release(id, "case 8")
        with refused("SYM-A010"):
            artifact_store.hold(id, "")
        assert [hold.reason for hold in artifact_store.info(id).holds] == ["case 7"]

    # -- finding -------------------------------------------------------------------------------------

    def test_artifacts_are_found_newest_first(self, artifact_store: ArtifactStore) -> None:
        """Artifacts are found newest first, and not more than asked for."""
        for number in range(5):
            artifact_store.put(b"%d" % number, name=f"file-{number}")
        assert [info.ref.name[-1] for info in artifact_store.find()] == list("43210")
        assert [info.ref.name[-1] for info in artifact_store.find(limit=2)] == list("43")
        assert [info.ref.name for info in artifact_store.find(name="le-2")] == ["file-2"]
        assert not artifact_store.find(name="%")
        assert not artifact_store.find(name="file_2")
        assert not artifact_store.find(limit=0)

    def test_an_artifact_is_found_once_with_its_newest_description_that_fits(
        self, artifact_store: ArtifactStore
    ) -> None:
        """An artifact is found once, with the newest of its descriptions that fits."""
        for name, run in [("a1", "r1"), ("a2", "r1"), ("b", "r2")]:
            id = artifact_store.put(b"x", name=name, media_type=f"text/{name}", lineage=Lineage(run=run)).id
        artifact_store.put(b"y", name="a")
        assert [info.ref.name for info in artifact_store.find()] == ["a", "b"]
        for found in (
            artifact_store.find(run="r1"),
            artifact_store.find(name="a", run="r1"),
            artifact_store.find(media_type="text/a"),
        ):
            assert [(info.ref.id, info.ref.name) for info in found] == [(id, "a2")]
        assert not artifact_store.find(run="r2", name="a")

    def test_the_time_of_a_description_is_searched(self, artifact_store: ArtifactStore) -> None:
        """Found is what was stored at a time or later, and before another."""
        for name in ("first", "second", "third"):
            id = store_in_turn(artifact_store, b"x", name)
        first, second, third = (info.created for info in reversed(artifact_store.history(id)))

        def found(since: float, until: float | None) -> list[str]:
            return [info.ref.name for info in artifact_store.find(since=since, until=until)]

        assert found(first, None) == found(third, None) == ["third"]
        assert found(0, third) == found(second, third) == ["second"]
        assert found(first, second) == ["first"]
        assert found(0, first) == found(third + 1, None) == found(second, second) == []

    def test_all_filters_hold_at_once(self, artifact_store: ArtifactStore) -> None:
        """All filters hold at once, whichever are given."""
        kinds = itertools.product(("r1", "r2"), ("ab", "b"), ("image/png", "text/x"), ("rel/", ""))
        stored = []
        for number, (run, name, media_type, tag) in enumerate(kinds):
            lineage, removed = Lineage(run=run), number % 3 == 0
            id = artifact_store.put(
                b"%d" % number, name=name, media_type=media_type, lineage=lineage, durability="os"
            ).id
            if tag:
                artifact_store.tag(id, f"{tag}{number}")
            if removed:
                artifact_store.remove(id)
            stored.append((id, run, name, media_type, tag, removed))
        for run, name, media_type, tag, removed in itertools.product(
            ("", "r1"), ("", "a"), ("", "image/"), ("", "rel"), (False, True)
        ):
            found = artifact_store.find(
                run=run, name=name, media_type=media_type, tag=tag, removed=removed, since=1.0, until=1e11
            )
            assert [info.ref.id for info in found] == [
                one[0]
                for one in reversed(stored)
                if run in one[1]
                and name in one[2]
                and media_type in one[3]
                and tag in one[4]
                and removed == one[5]
            ]
