"""The keys of a store: made, kept sealed in its file `keys`, opened, and rotated.

A master key, which is never in the store's directory, seals one root secret and the repository keys. From the
root secret come the keys of ids, index and chunks, which never change; each repository key seals the keys of
the packs of its epoch.
"""

from pit_artifact_store.keys.lifecycle import open_content, open_keys, rotate, take_over
from pit_artifact_store.keys.repository import WRAPPED_BYTES, RepositoryKeys

__all__ = ["WRAPPED_BYTES", "RepositoryKeys", "open_content", "open_keys", "rotate", "take_over"]
