"""Where the master key is, and what happens where it is not."""

import os
import subprocess
import sys
from pathlib import Path

import keyring
import msgspec
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from keyring.backends.fail import Keyring as FailKeyring
from pit_artifact_store.keys import open_keys, rotate, sources
from symphony_sdk.errors import ArtifactError

PASSPHRASE, NEW_PASSPHRASE = "SYMPHONY_ARTIFACT_PASSPHRASE", "SYMPHONY_ARTIFACT_NEW_PASSPHRASE"


def refused(file, code):
    """What opening says, and that it changed nothing."""
    folders = (file.parent, file.parent.parent / "configuration")
    before = {path: path.read_bytes() for top in folders for path in top.rglob("*") if path.is_file()}
    with pytest.raises(ArtifactError) as raised:
        open_keys(file)
    after = {path: path.read_bytes() for top in folders for path in top.rglob("*") if path.is_file()}
    assert after == before
    assert raised.value.code == code
    assert raised.value.hint
    return raised.value.message


def test_without_passphrase_and_keyring_a_file_that_only_the_user_can_read_has_the_master_key(
    file, master_file
):
    keys = open_keys(file)

    assert keys.infos[0].source == f"file {master_file}"
    assert master_file.stat().st_mode & 0o777 == 0o600
    assert master_file.parent.stat().st_mode & 0o777 == 0o700
    master = bytes.fromhex(master_file.read_text().split()[-1])
    assert len(master) == 32
    assert master not in file.read_bytes()


def test_a_keyring_that_refuses_gives_way_to_the_file(file, master_file):
    keyring.set_keyring(FailKeyring())
    assert open_keys(file).infos[0].source == f"file {master_file}"


def test_a_keyring_that_is_locked_gives_way_to_the_file(file, master_file, memory_keyring):
    memory_keyring.locked = True
    assert open_keys(file).infos[0].source == f"file {master_file}"


def test_a_keyring_that_is_not_recommended_is_not_asked(file, master_file, memory_keyring):
    memory_keyring.priority = 0.5
    assert open_keys(file).infos[0].source == f"file {master_file}"
    assert memory_keyring.entries == {}


def test_a_keyring_that_works_has_the_master_key(file, configuration, memory_keyring):
    keys = open_keys(file)

    assert keys.infos[0].source == "keyring"
    assert len(memory_keyring.entries) == 1
    assert not configuration.exists()
    assert open_keys(file).id_key == keys.id_key


def test_a_locked_keyring_is_an_error_that_changes_nothing(file, memory_keyring):
    keys = open_keys(file)
    memory_keyring.locked = True
    assert "does not answer: the keyring is locked" in refused(file, "SYM-A033")

    memory_keyring.locked = False
    assert open_keys(file).id_key == keys.id_key


@pytest.mark.parametrize("entry", ["no key", "00" * 32])
def test_another_key_in_the_keyring_is_an_error(file, memory_keyring, entry):
    open_keys(file)
    memory_keyring.entries = dict.fromkeys(memory_keyring.entries, entry)
    assert "is another key" in refused(file, "SYM-A033")


def test_a_key_that_is_not_in_the_keyring_is_an_error(file, memory_keyring):
    open_keys(file)
    [id] = memory_keyring.entries
    memory_keyring.entries.clear()
    assert f"has no master key {id}" in refused(file, "SYM-A033")


def test_a_passphrase_comes_first_and_nothing_else_is_kept(
    file, configuration, memory_keyring, quick, monkeypatch
):
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    keys = open_keys(file)

    assert keys.infos[0].source == "passphrase"
    assert memory_keyring.entries == {}
    assert not configuration.exists()
    assert open_keys(file).id_key == keys.id_key


def test_a_wrong_or_missing_or_empty_passphrase_is_an_error_that_changes_nothing(file, quick, monkeypatch):
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    open_keys(file)

    monkeypatch.setenv(PASSPHRASE, "correct horsf")
    assert "is wrong" in refused(file, "SYM-A032")
    monkeypatch.setenv(PASSPHRASE, "")
    assert "is empty" in refused(file, "SYM-A032")
    monkeypatch.delenv(PASSPHRASE)
    assert f"{PASSPHRASE} is not set" in refused(file, "SYM-A032")


def test_an_empty_passphrase_never_makes_a_store_without_one(file, configuration, monkeypatch):
    monkeypatch.setenv(PASSPHRASE, "")
    refused(file, "SYM-A032")
    assert not file.exists()
    assert not configuration.exists()


