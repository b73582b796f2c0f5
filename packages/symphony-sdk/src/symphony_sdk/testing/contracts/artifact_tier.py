"""The contract of every tier of artifacts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from symphony_sdk.ports import ArtifactTier, TierFile
from symphony_sdk.testing.contracts.contract import Contract


class ArtifactTierContract(Contract):
    """Inherit it, and give a fixture `tier` that makes an empty tier."""

    @pytest.fixture
    def tier(self) -> Iterator[ArtifactTier]:
        """An empty tier."""
        pytest.fail("give a fixture `tier` that makes an empty tier")

    @pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 40_000], ids=["empty", "a", "10M"])
    def test_what_is_put_is_what_is_got(self, tier: ArtifactTier, data: bytes) -> None:
        """What is put is what is got."""
        assert tier.put("packs/a/1", memoryview(data))
        assert tier.size("packs/a/1") == len(data)
        assert tier.get("packs/a/1", 0, len(data) + 10) == data

    def test_a_range_ends_where_the_file_does(self, tier: ArtifactTier) -> None:
        """A range ends where the file does, and is empty behind it."""
        tier.put("a", b"0123456789")
        assert tier.get("a", 3, 4) == b"3456"
        assert tier.get("a", 8, 100) == b"89"
        assert tier.get("a", 10, 1) == tier.get("a", 1000, 5) == b""

    def test_a_file_that_is_there_stays_as_it_is(self, tier: ArtifactTier) -> None:
        """A file that is there stays as it is, and who came too late is told."""
        assert tier.put("a", b"first")
        assert not tier.put("a", b"second")
        assert tier.get("a", 0, 100) == b"first"

    def test_one_of_many_who_put_at_once_is_told_that_it_did(self, tier: ArtifactTier) -> None:
        """One of many who put under a name at once is told that it did, and that one's bytes are there."""
        with ThreadPoolExecutor(8) as pool:
            said = [*pool.map(lambda number: tier.put("a", b"%d" % number * 1000), range(8))]
        assert said.count(True) == 1
        assert tier.get("a", 0, 10_000) == b"%d" % said.index(True) * 1000

    def test_files_are_listed_by_the_folder_that_they_are_in(self, tier: ArtifactTier) -> None:
        """Files are listed with their sizes by the folder that they are in."""
        assert [*tier.list("packs/")] == []
        tier.put("packs/a/1", b"1")
        tier.put("packs/b/22", b"22")
        tier.put("keys/a", b"333")
        assert sorted(tier.list("packs/"), key=lambda file: file.name) == [
            TierFile("packs/a/1", 1),
            TierFile("packs/b/22", 2),
        ]
        assert [*tier.list("packs/b/")] == [TierFile("packs/b/22", 2)]

    def test_more_files_are_listed_than_come_in_one_answer(self, tier: ArtifactTier) -> None:
        """More files are listed than object stores give in one answer, which is a thousand."""
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda number: tier.put(f"packs/{number}", b"x"), range(1_050)))
        assert len({file.name for file in tier.list("packs/")}) == 1_050

    def test_what_is_not_there_is_told(self, tier: ArtifactTier) -> None:
        """What is not there has no size, cannot be read, and can be deleted."""
        assert tier.size("a") is None
        with pytest.raises(FileNotFoundError):
            tier.get("a", 0, 1)
        tier.delete("a")

    def test_what_is_deleted_is_gone_and_can_be_put_again(self, tier: ArtifactTier) -> None:
        """What is deleted is gone, and can be put again."""
        tier.put("packs/a", b"first")
        tier.delete("packs/a")
        assert tier.size("packs/a") is None
        assert [*tier.list("packs/")] == []
        assert tier.put("packs/a", b"second")
        assert tier.get("packs/a", 0, 100) == b"second"
