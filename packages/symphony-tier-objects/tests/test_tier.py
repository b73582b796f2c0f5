"""A tier in S3 over real sockets, and one in a directory, keep what every tier promises."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from symphony_sdk.errors import ArtifactError
from symphony_sdk.testing.contracts.artifact_tier import ArtifactTierContract
from symphony_tier_objects import ObjectTier


class TestS3(ArtifactTierContract):
    @pytest.fixture
    def tier(self, s3):
        return ObjectTier(s3)


class TestDirectory(ArtifactTierContract):
    @pytest.fixture
    def tier(self, tmp_path):
        (tmp_path / "a folder").mkdir()
        return ObjectTier(f"file://{quote(str(tmp_path / 'a folder'))}")


def refused(code, use, *words):
    with pytest.raises(ArtifactError) as caught:
        use()
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    for word in words:
        assert word in str(caught.value)
    return caught.value


def test_files_are_in_the_folder_of_the_url_and_in_no_other(s3):
    ObjectTier(s3).put("packs/a", b"x")
    assert [file.name for file in ObjectTier("s3://artifacts/some").list("folder/")] == ["folder/packs/a"]
    assert [*ObjectTier("s3://artifacts/other").list("packs/")] == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "ftp://bucket/folder",
        "s3://",
        "s3:bucket",
        "s3://bucket/folder?versionId=1",
        "file://host/folder",
        "file:///",
    ],
)
def test_what_is_no_place_is_refused(url):
    refused("SYM-A051", lambda: ObjectTier(url), "s3://bucket/folder")


def test_a_password_in_a_url_is_refused_and_not_repeated():
    error = refused("SYM-A051", lambda: ObjectTier("s3://key:secret@bucket/folder"))
    assert "secret" not in str(error)


def test_a_bucket_that_is_not_there_is_an_error_and_not_a_missing_file(s3):
    tier = ObjectTier("s3://nowhere/folder")
    for use in (
        lambda: tier.put("a", b"x"),
        lambda: tier.get("a", 0, 1),
        lambda: [*tier.list("packs/")],
    ):
        refused("SYM-A050", use, "s3://nowhere/folder", "NoSuchBucket")


def test_a_server_that_nobody_answers_for_is_named_with_what_to_do(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    tier = ObjectTier(s3)
    for use in (
        lambda: tier.put("a", b"x"),
        lambda: tier.get("a", 0, 1),
        lambda: tier.size("a"),
        lambda: tier.delete("a"),
        lambda: [*tier.list("packs/")],
    ):
        error = refused("SYM-A050", use, s3, "127.0.0.1:9")
        assert "Debug source" not in str(error)
        assert error.details == {"url": s3}


def test_an_account_that_is_not_set_is_said_when_the_tier_is_opened(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    refused("SYM-A050", lambda: ObjectTier("az://container/folder"), "az://container/folder", "ccount")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no directory")
    refused(
        "SYM-A050", lambda: ObjectTier(f"file://{tmp_path}/file/folder").put("a", b"x"), f"{tmp_path}/file"
    )


def test_a_disk_that_is_not_mounted_is_out_of_reach_and_is_not_another_empty_place(tmp_path):
    folder = tmp_path / "disk/folder"
    refused("SYM-A050", lambda: ObjectTier(f"file://{folder}"), str(folder), "the directory is not there")
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    tier = ObjectTier(f"file://{folder}")
    tier.put("packs/a", b"x")
    folder.rename(tmp_path / "away")
    refused("SYM-A050", lambda: tier.get("packs/a", 0, 1), str(folder), "the directory is not there")
    refused("SYM-A050", lambda: tier.size("packs/a"), "the directory is not there")
    refused("SYM-A050", lambda: [*tier.list("packs/")], "the directory is not there")
    refused("SYM-A050", lambda: tier.put("packs/b", b"x"), "the directory is not there")
    assert not folder.exists()
    (tmp_path / "away").rename(folder)
    assert tier.get("packs/a", 0, 1) == b"x"
    with pytest.raises(FileNotFoundError):
        tier.get("packs/b", 0, 1)


def test_what_is_put_into_a_directory_is_synced_with_the_names_that_lead_to_it(tmp_path, monkeypatch):
    (tmp_path / "tier").mkdir()
    tier = ObjectTier(f"file://{tmp_path}/tier")
    synced = set()
    fsync = os.fsync

    def noted(fd):
        synced.add(Path(f"/proc/self/fd/{fd}").readlink())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    assert tier.put("packs/a/1", b"x")
    root = tmp_path / "tier"
    assert synced == {root, root / "packs", root / "packs/a", root / "packs/a/1"}


def test_the_example_of_the_readme_runs(tmp_path):
    readme = Path(__file__).parents[1] / "README.md"
    (tmp_path / "tier").mkdir()
    (source,) = re.findall(r"^```python\n(.*?)^```$", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", source, f"file://{tmp_path}/tier"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("b'sealed' ['packs/a']\n", "")
