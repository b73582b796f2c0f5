"""Hostile bytes cost bounded time and memory, and end as `MalformedMessage` at every boundary; fuzzed ones too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from symphony_ipc.payload import decode_payload
from symphony_sdk.messages import LoadExtension, LogLine

HERE = Path(__file__).parent


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds nothing elsewhere")
def test_every_hostile_frame_is_malformed_at_every_boundary_and_takes_little_memory():
    run = subprocess.run(
        [sys.executable, str(HERE / "hostile_frames.py")],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(outcomes) > 200
    assert {outcome["boundary"] for outcome in outcomes} == {"decoder", "reader", "connection"}
    assert not [outcome for outcome in outcomes if outcome["outcome"] != "SYM-T002"]
    grown = [outcome["mebibytes"] for outcome in outcomes]
    assert 15 < max(grown) < 64, "the longest frame has 16 MiB"


def test_of_a_field_that_comes_twice_the_last_counts():
    wire = b"\x83\xa5level\xa1a\xa4text\xa1x\xa5level\xa1b"
    assert decode_payload(LogLine, memoryview(wire)) == LogLine("b", "x")


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        pytest.param(b"\x82\xa1k\x01\xa1k\x02", {"k": 2}, id="a key that comes twice"),
        pytest.param(b"\x81\x01\x02", {1: 2}, id="a number as a key"),
        pytest.param(b"\xd4\x05\x00", msgspec.msgpack.Ext(5, b"\x00"), id="an unknown ext"),
    ],
)
def test_a_field_that_may_hold_anything_holds_what_messagepack_can_say(wire, value):
    head = b"\x84\xa9extension\xa0\xa7version\xa0\xa6module\xa0\xa6config\x81\xa1x"
    assert decode_payload(LoadExtension, memoryview(head + wire)).config == {"x": value}


def fuzzed(seed: int, cases: int) -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, str(HERE / "fuzz_frames.py")],
        env=os.environ | {"FUZZ_CASES": str(cases), "FUZZ_SEED": str(seed)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["cases"] == cases
    return found


def test_only_malformed_message_comes_out_of_twenty_thousand_mutated_frames():
    found = fuzzed(seed=1, cases=20_000)
    reached = ("envelopes", "malformed frames", "malformed payloads", "decoded", "refused")
    assert all(found[outcome] > 100 for outcome in reached), found


def test_fuzzing_draws_the_same_cases_from_the_same_seed():
    first, second, other = (fuzzed(seed, 300) for seed in (5, 5, 6))
    for found in (first, second, other):
        del found["seconds"], found["peak KiB"]
    assert first == second != other
