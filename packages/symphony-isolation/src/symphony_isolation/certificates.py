"""The certificates that a user names, by which an extension knows servers besides those that the system vouches for.

A user names them as for any other program, in the environment: OpenSSL reads `SSL_CERT_FILE` and `SSL_CERT_DIR`,
requests and curl have variables of their own.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Each names a file, or directories with a colon between them."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.r?[0-9]+")  # as OpenSSL looks a certificate up in a directory


def named_certificates(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that are set, their paths absolute and without links.

    Args:
        environ: The host's environment.
    """
    return {
        name: os.pathsep.join(map(os.path.realpath, filter(None, environ[name].split(os.pathsep))))
        for name in VARIABLES
        if environ.get(name)
    }


def certificate_files(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """The files that those name; of a directory the certificates in it, by the names that OpenSSL looks for.

    Args:
        environ: The host's environment.
    """
    for paths in named_certificates(environ).values():
        for path in map(Path, paths.split(os.pathsep)):
            if path.is_file():
                yield str(path)
            elif path.is_dir():
                with suppress(OSError):  # not for this user: then it is not for the extension either
                    yield from (str(file) for file in sorted(path.iterdir()) if _HASHED.fullmatch(file.name))
