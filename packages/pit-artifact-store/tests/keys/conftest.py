"""A file of keys, a configuration directory of its own, a keyring in memory, and an Argon2id that costs nothing."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.null import Keyring as NullKeyring
from keyring.errors import KeyringLocked
from pit_artifact_store.keys import sources


class MemoryKeyring(KeyringBackend):
    """A keyring that can be locked.

    Args:
        priority: What keyring thinks of it.
    """

    priority = 9

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}
        self.locked = False

    def _unlocked(self, service: str) -> dict[str, str]:
        if self.locked:
            raise KeyringLocked("the keyring is locked")
        assert service == "symphony-artifact-store"
        return self.entries

    def get_password(self, service: str, username: str) -> str | None:
        return self._unlocked(service).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._unlocked(service)[username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self._unlocked(service)[username]


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Symphony's configuration directory; there is no keyring and no passphrase."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for name in ("SYMPHONY_CONFIG_DIR", sources.PASSPHRASE, sources.NEW_PASSPHRASE):
        monkeypatch.delenv(name, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(NullKeyring())
    yield tmp_path / "configuration" / "symphony"
    keyring.set_keyring(before)


@pytest.fixture
def memory_keyring() -> MemoryKeyring:
    """The system's keyring."""
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    return backend


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Argon2id cost next to nothing."""
    monkeypatch.setattr(sources, "MEMORY", 128)
    monkeypatch.setattr(sources, "ITERATIONS", 1)
    monkeypatch.setattr(sources, "LANES", 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file `keys` of a store that is yet to be made."""
    root = tmp_path / "store"
    root.mkdir()
    return root / "keys"


@pytest.fixture
def master_file(configuration: Path) -> Path:
    """The file of master keys."""
    return configuration / "artifact-master.key"
