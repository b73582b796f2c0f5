"""Quantities with units, such as `512 MiB` and `10 s`; a plain number is in bytes or seconds."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from symphony_sdk.manifest.faults import found, refuse

BYTE_UNITS: Mapping[str, int] = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SECOND_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)", re.ASCII)


def bytes_in(value: object) -> int:
    """The number of bytes that a manifest's value says; parts of a byte are dropped.

    Args:
        value: A number of bytes, or a number and a unit of BYTE_UNITS.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(_amount(value, BYTE_UNITS, "an amount of memory", "512 MiB"))


def seconds_in(value: object) -> float:
    """The number of seconds that a manifest's value says.

    Args:
        value: A number of seconds, or a number and a unit of SECOND_UNITS.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(_amount(value, SECOND_UNITS, "a time", "10 s"))


def _amount(value: object, units: Mapping[str, float], what: str, example: str) -> float:
    parts = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if parts is None or parts[2] not in units:
        raise refuse(
            f"expected {what}, found {found(value)}",
            f"Write a number and one of the units {', '.join(units)}, such as `{example}`.",
        )
    number = float(parts[1]) if "." in parts[1] else int(parts[1])
    return number * units[parts[2]]


Bytes = Annotated[int, BeforeValidator(bytes_in)]
Seconds = Annotated[float, BeforeValidator(seconds_in)]
