"""Binary workflows: what is written comes back, and what anybody else wrote does no harm."""

import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import DataEdge, OperatorNode, Workflow, dumps, load, loads, to_document
from symphony_workflow.binary import dumps_binary, loads_binary, pack, unpack
from symphony_workflow.binary_rows import FIRST_SHAPE, INTEGER, LIST, MAX_DEPTH, PLACE, Rows, to_rows
from symphony_workflow.codec import BINARY_MAGIC
from symphony_workflow.model import SCHEMA
from symphony_workflow.testing import examples, json_values, workflows

KEPT = Path(__file__).with_name("kept")
HEADER = 14
INFLATED, DEFLATED = 0, 1


def container(body: bytes, *, version: int = 1, flags: int = INFLATED) -> bytes:
    """A file with this body and the checksum that belongs to it."""
    return BINARY_MAGIC + bytes([version, flags]) + zlib.crc32(body).to_bytes(4, "little") + body


def of_rows(strings: list[str], shapes: list[int], values: list[Any]) -> bytes:
    return container(msgspec.msgpack.encode((strings, shapes, values)))


def large(count: int = 300) -> Workflow:
    nodes = tuple(
        OperatorNode(id=f"node-{number}", uses="acme.graph.merge", params={"level": number % 5})
        for number in range(count)
    )
    edges = tuple(
        DataEdge(f"node-{number - back}", "result", f"node-{number}", f"value_{back}")
        for number in range(3, count)
        for back in (1, 2, 3)
    )
    return Workflow(id="large", nodes=nodes, edges=edges)


def same_text(document: Any) -> str:
    """What two documents have in common only if keys, order and types of numbers are the same."""
    return json.dumps(document)


def refused(data: bytes, code: str = "SYM-W060") -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        loads_binary(data, file="flow.symwf")
    assert caught.value.code == code
    assert caught.value.file == "flow.symwf"
    assert caught.value.hint
    return caught.value


@given(workflows())
@settings(max_examples=examples(40), deadline=None)
def test_every_workflow_comes_back_from_its_binary_form(workflow: Workflow) -> None:
    data = dumps_binary(workflow)
    assert same_text(unpack(data)) == same_text(to_document(workflow))
    assert loads_binary(data) == loads(dumps(workflow)) == workflow


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values()))
@settings(max_examples=examples(60), deadline=None)
def test_a_document_of_any_shape_comes_back_with_its_order_and_types(document: dict[str, Any]) -> None:
    assert same_text(unpack(pack(document))) == same_text(document)


def test_the_same_workflow_always_gives_the_same_bytes(atlas: Workflow) -> None:
    assert dumps_binary(atlas) == dumps_binary(loads(dumps(atlas)))


