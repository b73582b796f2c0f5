"""Quantities with units become bytes and seconds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError
from symphony_sdk.manifest.quantities import BYTE_UNITS, SECOND_UNITS, bytes_in, seconds_in


@pytest.mark.parametrize(
    ("value", "count"),
    [("512 MiB", 2**29), ("1GiB", 2**30), ("1.5 kB", 1500), ("0.3 B", 0), ("2 TB", 2 * 10**12), (7, 7)],
)
def test_an_amount_of_memory_is_a_number_of_bytes(value: object, count: int) -> None:
    assert bytes_in(value) == count
    assert isinstance(bytes_in(value), int)


@pytest.mark.parametrize(
    ("value", "seconds"), [("10 s", 10.0), ("250 ms", 0.25), ("2 min", 120), ("1h", 3600), (7, 7), (0.5, 0.5)]
)
def test_a_time_is_a_number_of_seconds(value: object, seconds: float) -> None:
    assert seconds_in(value) == seconds
    assert isinstance(seconds_in(value), float)


@pytest.mark.parametrize(
    "value",
    ["", "MiB", "1", "1  MiB", "-1 MiB", "1e3 MiB", "\u0661 MiB", "1 mib", " 1 MiB", 1.5, True, None, []],
)
def test_what_is_no_amount_of_memory_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        bytes_in(value)


@pytest.mark.parametrize("value", ["", "s", "1", "1 S", "1 m", "1 day", True, None, []])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        seconds_in(value)


@settings(deadline=None)
@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(BYTE_UNITS)), st.sampled_from(["", " "]))
def test_whole_numbers_of_a_unit_are_exact(number: int, unit: str, space: str) -> None:
    assert bytes_in(f"{number}{space}{unit}") == number * BYTE_UNITS[unit]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(SECOND_UNITS)))
def test_whole_numbers_of_time_are_exact(number: int, unit: str) -> None:
    assert seconds_in(f"{number} {unit}") == number * SECOND_UNITS[unit]
