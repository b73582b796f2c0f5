import graphlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_host.records import SYMPHONY, ExtensionRecord, Requirement
from symphony_host.resolver import resolve


def record(id, *requires, after=(), fault=None):
    return ExtensionRecord(
        id=id,
        kind="operator",
        runs="worker",
        distribution=id.replace(".", "-"),
        version="1.0",
        summary="",
        license="",
        authors="",
        entry_point="x",
        package="x",
        root="x",
        manifest_file=f"{id}/symphony.toml",
        metadata_dir="x",
        editable=False,
        requires=requires,
        after=after,
        fault=fault,
    )


def needs(id, found="1.0", *, range="*", optional=False, met=True):
    return Requirement(id, range, optional, found, met and bool(found))


def codes(resolution):
    return {id: [error.code for error in errors] for id, errors in resolution.problems.items()}


def test_what_is_needed_loads_first_and_else_the_id_decides():
    records = [record("a.a", needs("a.z")), record("a.c"), record("a.b"), record("a.z")]
    resolution = resolve(records)
    assert resolution.order == ("a.b", "a.c", "a.z", "a.a")
    assert resolution.needs == {"a.a": ("a.z",), "a.b": (), "a.c": (), "a.z": ()}


def test_after_and_optional_requirements_only_order():
    records = [
        record("a.a", needs("a.z", optional=True), after=("a.y", "a.gone")),
        record("a.y"),
        record("a.z"),
    ]
    resolution = resolve(records)
    assert resolution.order == ("a.y", "a.z", "a.a")
    assert resolution.needs["a.a"] == ()


@pytest.mark.parametrize("found", ["", "0.1"])
def test_an_optional_requirement_that_is_not_met_counts_as_not_there(found):
    resolution = resolve(
        [record("a.a", needs("a.z", found, range=">=2", optional=True, met=False)), record("a.z")]
    )
    assert (resolution.order, resolution.problems) == (("a.a", "a.z"), {})


def test_every_problem_is_told_at_once_with_what_was_found_and_expected():
    resolution = resolve(
        [
            record(
                "a.a",
                Requirement(SYMPHONY, ">=9", False, "0.1.0", False),
                needs("a.gone", ""),
                needs("a.old", "1.0", range=">=2", met=False),
            ),
            record("a.old"),
            record("b.b", needs("b.c")),
            record("b.c", needs("b.b")),
            record("c.c", needs("a.a")),
            record("d.d"),
        ]
    )
    assert codes(resolution) == {
        "a.a": ["SYM-E024", "SYM-E023", "SYM-E024"],
        "b.b": ["SYM-E025"],
        "b.c": ["SYM-E025"],
        "c.c": ["SYM-E026"],
    }
    assert resolution.order == ("a.old", "d.d")
    messages = [error.message for error in resolution.problems["a.a"]]
    assert messages[0] == "a.a 1.0 needs symphony >=9, found 0.1.0"
    assert "a.gone" in messages[1]
    assert messages[2] == "a.a 1.0 needs a.old >=2, found 1.0"
    assert all(error.hint for errors in resolution.problems.values() for error in errors)


def test_a_cycle_is_named_as_a_path_from_each_of_its_members():
    resolution = resolve(
        [record("a.a", needs("a.b")), record("a.b", needs("a.c")), record("a.c", needs("a.a")), record("a.d")]
    )
    paths = {id: errors[0].details["cycle"] for id, errors in resolution.problems.items()}
    assert paths == {
        "a.a": ["a.a", "a.b", "a.c", "a.a"],
        "a.b": ["a.b", "a.c", "a.a", "a.b"],
        "a.c": ["a.c", "a.a", "a.b", "a.c"],
    }
    assert "a.a -> a.b -> a.c -> a.a" in resolution.problems["a.a"][0].message
    assert resolution.order == ("a.d",)


