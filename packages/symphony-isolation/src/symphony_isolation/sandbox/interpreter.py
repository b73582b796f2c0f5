"""What a Python interpreter and the libraries of the system have to read to run at all."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from symphony_isolation.interpreter import own_interpreter

_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies",
    "/etc/ca-certificates/extracted",
    "/var/lib/ca-certificates",
    "/etc/mime.types",
    "/etc/fonts",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
    "/run/current-system/sw",
    "/nix/store",
)
"""Libraries, certificates but not the keys beside them, time zones, and what the machine is: nothing of a user."""


def readable_by(python: str) -> tuple[str, ...]:
    """The trees and files that an interpreter reads: its own, its environment's, and those of the system.

    Directories that `.pth` files add, as those of editable installations, are among them.

    Args:
        python: Path of the interpreter.
    """
    # Code of its own `.pth` files may have added more than reading them tells.
    return _readable_by(python, own_interpreter().directories if python == sys.executable else ())


@lru_cache(maxsize=64)
def _readable_by(python: str, more: tuple[str, ...]) -> tuple[str, ...]:
    found = dict.fromkeys(_SYSTEM)
    found.update(dict.fromkeys(str(path) for path in _prefixes(Path(python))))
    found.update(dict.fromkeys(more))
    return tuple(path for path in found if Path(path).exists())


def _prefixes(python: Path) -> Iterator[Path]:
    environment = python.absolute().parent.parent
    yield from _own(environment)
    with suppress(OSError):
        for line in (environment / "pyvenv.cfg").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                yield from _own(Path(value.strip()).parent)
    yield from _own(python.resolve().parent.parent)


def _own(prefix: Path) -> Iterator[Path]:
    if not (prefix / "lib").is_dir():  # no interpreter lives there
        return
    yield from (prefix / part for part in ("bin", "lib", "lib64", "include", "share", "pyvenv.cfg"))
    if ".framework/" in str(prefix):  # macOS
        yield from (prefix / part for part in ("Python", "Resources"))
    for file in (
        *prefix.glob("lib/python*/site-packages/*.pth"),
        *prefix.glob("lib/python*/dist-packages/*.pth"),
    ):
        with suppress(OSError, UnicodeDecodeError):
            for line in file.read_text().splitlines():
                if line.startswith("/"):
                    yield Path(line)
