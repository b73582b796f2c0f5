"""Finds artifacts by what is in them and what is known of them.

The packs and the index have all of it; what is here can be lost at any moment and is made again. `search` is the door;
`indexing` brings the index of words up to the store, `live` says where that is while it is used, `sealing` how it is
kept on disk.
"""

from pit_artifact_store.searching.search import Search

__all__ = ["Search"]
