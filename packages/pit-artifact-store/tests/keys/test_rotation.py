"""A rotation changes what protects the keys, loses none, and may end at any moment."""

import errno
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pit_artifact_store.keys import open_keys, rotate, sources
from symphony_sdk.errors import ArtifactError

PACK, KEY = bytes(16), bytes(range(32))
ROUNDS = 20


def stable(keys):
    return keys.id_key, keys.index_key, keys.chunk_seed


def test_rotating_changes_the_master_key_and_nothing_that_was_sealed(file, master_file):
    keys = open_keys(file)
    epoch, wrapped = keys.wrap(PACK, KEY)
    old_file, old_master = file.read_bytes(), master_file.read_text()
    rotated = rotate(file, keys, data=False)
    opened = open_keys(file)

    for each in (rotated, opened):
        assert stable(each) == stable(keys)
        assert each.infos == keys.infos
        assert each.unwrap(epoch, PACK, wrapped) == KEY
    assert file.read_bytes() != old_file
    assert old_master.split()[-1] not in master_file.read_text()
    assert file.stat().st_mode & 0o777 == master_file.stat().st_mode & 0o777 == 0o600


def test_rotating_the_data_key_seals_new_packs_with_it_and_still_opens_the_old_ones(file):
    keys = open_keys(file)
    old = keys.wrap(PACK, KEY)
    rotated = rotate(file, keys, data=True)
    opened = open_keys(file)
    new = rotated.wrap(PACK, KEY)

    assert (old[0], new[0]) == (1, 2)
    assert stable(opened) == stable(keys)
    assert [(info.epoch, info.current) for info in opened.infos] == [(2, True), (1, False)]
    assert opened.infos[0].created >= opened.infos[1].created
    for epoch, wrapped in (old, new):
        assert opened.unwrap(epoch, PACK, wrapped) == KEY


def test_keys_that_another_process_rotated_meanwhile_are_not_lost(file):
    stale = open_keys(file)
    other = rotate(file, open_keys(file), data=True)
    wrapped = other.wrap(PACK, KEY)
    rotated = rotate(file, stale, data=True)

    assert rotated.epoch == 3
    assert open_keys(file).unwrap(wrapped[0], PACK, wrapped[1]) == KEY


def test_a_file_that_was_damaged_is_whole_again_after_a_rotation_by_who_has_the_keys(file):
    keys = open_keys(file)
    file.write_bytes(file.read_bytes()[:-1])
    rotate(file, keys, data=False)
    assert stable(open_keys(file)) == stable(keys)


def test_a_passphrase_is_changed_by_a_rotation(file, quick, monkeypatch):
    monkeypatch.setenv(sources.PASSPHRASE, "old")
    keys = open_keys(file)
    monkeypatch.setenv(sources.NEW_PASSPHRASE, "new")
    rotate(file, keys, data=False)

    # As long as both are set, asking for the rotation once more is no error.
    assert stable(rotate(file, open_keys(file), data=False)) == stable(keys)
    monkeypatch.delenv(sources.NEW_PASSPHRASE)
    with pytest.raises(ArtifactError, match="is wrong"):
        open_keys(file)
    monkeypatch.setenv(sources.PASSPHRASE, "new")
    assert stable(open_keys(file)) == stable(keys)


def test_a_new_passphrase_that_is_empty_changes_nothing(file, quick, monkeypatch):
    monkeypatch.setenv(sources.PASSPHRASE, "old")
    keys, content = open_keys(file), file.read_bytes()
    monkeypatch.setenv(sources.NEW_PASSPHRASE, "")
    with pytest.raises(ArtifactError) as raised:
        rotate(file, keys, data=False)
    assert raised.value.code == "SYM-A032"
    assert file.read_bytes() == content


def test_a_rotation_with_the_same_passphrase_takes_a_new_salt(file, quick, monkeypatch):
    monkeypatch.setenv(sources.PASSPHRASE, "same")
    keys = open_keys(file)
    assert rotate(file, keys, data=False).key_id != keys.key_id
    assert stable(open_keys(file)) == stable(keys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["file", "keyring", "passphrase", "other passphrase"]), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_keys_survive_any_sequence_of_rotations_between_any_places(
    file, master_file, memory_keyring, quick, monkeypatch, steps
):
    file.unlink(missing_ok=True)
    memory_keyring.locked = True
    for name in (sources.PASSPHRASE, sources.NEW_PASSPHRASE):
        monkeypatch.delenv(name, raising=False)
    keys = first = open_keys(file)
    sealed = [first.wrap(PACK, KEY)]
    for place, data in steps:
        memory_keyring.locked = place != "keyring"
        monkeypatch.delenv(sources.PASSPHRASE, raising=False)
        if "passphrase" in place:
            monkeypatch.setenv(sources.PASSPHRASE, place)
        keys = rotate(file, keys, data=data)
        sealed.append(keys.wrap(PACK, KEY))

        opened = open_keys(file)
        assert stable(opened) == stable(first)
        assert opened.infos == keys.infos
        assert opened.infos[0].source.split()[0] == place.split()[-1]
        assert [opened.unwrap(epoch, PACK, wrapped) for epoch, wrapped in sealed] == [KEY] * len(sealed)
        assert master_file.read_text().count(keys.key_id) == (place == "file")
        assert list(memory_keyring.entries).count(keys.key_id) == (place == "keyring")


