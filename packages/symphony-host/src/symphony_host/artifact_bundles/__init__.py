"""Portable bundles: artifacts with all that is known of them in one file, for any Artifact Store and for anybody.

A bundle, version 1, is a zip file (zip64 where it is large) whose members are all stored, none compressed. So any
program that opens zip files opens it, it cannot be a zip bomb, and what was damaged takes nothing else along:

- `artifacts.jsonl`: a line of JSON for each artifact: its id in the store that it comes from, the SHA-256 and the
  number of its bytes, its tags, whether it is pinned, its holds, its scores.
- `descriptions.jsonl`: a line for each description that one of them was ever stored with, in the order in which a
  store has to be told them again to have the same versions of names and the same newest ones.
- `relations.jsonl`: a line for each relation whose subject is one of them, the oldest first.
- `manifest.json`: the version of the format, how many artifacts and bytes there are, and the SHA-256 of the three
  members above.
- `blobs/` and the SHA-256 of its bytes: each artifact. All other members come first.

The same artifacts give the same bytes: members have no time, and nothing in them is of this moment or machine.

A sealed bundle is the same zip file encrypted: the line `symphony sealed bundle 1`, 16 bytes of salt, and 32 bytes that
tell the right passphrase; then segments of 1 MiB, the last one shorter, each followed by its 16 bytes of
authentication. Argon2id (64 MiB, 3 passes, 4 lanes) makes 64 bytes of the passphrase and the salt: the key of
AES-256-GCM, and those 32 bytes. The nonce of a segment is its number in 11 bytes, counted from 0, and a byte that is 1
for the last one alone; what is before the first segment is authenticated with each. So no byte can be changed, no
segment be moved, doubled or left out, and nothing cut off, unnoticed (STREAM of Hoang, Reyhanitabar, Rogaway and
Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015).

Ids of artifacts are of one store alone where they are keyed. Reading a bundle gives each artifact the id that its bytes
have here, and what refers to it follows: relations, tags, and the inputs of lineage.
"""

from symphony_host.artifact_bundles.exporting import export_bundle, select
from symphony_host.artifact_bundles.importing import import_bundle
from symphony_host.artifact_bundles.reports import Exported, Imported, TakenTag
from symphony_host.artifact_bundles.sealing import is_sealed

__all__ = [
    "Exported",
    "Imported",
    "TakenTag",
    "export_bundle",
    "import_bundle",
    "is_sealed",
    "select",
]
