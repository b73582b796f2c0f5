"""Cutting: nothing is lost, the same content is cut in the same way, and a change stays where it is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pit_artifact_store.chunking import LARGEST_CHUNK, WHOLE, Chunker

CONTENT = random.Random(5).randbytes(10 << 20)
EDGES = [0, 1, WHOLE, WHOLE + 1, 512 << 10, (512 << 10) + 1, 4 << 20, (4 << 20) + 1, (8 << 20) - 1, 8 << 20]
sizes = st.sampled_from([*EDGES, 9_999_999]) | st.integers(0, 10 << 20)


@settings(deadline=None, max_examples=30)
@given(sizes, st.lists(st.integers(1, 3 << 20), min_size=1, max_size=5))
def test_a_stream_is_cut_as_if_it_came_at_once(size, steps):
    data = CONTENT[:size]
    parts, at = [], 0
    while at < size:
        step = steps[len(parts) % len(steps)]
        parts.append(data[at : at + step])
        at += step
    chunker = Chunker(2**64 - 1)
    whole = [bytes(part) for part in chunker.cut(memoryview(data))]
    assert b"".join(whole) == data
    assert [bytes(part) for part in chunker.cut_stream(parts)] == whole
    assert max(map(len, whole)) <= LARGEST_CHUNK


@pytest.mark.parametrize("size", [100_000, 2_000_000, 6_000_000])
def test_a_change_in_the_middle_leaves_most_chunks_as_they_are(size):
    data = CONTENT[:size]
    changed = data[: size // 2] + b"changed" + data[size // 2 :]
    chunker = Chunker(7)
    before = {bytes(part) for part in chunker.cut(memoryview(data))}
    after = {bytes(part) for part in chunker.cut(memoryview(changed))}
    assert len(after - before) <= 3


def test_two_stores_cut_the_same_content_in_different_places():
    lengths = [[len(part) for part in Chunker(seed).cut(memoryview(CONTENT[:200_000]))] for seed in (1, 2)]
    assert lengths[0] != lengths[1]
