from collections.abc import Iterator
from pathlib import Path

import pytest
from pit_artifact_store import Store
from symphony_sdk.testing.contracts.artifact_store import ArtifactStoreContract


class TestStore(ArtifactStoreContract):
    @pytest.fixture
    def artifact_store(self, tmp_path: Path) -> Iterator[Store]:
        with Store(tmp_path / "store") as store:
            yield store
