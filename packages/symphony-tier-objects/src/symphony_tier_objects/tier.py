"""A tier in an object store, by way of obstore."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import TierFile

VARIABLES: Final = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_", "file": ""}
"""How the variables begin that obstore reads credentials and endpoint from, by scheme."""

CLIENT: Final[Mapping[str, str]] = {"timeout": "300s", "connect_timeout": "5s"}
"""A pack is sent in one request, so that it is there whole or not at all: 64 MiB on a slow line take their time."""

_CLIENT_SETTINGS: Final = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "timeout",
)

_RETRY: Final[Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}

_NO_PLACE: Final = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound")
"""How S3, Google and Azure say that there is not even a place where a file could be."""

_CREDENTIALS_HINT: Final = (
    "Set the variables of the provider's own tools, such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, "
    "and see that they may read, write, list and delete there."
)
_UNREACHED_HINT: Final = (
    "Check the network, the URL and the endpoint (such as AWS_ENDPOINT_URL), or that the disk is mounted and has the "
    "directory; and do it again. Nothing is lost, and "
    "what is on this machine works without it."
)


class ObjectTier:
    """Implements `symphony_sdk.ports.ArtifactTier` in an object store.

    Credentials and endpoint come from the environment, as obstore reads them: `AWS_...`, `GOOGLE_...`, `AZURE_...`.

    Args:
        url: Such as `s3://bucket/folder`, `gs://bucket/folder`, `az://container/folder`, `file:///mnt/disk/folder`.

    Raises:
        ArtifactError: SYM-A051, it is no URL of a place; SYM-A050, obstore cannot use it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        is_place = (
            bool(parts.path.strip("/")) and not parts.netloc if parts.scheme == "file" else parts.netloc
        )
        if parts.scheme not in VARIABLES or not is_place or parts.username or parts.query or parts.fragment:
            raise ArtifactError(
                f"{_without_secrets(url)!r} names no place for a tier of artifacts: expected such as "
                "`s3://bucket/folder` or `file:///mnt/disk/folder`, without credentials",
                code="SYM-A051",
                hint="Credentials and endpoint belong into variables, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
            )
        self.url = url
        self._directory = Path(unquote(parts.path)) if parts.scheme == "file" else None
        with self._named("cannot be used"):
            self._store = _opened(parts.scheme, url)

    def put(self, name: str, data: bytes | memoryview) -> bool:
        """Keep a file, durably; tells whether it did: a file that has the name already stays as it is.

        Args:
            name: Its name.
            data: Its bytes.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """
        with self._named("cannot be written to"):
            try:
                obstore.put(self._store, name, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            if self._directory is not None:
                _sync(self._directory, name)
        return True

    def get(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file; fewer at its end, none behind it.

        Args:
            name: Its name.
            offset: First byte, counted from 0.
            length: How many bytes, at least 1.

        Raises:
            FileNotFoundError: There is no such file.
            ArtifactError: The tier cannot be reached, or refuses.
        """
        with self._named("cannot be read"):
            try:
                return bytes(obstore.get_range(self._store, name, start=offset, length=length))
            except BaseError:
                size = self.size(name)
                if size is not None and size <= offset:  # stores call a range behind the end an error
                    return b""
                raise

    def list(self, prefix: str) -> Iterator[TierFile]:
        """The files whose name begins so, in any order.

        Args:
            prefix: A whole part of their names, such as `packs/`.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """
        with self._named("cannot be listed"):
            for page in obstore.list(self._store, prefix):
                for found in page:
                    yield TierFile(found["path"], found["size"])

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none.

        Args:
            name: Its name.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """
        with self._named("cannot be read"):
            try:
                return obstore.head(self._store, name)["size"]
            except FileNotFoundError:
                return None

    def delete(self, name: str) -> None:
        """Delete a file; does nothing where there is none.

        Args:
            name: Its name.

        Raises:
            ArtifactError: The tier cannot be reached, or refuses.
        """
        with self._named("cannot be written to"):
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        if self._directory is not None and not self._directory.is_dir():
            raise self._refusal(what, "the directory is not there", _UNREACHED_HINT)
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not any(word in str(error) for word in _NO_PLACE):
                raise
            refused = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
            reason = str(error).partition("\n\nDebug source")[0].strip()
            raise self._refusal(what, reason, _CREDENTIALS_HINT if refused else _UNREACHED_HINT) from error

    def _refusal(self, what: str, reason: str, hint: str) -> ArtifactError:
        return ArtifactError(
            f"the tier {self.url} {what}: {reason}", code="SYM-A050", hint=hint, details={"url": self.url}
        )


def _opened(scheme: str, url: str) -> ObjectStore:
    if scheme == "file":
        return from_url(url)  # makes no directory: where a disk is not mounted, it would be on another one
    # obstore reads everything from the environment but what is about the client, where that is given here.
    client: Any = dict(CLIENT)
    for setting in _CLIENT_SETTINGS:
        if said := os.environ.get(f"{VARIABLES[scheme]}{setting.upper()}"):
            client[setting] = said
    return from_url(url, client_options=client, retry_config=_RETRY)


def _sync(root: Path, name: str) -> None:
    """Make a file in a directory durable, as an object store does by itself."""
    file = root / name
    for path in (file, *(folder for folder in file.parents if folder.is_relative_to(root))):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _without_secrets(url: str) -> str:
    """A URL without what may be a password in it."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"[:200]