def test_load_knows_a_binary_file_by_its_first_bytes(atlas: Workflow, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"  # whatever its name
    file.write_bytes(dumps_binary(atlas))
    assert load(file) == atlas


def test_load_names_the_damaged_binary_file(tmp_path: Path) -> None:
    file = tmp_path / "flow.symwf"
    file.write_bytes(BINARY_MAGIC)
    with pytest.raises(WorkflowError, match="header") as caught:
        load(file)
    assert caught.value.file == str(file)


def test_a_large_workflow_takes_less_than_a_third_of_its_compact_json_and_compressed_a_tenth() -> None:
    workflow = large()
    compact = len(json.dumps(to_document(workflow), separators=(",", ":")))
    plain, deflated = dumps_binary(workflow, compress=False), dumps_binary(workflow)
    assert len(plain) < 0.30 * compact
    assert len(deflated) < 0.15 * compact
    assert plain[9] == INFLATED
    assert deflated[9] == DEFLATED
    assert loads_binary(plain) == loads_binary(deflated) == workflow


def test_a_small_workflow_is_not_compressed_and_smaller_than_its_json(atlas: Workflow) -> None:
    data = dumps_binary(atlas)
    assert data[9] == INFLATED
    assert len(data) < 0.7 * len(json.dumps(to_document(atlas), separators=(",", ":")))


def test_what_compresses_too_well_to_be_believed_is_written_as_it_is(atlas: Workflow) -> None:
    document = to_document(atlas) | {"name": "a" * 2_000_000}
    data = pack(document)
    assert data[9] == INFLATED
    assert unpack(data) == document


def independent(data: bytes) -> Any:
    """Another reader, on another library, of the description in the reference."""
    strings, flat, values = msgpack.unpackb(data[HEADER:])
    shapes, at = [], 0
    while at < len(flat):
        shapes.append([strings[number] for number in flat[at + 1 : at + 1 + flat[at]]])
        at += 1 + flat[at]
    tokens = iter(values)

    def text(token: Any) -> str:
        return strings[token] if isinstance(token, int) else token

    def value() -> Any:
        token = next(tokens)
        if token is None or isinstance(token, bool | float | str):
            return token
        if token >= 0:
            return strings[token]
        if token == -1:
            return next(tokens)
        if token == -2:
            return [value() for _ in range(next(tokens))]
        if token == -3:
            return f"{text(next(tokens))}.{text(next(tokens))}"
        return {key: value() for key in shapes[-4 - token]}

    return value()


def test_another_library_reads_the_body_as_the_reference_describes_it(atlas: Workflow) -> None:
    for workflow in (atlas, large()):
        assert independent(dumps_binary(workflow, compress=False)) == to_document(workflow)


def test_an_edge_between_frequent_names_is_a_few_small_numbers() -> None:
    rows = to_rows({"edges": [{"from": "a.x", "to": "b.y"}] * 3}, names=["a", "b"])
    edge = rows.values[-7:]
    assert edge[0] <= FIRST_SHAPE
    assert edge[1] == edge[4] == PLACE
    assert ".".join(rows.strings[number] for number in edge[2:4]) == "a.x"


def test_a_file_of_the_first_container_is_still_read() -> None:
    assert load(KEPT / "atlas-container-1.symwf") == load(KEPT / "atlas-container-1.json")


def test_a_binary_file_of_an_older_format_takes_the_same_migrations_as_json(atlas: Workflow) -> None:
    old = to_document(atlas) | {"schema": SCHEMA - 1}
    old["title"] = old.pop("name")

    def rename(document: dict[str, Any]) -> dict[str, Any]:
        document["name"] = document.pop("title")
        return document

    migrations = {SCHEMA - 1: rename}
    assert (
        loads_binary(pack(old), migrations=migrations)
        == loads(json.dumps(old), migrations=migrations)
        == atlas
    )


def test_a_binary_file_of_a_newer_format_is_refused(atlas: Workflow) -> None:
    refused(pack(to_document(atlas) | {"schema": SCHEMA + 1}), "SYM-W005")


@pytest.mark.parametrize(("version", "flags"), [(2, 0), (1, 2), (255, 255)])
def test_a_newer_container_is_refused_with_the_mend(version: int, flags: int) -> None:
    assert "Upgrade" in refused(container(b"", version=version, flags=flags), "SYM-W061").hint


def test_a_sound_container_of_no_workflow_is_refused_as_the_same_json_would_be() -> None:
    refused(pack({"schema": SCHEMA}), "SYM-W004")
    refused(of_rows([], [], [None]), "SYM-W004")


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_cut_off_anywhere_is_refused(compress: bool) -> None:
    data = dumps_binary(large(60), compress=compress)
    for length in range(len(data)):
        refused(data[:length])
    refused(data + b"\0")


def test_a_file_with_any_byte_changed_is_refused(atlas: Workflow) -> None:
    data = dumps_binary(atlas)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x41
        refused(bytes(changed), "SYM-W061" if place in (8, 9) else "SYM-W060")


@given(st.data())
@settings(max_examples=examples(100), deadline=None)
def test_a_changed_body_with_the_right_checksum_gives_a_document_or_a_clear_error(
    data: st.DataObject,
) -> None:
    body = bytearray(_ATLAS_LIKE[HEADER:])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        document = unpack(container(bytes(body)))
    except WorkflowError as error:
        assert error.code == "SYM-W060"
    else:
        json.dumps(document, allow_nan=False)


@given(
    st.lists(st.text(max_size=5), max_size=4),
    st.lists(st.integers(-3, 6), max_size=12),
    st.lists(st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3), max_size=20),
)
@settings(max_examples=examples(100), deadline=None)
def test_any_rows_give_a_document_or_a_clear_error(
    strings: list[str], shapes: list[int], values: list[Any]
) -> None:
    try:
        document = unpack(of_rows(strings, shapes, values))
    except WorkflowError as error:
        assert error.code == "SYM-W060"
    else:
        json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("strings", "shapes", "values", "fault"),
    [
        ([], [], [], "end in the middle"),
        (["a"], [1, 0], [FIRST_SHAPE], "end in the middle"),
        ([], [], [None, None], "behind the last"),
        (["a"], [], [1], "string 1 of 1"),
        (["a"], [], [PLACE, 0, 7], "string 7 of 1"),
        (["a"], [], [PLACE, 0, -1], "a place has a name"),
        (["a"], [], [PLACE, 0, None], "a place has a name"),
        (["a" * 400], [], [PLACE, 0, 0], "a name of at most 300"),
        ([], [], [INTEGER, "a"], "must be an integer"),
        ([], [], [INTEGER, True], "must be an integer"),
        ([], [], [LIST, -1], "claims -1 items"),
        ([], [], [LIST, 1 << 40], "items"),
        ([], [], [FIRST_SHAPE], "shape 0 of 0"),
        (["a"], [2, 0], [None], "claims 2 keys"),
        (["a"], [-2], [None], "claims -2 keys"),
        (["a"], [1, 1], [None], "not one of the 1 strings"),
        (["a"], [1, -1], [None], "not one of the 1 strings"),
        (["a", "a"], [2, 0, 1], [None], "stands twice"),
        ([], [], [float("nan")], "not a JSON number"),
        ([], [], [float("inf")], "not a JSON number"),
        ([], [], [LIST, 1] * 100_000, f"deeper than {MAX_DEPTH}"),
        (["a" * 1_000_000], [], [LIST, 100, *([0] * 100)], "larger workflow"),
        (["a" * 1_000_000], [1, 0], [LIST, 100, *([FIRST_SHAPE, None] * 100)], "larger workflow"),
    ],
)
def test_impossible_rows_are_refused(
    strings: list[str], shapes: list[int], values: list[Any], fault: str
) -> None:
    assert fault in refused(of_rows(strings, shapes, values)).message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93\x90\x90",
        b"\x93\xdd\xff\xff\xff\xff",  # a table that claims four billion strings
        b"\x93\x90\x90\xdd\x00\x7f\xff\xff",
        b"\x93\x90\x90\x91\x80",  # an object where only plain values may stand
        b"\x93\x91\xa1\xff\x90\x90",  # not UTF-8
        b"\x91" * 200_000,
        b"\x93\x90\x90\x90\x00",
    ],
)
def test_a_body_that_is_no_rows_is_refused(body: bytes) -> None:
    refused(container(body))
    refused(container(zlib.compress(body) + b"\0", flags=DEFLATED))


def test_a_small_file_cannot_grow_into_a_large_one_in_memory() -> None:
    bomb = zlib.compress(b"\x93\x90\x90\xdd\x01\x00\x00\x00" + bytes(1 << 24), 9)
    tracemalloc.start()
    assert "grows beyond" in refused(container(bomb, flags=DEFLATED)).message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


def test_what_is_no_binary_workflow_at_all_is_refused() -> None:
    assert "begin" in refused(b"{}").message
    assert "checksum" in refused(dumps_binary(Workflow(id="a"))[:-1]).message


_ATLAS_LIKE = dumps_binary(large(12), compress=False)


def test_rows_of_a_document_without_workflows_or_nodes_are_written_all_the_same() -> None:
    for document in ({}, {"nodes": 3}, {"nodes": {"a": 1}, "workflows": [1]}, {"workflows": {"a": 1}}):
        assert unpack(pack(document)) == document


def test_a_table_is_a_tuple_of_three_lists() -> None:
    assert to_rows({"a": [1, 1.5, "b"]}) == Rows(["a"], [1, 0], [-4, -2, 3, -1, 1, 1.5, "b"])
