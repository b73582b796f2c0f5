"""The keys that a store works with, in memory only."""

import os
from collections.abc import Sequence
from typing import Final

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports.artifacts import KeyInfo

from pit_artifact_store.keys.envelope import NONCE_BYTES, TAG_BYTES, Secrets
from pit_artifact_store.keys.sources import KEY_BYTES

WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + TAG_BYTES
"""Length of the wrapped key of a pack."""


class RepositoryKeys:
    """The opened keys of a store; safe with many threads.

    Attributes:
        id_key: Keys the hash that makes ids, 32 bytes; never changes.
        index_key: Opens the index, 32 bytes; never changes.
        search_key: Opens what the search keeps, 32 bytes; never changes.
        chunk_seed: Says where content is cut, 64 bits; never changes.
        tier_name: What the store is called in its tier; tells nothing of the keys, and never changes.
        epoch: Number of the repository key that new packs are sealed with.

    Args:
        secrets: What the file `keys` keeps sealed.
        key_id: Id of the master key that seals it.
        source: Where that master key is, for people.
    """

    def __init__(self, secrets: Secrets, key_id: str, source: str) -> None:
        self.secrets = secrets
        self.key_id = key_id
        self.id_key = _derived(secrets.root, "id key")
        self.index_key = _derived(secrets.root, "index key")
        self.search_key = _derived(secrets.root, "search key")
        self.chunk_seed = int.from_bytes(_derived(secrets.root, "chunk seed")[:8], "little")
        self.tier_name = _derived(secrets.root, "tier name")[:8].hex()
        self.epoch = secrets.keys[-1].epoch
        self._ciphers = {each.epoch: AESGCM(each.key) for each in secrets.keys}
        self._infos = tuple(
            KeyInfo(each.epoch, each.created, source, each.epoch == self.epoch)
            for each in reversed(secrets.keys)
        )

    @property
    def infos(self) -> Sequence[KeyInfo]:
        """What may be told of the keys, the newest first."""
        return self._infos

    def wrap(self, pack_id: bytes, pack_key: bytes) -> tuple[int, bytes]:
        """Seal the key of a new pack.

        Args:
            pack_id: Id of the pack; only with it is the key opened again.
            pack_key: The key, 32 bytes.

        Returns:
            The epoch of the repository key that sealed it, and the sealed key, `WRAPPED_BYTES` long.
        """
        nonce = os.urandom(NONCE_BYTES)
        return self.epoch, nonce + self._ciphers[self.epoch].encrypt(nonce, pack_key, pack_id)

    def unwrap(self, epoch: int, pack_id: bytes, wrapped: bytes) -> bytes:
        """Open the key of a pack.

        Args:
            epoch: The epoch that `wrap` gave.
            pack_id: Id of the pack.
            wrapped: The sealed key that `wrap` gave.

        Raises:
            ArtifactError: The store has no key of that epoch, or it does not fit.
        """
        cipher = self._ciphers.get(epoch)
        if cipher is None:
            raise ArtifactError(
                f"pack {pack_id.hex()} is sealed with key {epoch}, and the store's `keys` have up to {self.epoch}",
                code="SYM-A034",
                hint="Another process may have rotated the keys: open the store again. Otherwise restore the "
                "newest backup of the file `keys`.",
                details={"epoch": epoch, "pack": pack_id.hex()},
            )
        try:
            if len(wrapped) != WRAPPED_BYTES:
                raise InvalidTag
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], pack_id)
        except InvalidTag:
            raise ArtifactError(
                f"the key of pack {pack_id.hex()} cannot be opened with key {epoch} of the store: "
                "the pack's header is damaged, or it is a pack of another store",
                code="SYM-A034",
                hint="Restore the pack from a backup, or take it out of the store's directory.",
                details={"epoch": epoch, "pack": pack_id.hex()},
            ) from None


def _derived(root: bytes, purpose: str) -> bytes:
    return blake3(root, derive_key_context=f"pit-artifact-store 2 {purpose}").digest()
