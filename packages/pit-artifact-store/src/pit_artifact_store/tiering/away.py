"""Packs that are in the tier alone, read as those on this machine are: by frames, each authenticated with its place."""

from collections.abc import Sequence
from struct import error as StructError
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import HEADER_BYTES, DamagedFrame, Frame, Pack
from pit_artifact_store.tiering.remote import Remote
from pit_artifact_store.tiering.stubs import Stub, Stubs
