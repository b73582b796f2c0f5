"""How the file `keys` of a store comes to be, is opened, and gets a new master key.

The order is always: the new master key is durable where it is kept, then the file is, then the old master key
is forgotten. So at every moment the file that is there opens with a key that is there.
"""

import os
import time
from pathlib import Path

from symphony_sdk.errors import ArtifactError

from pit_artifact_store.keys import envelope, private_files, sources
from pit_artifact_store.keys.envelope import Envelope, RepositoryKey, Secrets
from pit_artifact_store.keys.repository import RepositoryKeys


def open_keys(file: Path) -> RepositoryKeys:
    """Open the keys of a store; they are made where there are none.

    The caller holds the lock under which processes join the store.

    Args:
        file: The file `keys` in the store's directory.

    Raises:
        ArtifactError: The master key is missing or wrong, or the file is damaged; nothing was changed. Or the
            new keys cannot be kept, or the file is gone while there are packs that need it.
    """
    content = _read(file)
    if content is not None:
        return _opened(envelope.parse(content, str(file)))
    if any(file.parent.glob("packs/*")):
        raise _gone(file)
    return _keep(file, _with_new_key(Secrets(os.urandom(sources.KEY_BYTES), ())), rotating=False)


def rotate(file: Path, keys: RepositoryKeys, *, data: bool) -> RepositoryKeys:
    """Seal the keys of a store with a new master key, kept at the place that comes first now.

    The caller holds the lock under which processes join the store. The keys that were given stay good for all
    that was sealed until now.

    Args:
        file: The file `keys` in the store's directory.
        keys: What it was opened as; where another process rotated it since, the file is opened anew.
        data: Whether new packs get a new repository key.

    Raises:
        ArtifactError: The new master key or the file cannot be written; what was there still opens.
    """
    content = _read(file)
    if content is None:
        raise _gone(file)
    old = envelope.parse(content, str(file))
    secrets = (keys if keys.key_id == old.header.key_id else _opened(old)).secrets
    rotated = _keep(file, _with_new_key(secrets) if data else secrets, rotating=True)
    sources.forget(old.header.source, old.header.key_id)
    return rotated


def open_content(content: bytes, where: str) -> RepositoryKeys:
    """Open the keys of a store that is not here.

    Args:
        content: The file `keys` of it.
        where: Where that is, for errors.

    Raises:
        ArtifactError: The master key is missing or wrong, or the file is damaged.
    """
    return _opened(envelope.parse(content, where))


def take_over(file: Path, content: bytes) -> None:
    """Put the keys of another store in the place of those of one that is empty, and forget its master key.

    The caller holds the lock under which processes join the store.

    Args:
        file: The file `keys` in the store's directory.
        content: The file `keys` of the other store, which opens.

    Raises:
        ArtifactError: It cannot be written; what was there still opens.
    """
    found = _read(file)
    if found == content:
        return
    hint = "Free some space on that disk, or give this user the right to write there."
    with private_files.refusals_named("the keys of the artifact store cannot be written", file, hint):
        private_files.replace(file, content)
    if found is not None:
        header = envelope.parse(found, str(file)).header
        sources.forget(header.source, header.key_id)


def _read(file: Path) -> bytes | None:
    hint = "Give this user the right to read it, and check the disk."
    with private_files.refusals_named("the keys of the artifact store cannot be read", file, hint):
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None


def _opened(found: Envelope) -> RepositoryKeys:
    master, place = sources.find(found.header.source, found.header.key_id, found.file)
    return RepositoryKeys(envelope.unseal(found, master), found.header.key_id, place)


def _with_new_key(secrets: Secrets) -> Secrets:
    epoch = secrets.keys[-1].epoch + 1 if secrets.keys else 1
    new = RepositoryKey(epoch, time.time(), os.urandom(sources.KEY_BYTES))
    return Secrets(secrets.root, (*secrets.keys, new))


def _keep(file: Path, secrets: Secrets, *, rotating: bool) -> RepositoryKeys:
    source, master = sources.make(rotating=rotating)
    content = envelope.seal(secrets, source, master)
    hint = "Free some space on that disk, or give this user the right to write there."
    with private_files.refusals_named("the keys of the artifact store cannot be written", file, hint):
        private_files.replace(file, content)
    return RepositoryKeys(secrets, sources.key_id(master), sources.place(source))


def _gone(file: Path) -> ArtifactError:
    return ArtifactError(
        "the keys of the artifact store are gone, and what is stored there cannot be read without them",
        code="SYM-A031",
        hint="Restore this file from its newest backup. Without one, set another data directory.",
        file=str(file),
    )
