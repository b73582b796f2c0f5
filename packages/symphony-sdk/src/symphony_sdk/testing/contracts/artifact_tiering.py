"""The contract of every Artifact Store: what is kept in a tier, away from this machine."""

import os
from collections.abc import Callable

import pytest

from symphony_sdk.ports import ArtifactStore, ArtifactTier
from symphony_sdk.testing.contracts.artifact_contract import refused
from symphony_sdk.testing.contracts.contract import Contract
from symphony_sdk.testing.fakes.artifact_tiers import FakeArtifactTier

MakeStore = Callable[[ArtifactTier | None], ArtifactStore]


class ArtifactTieringContract(Contract):
    """Inherit it, and give a fixture `make_store` that makes an empty store each time, with a tier or without."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Makes an empty store with a tier; closed by the fixture."""
        pytest.fail("give a fixture `make_store` that makes an empty store with a tier, and closes it")

    @pytest.fixture
    def tier(self) -> FakeArtifactTier:
        """A tier in memory."""
        return FakeArtifactTier()

    def test_a_store_without_a_tier_says_so(self, make_store: MakeStore) -> None:
        """A store without a tier says so, and does all else."""
        store = make_store(None)
        uses: list[Callable[[], object]] = [
            store.back_up,
            lambda: store.offload(age=0),
            store.recall,
            store.rebuild,
            store.tier,
        ]
        for use in uses:
            with refused("SYM-A051"):
                use()
        assert store.get(store.put(b"x").id) == b"x"

    def test_only_what_the_tier_does_not_have_is_copied(
        self, make_store: MakeStore, tier: FakeArtifactTier
    ) -> None:
        """Only what the tier does not have is copied."""
        store = make_store(tier)
        first = store.put(os.urandom(100_000)).id
        report = store.back_up()
        assert report.packs >= 1
        assert report.bytes >= 100_000
        assert report.faults == ()
        again = store.back_up()
        assert (again.packs, again.bytes, again.kept) == (0, 0, report.packs + report.kept)
        store.put(os.urandom(50_000))
        assert store.back_up().packs >= 1
        assert store.tier().backed_up >= 150_000
        assert store.tier().offloaded == 0
        assert len(store.get(first)) == 100_000

    def test_what_is_offloaded_is_read_from_the_tier_and_comes_back(
        self, make_store: MakeStore, tier: FakeArtifactTier
    ) -> None:
        """What is offloaded is read from the tier, whole and in parts, and comes back by a recall."""
        store = make_store(tier)
        data = os.urandom(3_000_000)
        id = store.put(data, name="x").id
        assert store.offload(age=3600.0).packs == 0
        report = store.offload(age=0)
        assert report.bytes >= len(data)
        assert store.tier().offloaded >= len(data)
        assert store.get(id) == data
        assert store.read(id, 1_234_567, 1000) == data[1_234_567:1_235_567]
        assert b"".join(store.stream(id, 2_000_000)) == data[2_000_000:]
        assert store.info(id).ref.name == "x"
        assert store.verify() == []
        assert store.offload(age=0).packs == 0
        back = store.recall()
        assert (back.packs, back.bytes) == (report.packs, report.bytes)
        tier.reachable = False
        assert store.get(id) == data

    def test_where_the_tier_is_out_of_reach_only_what_is_there_is_refused(
        self, make_store: MakeStore, tier: FakeArtifactTier
    ) -> None:
        """Where the tier is out of reach, what is offloaded is refused with its name, and all else goes on."""
        store = make_store(tier)
        data = os.urandom(200_000)
        id = store.put(data).id
        store.offload(age=0)
        tier.reachable = False
        with refused("SYM-A050", id, tier.url, "nobody answers"):
            store.get(id)
        uses: list[Callable[[], object]] = [
            store.back_up,
            lambda: store.offload(age=0),
            store.recall,
        ]
        for use in uses:
            with refused("SYM-A050", tier.url):
                use()
        problem = store.tier().problem
        assert problem is not None
        assert problem.code == "SYM-A050"
        other = store.put(b"other", name="y").id
        assert store.get(other) == b"other"
        assert store.put(data).id == id  # its bytes are here again
        assert store.get(id) == data
        tier.reachable = True
        assert store.tier().problem is None

    def test_an_empty_store_is_rebuilt_from_the_tier(
        self, make_store: MakeStore, tier: FakeArtifactTier
    ) -> None:
        """An empty store is rebuilt from the tier with all that was known, and goes on from there."""
        store = make_store(tier)
        data = os.urandom(300_000)
        id = store.put(data, name="x", media_type="text/x-test", metadata={"a": "b"}).id
        store.tag(id, "v1")
        store.hold(id, "why")
        store.back_up()
        rebuilt = make_store(tier)
        report = rebuilt.rebuild()
        assert report.bytes >= len(data)
        assert report.faults == ()
        assert rebuilt.get(id) == data
        assert rebuilt.info("v1") == store.info("v1")
        assert rebuilt.verify() == []
        assert rebuilt.put(b"more", name="x").size == 4
        assert [info.version for info in rebuilt.versions("x")] == [2, 1]
        assert rebuilt.back_up().faults == ()

    def test_only_an_empty_store_is_rebuilt_and_only_from_what_is_there(
        self, make_store: MakeStore, tier: FakeArtifactTier
    ) -> None:
        """Only an empty store is rebuilt, and only from a tier with a store in it."""
        store = make_store(tier)
        with refused("SYM-A054", tier.url):
            store.rebuild()
        id = store.put(b"x").id
        store.back_up()
        with refused("SYM-A054"):
            store.rebuild()
        assert store.get(id) == b"x"

    def test_two_stores_do_not_share_a_tier(self, make_store: MakeStore, tier: FakeArtifactTier) -> None:
        """Two stores do not share a tier: the second is refused, and nothing is written."""
        first, second = make_store(tier), make_store(tier)
        first.put(b"x")
        first.back_up()
        before = dict(tier.files)
        second.put(b"y")
        with refused("SYM-A052", tier.url):
            second.back_up()
        with refused("SYM-A052", tier.url):
            second.offload(age=0)
        assert tier.files == before

    def test_progress_is_told_up_to_the_end(self, make_store: MakeStore, tier: FakeArtifactTier) -> None:
        """Progress is told up to the end."""
        store = make_store(tier)
        store.put(os.urandom(50_000))
        told: list[tuple[int, int]] = []

        def note(done: int, total: int) -> None:
            told.append((done, total))

        uses: list[Callable[[], object]] = [
            lambda: store.back_up(on_progress=note),
            lambda: store.offload(age=0, on_progress=note),
            lambda: store.recall(on_progress=note),
        ]
        for use in uses:
            told.clear()
            use()
            assert told[-1][0] == told[-1][1] > 0
