"""Recipes and rows: whatever is encoded is decoded, and nothing else is."""

import struct
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pit_artifact_store.packs import OVERHEAD
from pit_artifact_store.recipes import Chunk, Recipe, encode_recipe
from pit_artifact_store.records import (
    EntryRow,
    Gone,
    HoldRow,
    Image,
    ObjectRow,
    PinRow,
    RelationRow,
    TagRow,
    decode_commit,
    encode_commit,
)

packs = st.integers(0, 5).map(lambda number: bytes([number]) * 16)
chunks = st.builds(
    Chunk,
    id=st.binary(min_size=16, max_size=16),
    pack=packs,
    offset=st.integers(0, 2**32 - 1),
    stored=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**18),
)
ids = st.binary(min_size=32, max_size=32)
text = st.text(max_size=10)
times = st.floats(0, 1e10)
rows = st.one_of(
    st.builds(ObjectRow, ids, st.integers(0, 2**40), st.binary(max_size=60), times, st.integers(0, 2**62)),
    st.builds(
        EntryRow, ids, st.binary(min_size=16, max_size=16), times, text, st.integers(0, 9), text, text, ids
    ),
    st.builds(TagRow, text, ids, times),
    st.builds(PinRow, ids),
    st.builds(HoldRow, ids, text, times),
    st.builds(RelationRow, ids, text, text, times),
    st.builds(Gone, st.sampled_from(["object", "tag", "pin", "hold", "relation"]), ids, text, text),
)


@given(st.lists(chunks, max_size=20))
def test_a_recipe_is_what_it_was_made_of(made):
    recipe = Recipe(encode_recipe(made))
    assert list(recipe) == made
    assert [recipe[number] for number in range(len(recipe))] == made
    assert set(recipe.packs) == {chunk.pack for chunk in made}


@given(st.lists(st.tuples(packs, st.integers(0, 2**18)), max_size=20), st.integers(0, 9))
def test_chunks_that_were_written_together_take_little_in_a_recipe(parts, gap):
    made, ends = [], {}
    for number, (pack, size) in enumerate(parts):
        offset = ends.get(pack, 162)
        made.append(Chunk(bytes([number]) * 16, pack, offset, OVERHEAD + size, size))
        ends[pack] = offset + OVERHEAD + size + gap
    data = encode_recipe(made)
    assert list(Recipe(data)) == made
    runs = len(made) if gap else sum(1 for _ in groupby(chunk.pack for chunk in made))
    assert len(data) <= 12 + 16 * len(ends) + 10 * runs + 20 * len(made)


@given(st.lists(chunks, max_size=20))
def test_a_recipe_of_the_first_version_is_read(made):
    order = sorted({chunk.pack for chunk in made})
    data = struct.pack("<BHI", 1, len(order), len(made)) + b"".join(order)
    for chunk in made:
        data += struct.pack("<32sHIII", chunk.id + bytes(16), order.index(chunk.pack), *chunk[2:])
    recipe = Recipe(data)
    assert list(recipe) == made
    assert recipe.packs == order


@given(st.lists(chunks, max_size=20), st.integers(0, 2**20), st.integers(0, 2**20))
def test_a_range_is_covered_by_the_chunks_that_it_touches(made, begin, length):
    recipe = Recipe(encode_recipe(made))
    covered = [(first, first + chunk.size) for chunk, first in recipe.between(begin, begin + length)]
    total = sum(chunk.size for chunk in made)
    assert all(first < begin + length and end > begin for first, end in covered)
    inside = range(begin, min(begin + length, total))
    assert (not inside) or (covered[0][0] <= begin and covered[-1][1] >= inside[-1] + 1)
    assert all(end == first for (_, end), (first, _) in pairwise(covered))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_recipe_or_a_whole_one(data):
    try:
        recipe = Recipe(data)
    except ValueError:
        return
    assert len(list(recipe.ends)) == len(recipe)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x03" + bytes(11), encode_recipe([])[:-1]])
def test_what_is_no_recipe_is_refused(data):
    with pytest.raises(ValueError, match="a recipe of"):
        Recipe(data)


@given(st.lists(st.builds(Image, st.integers(0, 2**62), rows), max_size=4))
def test_a_commit_is_what_it_was_made_of(images):
    assert decode_commit(encode_commit(images)) == images


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_commit_or_rows(data):
    try:
        assert isinstance(decode_commit(data), list)
    except ValueError as error:
        assert "no commit" in str(error)