def test_a_passphrase_is_stretched_by_argon2id_with_64_mib_and_three_passes(file, monkeypatch):
    monkeypatch.setenv(PASSPHRASE, "Pässwort")
    open_keys(file)

    header = msgspec.json.decode(file.read_bytes().partition(b"\n")[0], type=dict)
    source = msgspec.convert(header["source"], sources.Passphrase)
    assert (source.memory, source.iterations, source.lanes, len(source.salt)) == (64 * 1024, 3, 4, 16)
    stretched = Argon2id(salt=source.salt, length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
    assert header["key_id"] == sources.key_id(stretched.derive("Pässwort".encode()))


def test_a_store_without_passphrase_opens_as_it_was_made_when_one_is_set_later(file, quick, monkeypatch):
    keys = open_keys(file)
    monkeypatch.setenv(PASSPHRASE, "later")
    assert open_keys(file).infos == keys.infos


def test_a_store_with_its_key_in_the_file_asks_no_keyring(file, memory_keyring):
    memory_keyring.locked = True
    keys = open_keys(file)
    memory_keyring.locked = False
    assert open_keys(file).infos == keys.infos
    assert memory_keyring.entries == {}


def test_stores_of_a_user_share_the_file_and_do_not_touch_the_keys_of_others(file, tmp_path, master_file):
    other = tmp_path / "other"
    other.mkdir()
    first, second = open_keys(file), open_keys(other / "keys")
    rotate(file, first, data=False)

    assert open_keys(file).id_key == first.id_key
    assert open_keys(other / "keys").id_key == second.id_key
    assert len(master_file.read_text().splitlines()) == 3  # what the file is, and two keys


def test_lines_that_somebody_wrote_into_the_file_stay(file, master_file):
    keys = open_keys(file)
    with master_file.open("ab") as end:
        end.write(b"# mine: \xff\x85 no newline")
    rotate(file, keys, data=False)

    assert open_keys(file).id_key == keys.id_key
    assert b"# mine: \xff\x85 no newline\n" in master_file.read_bytes()


def test_the_file_is_found_where_the_configuration_directory_is_now(file, master_file, tmp_path, monkeypatch):
    keys = open_keys(file)
    moved = tmp_path / "moved"
    moved.mkdir()
    master_file.rename(moved / master_file.name)
    assert f"no master key {keys.key_id} in {master_file}" in refused(file, "SYM-A033")

    monkeypatch.setenv("SYMPHONY_CONFIG_DIR", str(moved))
    opened = open_keys(file)
    assert opened.id_key == keys.id_key
    assert opened.infos[0].source == f"file {moved / master_file.name}"


def test_the_file_is_found_where_it_was_whatever_the_environment_says_now(
    file, master_file, tmp_path, monkeypatch
):
    keys = open_keys(file)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert open_keys(file).infos == keys.infos


def test_a_file_that_others_can_read_is_refused(file, master_file):
    open_keys(file)
    master_file.chmod(0o640)
    assert "its mode is 0640, expected 0600" in refused(file, "SYM-A033")


def test_another_key_in_the_file_is_an_error(file, master_file):
    open_keys(file)
    master_file.write_text(master_file.read_text()[:-65] + "ab" * 32 + "\n")
    assert "is another key" in refused(file, "SYM-A033")


@pytest.mark.parametrize("named", ["", "a\0b", "/dev/zero", "pipe", "."])
def test_a_forged_place_of_the_master_key_is_not_read(file, tmp_path, master_file, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    open_keys(file)
    forged = msgspec.json.encode(str(master_file)), msgspec.json.encode(named)
    file.write_bytes(file.read_bytes().replace(*forged))
    assert "was changed since" in refused(file, "SYM-A030")

    master_file.unlink()
    assert "there is no master key" in refused(file, "SYM-A033")


def test_a_configuration_directory_that_cannot_be_written_is_an_error_and_no_keys_are_made(
    file, configuration
):
    configuration.parent.write_text("a file in the way")
    assert "cannot be used: " in refused(file, "SYM-A036")
    assert not file.exists()


def test_a_configuration_directory_that_no_text_can_name_is_an_error(file, tmp_path, monkeypatch):
    monkeypatch.setenv("SYMPHONY_CONFIG_DIR", os.fsdecode(bytes(tmp_path) + b"/\xff"))
    assert "printable text" in refused(file, "SYM-A036")
    assert not file.exists()


def test_without_any_variable_the_file_is_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.key_file.default_path() == tmp_path / ".config" / "symphony" / "artifact-master.key"


BACKEND = """
import json
from pathlib import Path
from keyring.backend import KeyringBackend

FILE = Path(__file__).with_name("entries.json")

class Keyring(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        return json.loads(FILE.read_text()).get(username) if FILE.exists() else None

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({username: password}))

    def delete_password(self, service, username):
        FILE.write_text("{}")
"""
OPEN = "import sys, pathlib; from pit_artifact_store.keys import open_keys\n"
OPEN += "keys = open_keys(pathlib.Path(sys.argv[1])); print(keys.infos[0].source, keys.id_key.hex())"


def test_another_process_opens_a_store_by_the_same_keyring(file, tmp_path):
    (tmp_path / "acme_keyring.py").write_text(BACKEND)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "acme_keyring.Keyring",
    }
    said = [
        subprocess.run(
            [sys.executable, "-c", OPEN, file], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert said[0].startswith("keyring ")
    assert said[1] == said[0]
    assert "does not answer" in refused(file, "SYM-A033") or "has no master key" in refused(file, "SYM-A033")


def test_importing_the_keys_does_not_import_keyring_and_opening_by_the_file_does_not_either(file):
    open_keys(file)
    code = f"{OPEN}; assert 'keyring' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"file {Path(os.environ['XDG_CONFIG_HOME'])}")
