from contextlib import asynccontextmanager

import pytest
from symphony_sdk.ports import RunRequest
from symphony_sdk.testing import Contract
from symphony_sdk.testing.contracts.artifact_catalogue import ArtifactCatalogueContract
from symphony_sdk.testing.contracts.artifact_scores import ArtifactScoresContract
from symphony_sdk.testing.contracts.artifact_search import ArtifactSearchContract
from symphony_sdk.testing.contracts.artifact_store import ArtifactStoreContract
from symphony_sdk.testing.contracts.artifact_tier import ArtifactTierContract
from symphony_sdk.testing.contracts.artifact_tiering import ArtifactTieringContract
from symphony_sdk.testing.contracts.bus import BusContract
from symphony_sdk.testing.contracts.dag_tracker import DagTrackerContract
from symphony_sdk.testing.contracts.transport import TransportContract
from symphony_sdk.testing.fakes import (
    FakeArtifactStore,
    FakeArtifactTier,
    FakeBus,
    FakeDagTracker,
    FakeTransport,
)


class TestFakeArtifactStore(
    ArtifactStoreContract, ArtifactCatalogueContract, ArtifactScoresContract, ArtifactSearchContract
):
    @pytest.fixture
    def artifact_store(self):
        return FakeArtifactStore()

    @pytest.fixture
    def damage(self, artifact_store):
        return artifact_store.damage


class TestFakeArtifactStoreWithATier(ArtifactTieringContract):
    @pytest.fixture
    def make_store(self):
        return FakeArtifactStore


class TestFakeArtifactTier(ArtifactTierContract):
    @pytest.fixture
    def tier(self):
        return FakeArtifactTier()


class TestFakeDagTracker(DagTrackerContract):
    @pytest.fixture
    def dag_tracker(self):
        def work(request):
            if request.labels:
                raise ValueError("broken")
            return {"out": 1}

        @asynccontextmanager
        async def open_tracker():
            yield FakeDagTracker(work)

        return open_tracker

    @pytest.fixture
    def completing(self):
        return RunRequest({"id": "w", "nodes": {"a": {}}})

    @pytest.fixture
    def failing(self):
        return RunRequest({"id": "w", "nodes": {"a": {}}}, labels={"fail": "yes"}, actor="ada")


class TestFakeBus(BusContract):
    @pytest.fixture
    def buses(self):
        @asynccontextmanager
        async def open_buses():
            bus = FakeBus()
            yield bus, bus

        return open_buses


class TestFakeTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return FakeTransport()

    @pytest.fixture
    def address(self):
        return "fake:here"


class Rules(Contract):
    def test_a_rule(self):
        assert self.value == 1


def test_a_subclass_may_add_tests_and_say_what_is_tested():
    class Honest(Rules):
        value = 1

        def test_another_thing(self):
            assert self.value

    Honest().test_a_rule()


def test_a_subclass_that_replaces_a_test_cannot_be_made():
    with pytest.raises(TypeError, match=r"Cheating\.test_a_rule replaces the test of Rules"):

        class Cheating(Rules):
            def test_a_rule(self):
                """Replaces the rule."""


def test_a_subclass_of_a_subclass_cannot_replace_a_test_either():
    class Middle(Rules):
        value = 2

    with pytest.raises(TypeError, match="give your own test another name"):

        class Cheating(Middle):
            test_a_rule = None
