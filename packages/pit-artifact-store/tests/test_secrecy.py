"""Nothing of what is stored is in clear on disk, and whoever has not the keys has nothing."""

from pit_artifact_store import Store
from symphony_sdk.ports import Lineage

SECRETS = [
    "the-content",
    "the-name",
    "the-type",
    "the-key",
    "the-value",
    "the-run",
    "the-node",
    "the-extension",
]


def test_no_content_name_tag_or_metadata_is_in_clear_on_disk(directory):
    with Store(directory) as store:
        id = store.put(
            b"the-content" * 1000,
            name="the-name",
            media_type="text/the-type",
            metadata={"the-key": "the-value"},
            lineage=Lineage("the-run", "the-node", "the-extension"),
        ).id
        store.tag(id, "the-tag")
        store.hold(id, "the-reason")
        found = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    found += [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    for secret in [*SECRETS, "the-tag", "the-reason", id, "SQLite format", "create table"]:
        assert not any(secret.encode() in content for content in found), secret
    assert not any(bytes.fromhex(id[3:]) in content for content in found)
    assert not any("the-" in str(path) for path in directory.rglob("*"))


def test_two_stores_give_the_same_bytes_different_ids(tmp_path):
    with Store(tmp_path / "a") as one, Store(tmp_path / "b") as other:
        assert one.put(b"known").id != other.put(b"known").id


def test_the_packs_of_one_store_are_nothing_to_another(tmp_path):
    with Store(tmp_path / "a") as one:
        one.put(b"x")
    with Store(tmp_path / "b") as other:
        (pack,) = (tmp_path / "a" / "packs").iterdir()
        (tmp_path / "b" / "packs" / pack.name).write_bytes(pack.read_bytes())
        id = other.put(b"y").id
    with Store(tmp_path / "b") as other:
        assert other.get(id) == b"y"
        (fault,) = other.verify()
        assert pack.name in fault.message
        assert "pack of another store" in fault.message


def test_what_was_stored_before_keys_were_rotated_is_read_and_new_packs_have_the_new_key(directory):
    with Store(directory) as store, Store(directory) as beside:
        old = store.put(b"old").id
        first = store.keys()
        assert [key.epoch for key in first] == [1]
        assert store.rotate_keys().epoch == 1
        assert store.rotate_keys(data=True).epoch == 2
        new = store.put(b"new").id
        assert (store.get(old), store.get(new)) == (b"old", b"new")
        assert beside.get(new) == b"new"
        assert [key.epoch for key in beside.keys()] == [2, 1]  # noqa: SIM118 - it is no mapping
        assert store.usage().packs == 2
    with Store(directory) as store:
        assert (store.get(old), store.get(new)) == (b"old", b"new")
        assert store.verify() == []
