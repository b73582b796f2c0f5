"""The store keeps what every Artifact Store promises."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from pit_artifact_store import Store
from symphony_sdk.testing.contracts.artifact_catalogue import ArtifactCatalogueContract
from symphony_sdk.testing.contracts.artifact_contract import Damage
from symphony_sdk.testing.contracts.artifact_scores import ArtifactScoresContract
from symphony_sdk.testing.contracts.artifact_search import ArtifactSearchContract
from symphony_sdk.testing.contracts.artifact_store import ArtifactStoreContract
from symphony_sdk.testing.contracts.artifact_tiering import ArtifactTieringContract, MakeStore


@pytest.fixture
def artifact_store(store: Store) -> Store:
    return store


class TestStore(ArtifactStoreContract):
    @pytest.fixture
    def artifact_store(self, artifact_store: Store) -> Store:
        return artifact_store

    @pytest.fixture
    def damage(self, damage: Damage) -> Damage:
        return damage


class TestCatalogue(ArtifactCatalogueContract, ArtifactScoresContract, ArtifactSearchContract):
    @pytest.fixture
    def artifact_store(self, artifact_store: Store) -> Store:
        return artifact_store


class TestTiering(ArtifactTieringContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Iterator[MakeStore]:
        numbers = count()
        with ExitStack() as stores:
            yield lambda tier: stores.enter_context(
                Store(tmp_path / f"store-{next(numbers)}", tier and (lambda: tier))
            )