def test_two_cycles_are_both_told():
    pairs = [record(f"{p}.{x}", needs(f"{p}.{y}")) for p in "ab" for x, y in ("xy", "yx")]
    assert set(codes(resolve(pairs))) == {"a.x", "a.y", "b.x", "b.y"}


def test_of_two_circles_that_share_a_member_all_members_are_told():
    resolution = resolve(
        [
            record("a.a", needs("a.b"), needs("a.c")),
            record("a.b", after=("a.a",)),
            record("a.c", after=("a.a",)),
        ]
    )
    assert codes(resolution) == {key: ["SYM-E025"] for key in ("a.a", "a.b", "a.c")}


def test_a_cycle_of_order_alone_is_told_too():
    resolution = resolve([record("a.a", after=("a.b",)), record("a.b", after=("a.a",))])
    assert codes(resolution) == {"a.a": ["SYM-E025"], "a.b": ["SYM-E025"]}


def test_who_needs_a_broken_one_fails_with_the_chain_down_to_the_first_cause():
    broken = record("a.c", fault={"message": "the manifest is not TOML\nsecond line"})
    resolution = resolve([record("a.a", needs("a.b")), record("a.b", needs("a.c")), broken])
    assert codes(resolution) == {"a.a": ["SYM-E026"], "a.b": ["SYM-E026"]}
    assert resolution.problems["a.a"][0].message == (
        "a.a needs a.b, which cannot be used: a.b needs a.c, which cannot be used: the manifest is not TOML"
    )


def test_who_needs_a_disabled_one_is_told_to_enable_it():
    resolution = resolve([record("a.a", needs("a.b")), record("a.b")], {"a.b": "switched off"})
    error = resolution.problems["a.a"][0]
    assert (resolution.order, "switched off" in error.message) == ((), True)
    assert error.hint == "`symphony enable a.b`"


ids = st.sampled_from([f"p.e{number}" for number in range(8)])
installed = st.lists(
    st.builds(
        lambda id, hard, soft, after, broken: record(
            id,
            *(needs(other) for other in sorted(hard - {id} - soft)),
            *(needs(other, optional=True) for other in sorted(soft - {id})),
            after=tuple(sorted(after - {id})),
            fault={"message": "broken"} if broken else None,
        ),
        ids,
        st.sets(ids, max_size=2),
        st.sets(ids, max_size=1),
        st.sets(ids, max_size=1),
        st.sampled_from([False, False, False, True]),
    ),
    unique_by=lambda each: each.id,
)


@given(installed, st.sets(ids, max_size=2))
def test_every_extension_is_ordered_or_has_a_reason_and_the_order_is_right(records, off):
    present = {each.id for each in records}
    records = [
        each.with_changes(
            requires=tuple(
                need if need.id in present else needs(need.id, "", optional=need.optional)
                for need in each.requires
            )
        )
        for each in records
    ]
    resolution = resolve(records, dict.fromkeys(off, "off"))
    broken = {each.id for each in records if each.fault}
    assert set(resolution.order) | set(resolution.problems) | broken | (off & present) == present
    assert not set(resolution.order) & (set(resolution.problems) | broken | off)
    place = {id: index for index, id in enumerate(resolution.order)}
    for each in records:
        if each.id not in place:
            continue
        for need in each.requires:
            assert need.optional or need.id in place
            assert place.get(need.id, -1) < place[each.id]
        assert all(place.get(id, -1) < place[each.id] for id in each.after)
    assert resolve(reversed(records), dict.fromkeys(off, "off")).order == resolution.order


@given(installed)
def test_nobody_is_refused_where_all_is_there_and_no_circle_is(records):
    records = [each.with_changes(fault=None) for each in records]
    present = {each.id for each in records}
    records = [
        each.with_changes(requires=tuple(need for need in each.requires if need.id in present))
        for each in records
    ]
    graph = {each.id: {need.id for need in each.requires} | (set(each.after) & present) for each in records}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        assert resolve(records).problems
    else:
        assert (set(resolve(records).order), resolve(records).problems) == (present, {})
