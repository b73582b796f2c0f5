"""What every contract of an Artifact Store needs: a store, and how its refusals are expected."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactStore, Lineage
from symphony_sdk.testing.contracts.contract import Contract

LARGE = random.Random(7).randbytes(3 << 20)
"""Bytes that nothing makes smaller, and that no store keeps in one part."""

UNKNOWN = "b3-" + "0" * 64
"""An id that no artifact has."""

Damage = Callable[[str], None]


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """Expect an ArtifactError of this code.

    Args:
        code: The code.
        words: What its message or its hint says.
    """
    with pytest.raises(ArtifactError) as caught:
        yield
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in f"{caught.value} {caught.value.hint}"


def store_in_turn(
    store: ArtifactStore,
    data: bytes,
    name: str,
    metadata: dict[str, str] | None = None,
    lineage: Lineage | None = None,
) -> str:
    """Store bytes at a time that is later than all before it, and give their id.

    Args:
        store: The store.
        data: The bytes.
        name: File name for people.
        metadata: Facts to keep beside it.
        lineage: Where it comes from.
    """
    before = time.time()
    while time.time() <= before:  # clocks of some systems stand still for 16 ms
        pass
    return store.put(data, name=name, metadata=metadata, lineage=lineage).id


class ArtifactContract(Contract):
    """The fixtures of all contracts of an Artifact Store: give `artifact_store`.

    Give `damage` as well where a test can reach what is stored.
    """

    @pytest.fixture
    def artifact_store(self) -> Iterator[ArtifactStore]:
        """An empty store."""
        pytest.fail("give a fixture `artifact_store` that makes an empty store and closes it")

    @pytest.fixture
    def damage(self, artifact_store: ArtifactStore) -> Damage:
        """Damages what is stored of an artifact, by its id, as a failing disk does."""
        pytest.skip("this store's bytes are out of reach")