def test_the_old_master_key_is_forgotten_wherever_it_was(
    file, master_file, memory_keyring, quick, monkeypatch
):
    memory_keyring.locked = True
    in_file = open_keys(file)
    memory_keyring.locked = False
    in_keyring = rotate(file, in_file, data=False)
    assert in_file.key_id not in master_file.read_text()
    assert list(memory_keyring.entries) == [in_keyring.key_id]

    monkeypatch.setenv(sources.PASSPHRASE, "now there is one")
    assert rotate(file, in_keyring, data=False).infos[0].source == "passphrase"
    assert memory_keyring.entries == {}


def test_an_old_master_key_that_cannot_be_forgotten_is_logged_and_the_new_one_is_in_force(
    file, memory_keyring, quick, monkeypatch, caplog
):
    keys = open_keys(file)
    memory_keyring.locked = True
    monkeypatch.setenv(sources.PASSPHRASE, "now there is one")
    rotate(file, keys, data=False)

    assert f"the old master key {keys.key_id} is still in the keyring: the keyring is locked" in caplog.text
    assert stable(open_keys(file)) == stable(keys)


def test_keys_that_are_gone_are_not_rotated(file):
    keys = open_keys(file)
    file.unlink()
    with pytest.raises(ArtifactError) as raised:
        rotate(file, keys, data=False)
    assert raised.value.code == "SYM-A031"
    assert not file.exists()


class Disk:
    """Knows what of some files is durable, and fails at one step.

    Args:
        files: The files; each is in a directory of its own.
        fails_at: Number of the step, counted from 0.
    """

    def __init__(self, files, fails_at, monkeypatch):
        self.durable = {file: file.read_bytes() for file in files}
        self.steps = []
        self._fails_at = fails_at
        sync, replace = os.fsync, Path.replace

        def recorded_sync(fd):
            path = Path(f"/proc/self/fd/{fd}").readlink()
            self._step(f"sync {path.name}")
            self.durable |= {file: file.read_bytes() for file in files if file.parent == path}
            sync(fd)

        def recorded_replace(old, new):
            self._step(f"replace {new.name}")
            return replace(old, new)

        monkeypatch.setattr(os, "fsync", recorded_sync)
        monkeypatch.setattr(Path, "replace", recorded_replace)

    def _step(self, name):
        self.steps.append(name)
        if len(self.steps) > self._fails_at:
            raise OSError(errno.EIO, "the disk reports an error")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells which file is synced")
def test_losing_power_before_any_step_of_a_rotation_leaves_a_file_that_opens(file, master_file, monkeypatch):
    steps = [
        *("sync artifact-master.key.new", "replace artifact-master.key", "sync symphony"),
        *("sync keys.new", "replace keys", "sync store"),
        *("sync artifact-master.key.new", "replace artifact-master.key", "sync symphony"),
    ]
    first = open_keys(file)
    sealed = first.wrap(PACK, KEY)
    for at in range(len(steps) + 1):
        keys = open_keys(file)
        with monkeypatch.context() as patched:
            disk = Disk((file, master_file), at, patched)
            if at < steps.index("sync store") + 1:
                with pytest.raises(ArtifactError, match="the disk reports an error") as raised:
                    rotate(file, keys, data=True)
                assert raised.value.code == "SYM-A036"
            else:
                rotate(file, keys, data=True)
        assert disk.steps == steps[: at + 1]

        # What was replaced and not yet synced may be there after the power is back, or not.
        now = {path: path.read_bytes() for path in disk.durable}
        for content, master in product(*({disk.durable[path], now[path]} for path in (file, master_file))):
            file.write_bytes(content)
            master_file.write_bytes(master)
            opened = open_keys(file)
            assert stable(opened) == stable(first)
            assert opened.epoch in {keys.epoch, keys.epoch + 1}
            assert opened.unwrap(sealed[0], PACK, sealed[1]) == KEY
        for path, content in now.items():
            path.write_bytes(content)


@pytest.mark.parametrize("fails_at", range(4))
def test_keys_whose_making_was_cut_short_are_made_by_who_comes_next(file, master_file, monkeypatch, fails_at):
    master_file.parent.mkdir(parents=True)
    master_file.touch(0o600)
    with monkeypatch.context() as patched:
        Disk((master_file,), fails_at, patched)
        with pytest.raises(ArtifactError, match="the disk reports an error") as raised:
            open_keys(file)
    assert raised.value.code == "SYM-A036"
    assert not file.exists()

    keys = open_keys(file)
    assert stable(open_keys(file)) == stable(keys)
    assert sorted(path.name for path in file.parent.iterdir()) == ["keys"]


@pytest.mark.parametrize("kept", ["file", "passphrase"])
def test_a_rotation_that_is_killed_at_any_moment_leaves_a_file_that_opens(file, kept, quick, monkeypatch):
    if kept == "passphrase":
        monkeypatch.setenv(sources.PASSPHRASE, "old")
        monkeypatch.setenv(sources.NEW_PASSPHRASE, "new")
    keys = open_keys(file)
    sealed = keys.wrap(PACK, KEY)
    script = Path(__file__).with_name("rotation_rounds.py")
    ran = subprocess.run(
        [sys.executable, script, file, str(ROUNDS)], capture_output=True, text=True, timeout=100
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    said = [line.split() for line in ran.stdout.splitlines()]
    assert len(said) == ROUNDS
    assert sum(int(rotated) for rotated, _ in said) >= ROUNDS
    assert {id_key for _, id_key in said} == {keys.id_key.hex()}
    opened = open_keys(file)
    assert stable(opened) == stable(keys)
    assert opened.unwrap(sealed[0], PACK, sealed[1]) == KEY
