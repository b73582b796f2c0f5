import graphlib
import itertools
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_host.records import SYMPHONY, ExtensionRecord, Requirement
from symphony_host.resolver import resolve

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))


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


def test_a_conflict_names_all_who_need_the_same_extension_and_what_each_needs():
    resolution = resolve(
        [
            record("a.a", needs("a.base", "2.1", range="<2", met=False)),
            record("b.b", needs("a.base", "2.1", range=">=2")),
            record("c.c", needs("a.base", "2.1")),
            record("d.d", needs("a.base", "2.1", range=">=9", optional=True, met=False)),
            record("a.base"),
        ]
    )
    assert resolution.order == ("a.base", "d.d", "b.b", "c.c")
    (error,) = resolution.problems["a.a"]
    assert error.message == "a.a 1.0 needs a.base <2, found 2.1"
    assert error.hint.endswith("; mind that there is one a.base for all; b.b needs >=2.")
    assert error.details["others"] == {"b.b": ">=2"}


def test_who_needs_what_is_missing_is_told_with_what_others_need_of_it():
    resolution = resolve(
        [
            record("a.a", needs("a.gone", "", range=">=1", met=False)),
            record("b.b", needs("a.gone", "", range="<2", met=False)),
        ]
    )
    assert resolution.problems["a.a"][0].hint == (
        "Install the distribution that brings a.gone; b.b needs <2."
    )


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


def test_all_that_is_in_the_way_of_one_is_told_its_unusable_requirements_too():
    resolution = resolve(
        [
            record("a.a", needs("a.gone", ""), needs("a.off"), needs("a.b"), needs("a.good")),
            record("a.b", needs("a.off")),
            record("a.off"),
            record("a.good"),
        ],
        {"a.off": "switched off"},
    )
    assert codes(resolution) == {"a.a": ["SYM-E023", "SYM-E026", "SYM-E026"], "a.b": ["SYM-E026"]}
    assert [error.details["needs"] for error in resolution.problems["a.a"]] == ["a.gone", "a.off", "a.b"]


def test_who_wishes_to_load_after_one_that_cannot_be_used_can_be_used():
    """Their circle is one of order alone, and there is no order to keep with who is not there."""
    resolution = resolve(
        [
            record("a.a", after=("a.b",)),
            record("a.b", needs("a.gone", ""), after=("a.a",)),
            record("a.c", needs("a.d", optional=True)),
            record("a.d", needs("a.b"), needs("a.c")),
        ]
    )
    assert resolution.order == ("a.a", "a.c")
    assert codes(resolution) == {"a.b": ["SYM-E023"], "a.d": ["SYM-E026"]}


def test_who_needs_a_member_of_a_circle_is_told_the_circle():
    resolution = resolve(
        [record("a.a", needs("a.b")), record("a.b", needs("a.c")), record("a.c", needs("a.b"))]
    )
    (error,) = resolution.problems["a.a"]
    assert error.message == "a.a needs a.b, which cannot be used: a.b needs itself: a.b -> a.c -> a.b"


def test_who_needs_itself_is_told():
    (error,) = resolve([record("a.a", needs("a.a"))]).problems["a.a"]
    assert (error.code, error.details["cycle"]) == ("SYM-E025", ["a.a", "a.a"])


# -- many ----------------------------------------------------------------------------------------------


def chain(count, root):
    """Each needs the one before it."""
    return [root, *(record(f"p.e{at}", needs(f"p.e{at - 1}")) for at in range(1, count))]


def broken_chain(count):
    return chain(count, record("p.e0", fault={"message": "the manifest is not TOML"}))


def chain_to_what_is_missing(count):
    return chain(count, record("p.e0", needs("p.gone", "")))


def chain_to_a_circle(count):
    return chain(count, record("p.e0", needs("p.e1")))


def ring(count):
    return chain(count, record("p.e0", needs(f"p.e{count - 1}")))


def conflict(count):
    """All need another version of one than there is."""
    return [
        record("p.base"),
        *(record(f"p.e{at}", needs("p.base", range="<1", met=False)) for at in range(count)),
    ]


def fans(count):
    """Two layers, in which each of the upper one needs ten of the lower one, which is broken."""
    lower = [record(f"p.l{at}", needs("p.gone", "")) for at in range(count // 2)]
    upper = [
        record(f"p.u{at}", *(needs(f"p.l{(at + step) % len(lower)}") for step in range(10)))
        for at in range(count // 2)
    ]
    return lower + upper


def steps(records):
    """How many calls of Python code and of builtins resolving takes."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    resolve(records)  # what is imported for the first error is not counted
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        resolve(records)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "installed", [broken_chain, chain_to_what_is_missing, chain_to_a_circle, ring, conflict, fans]
)
def test_twice_as_many_extensions_in_trouble_take_twice_the_work_and_no_longer_words(installed):
    assert steps(installed(400)) < 2.1 * steps(installed(200))
    problems = resolve(installed(400)).problems
    assert len(problems) >= 398
    assert max(len(f"{error}{error.hint}") for errors in problems.values() for error in errors) < 500


def test_of_a_long_chain_the_first_links_and_the_cause_are_told():
    error = resolve(broken_chain(100)).problems["p.e99"][0]
    assert error.message == (
        "p.e99 needs p.e98, which cannot be used: p.e98 needs p.e97, which cannot be used: p.e97 needs p.e96, which "
        "cannot be used: p.e96 needs p.e95, which cannot be used: and so on, by way of 95 more, down to p.e0: the "
        "manifest is not TOML"
    )


def test_of_a_long_circle_some_members_are_told_and_how_many_there_are():
    error = resolve(ring(100)).problems["p.e99"][0]
    assert error.message.startswith("p.e99 needs itself: p.e99 -> p.e98 -> ")
    assert error.message.endswith(" -> p.e92 -> 92 more -> p.e99")
    assert error.details["more"] == 92


def test_of_many_that_need_the_same_some_are_told_and_how_many_there_are():
    error = resolve(conflict(100)).problems["p.e7"][0]
    assert error.hint.endswith("p.e11 needs <1; p.e12 needs <1; 94 more need it.")
    assert (len(error.details["others"]), error.details["more"]) == (5, 94)


# -- against what can be said of small sets by trying all of it ----------------------------------------

few = [f"p.e{number}" for number in range(5)]
requirement = st.tuples(
    st.sampled_from([*few, "p.gone"]), st.booleans(), st.sampled_from([True, True, False])
)
small = st.lists(
    st.tuples(
        st.sampled_from(few),
        st.lists(requirement, max_size=3, unique_by=lambda each: each[0]),
        st.sets(st.sampled_from(few), max_size=1),
        st.sampled_from([False] * 5 + [True]),
    ),
    unique_by=lambda each: each[0],
    max_size=len(few),
)


def reach(graph):
    """Who is reached from whom by one step or more."""
    found = {id: set(others) for id, others in graph.items()}
    for middle, begin in itertools.product(graph, graph):  # Warshall
        if middle in found[begin]:
            found[begin] |= found[middle]
    return found


def largest(records, allowed):
    """The largest set of extensions that have all that they need in it; of all sets, the union is one."""
    subsets = itertools.chain.from_iterable(
        itertools.combinations(sorted(allowed), size) for size in range(len(allowed) + 1)
    )
    closed = (
        set(subset)
        for subset in subsets
        if all(
            need.optional or (need.met and need.id in subset)
            for id in subset
            for need in records[id].requires
        )
    )
    return set().union(*closed)


@settings(max_examples=EXAMPLES)
@given(small, st.sets(st.sampled_from(few), max_size=1))
def test_it_agrees_with_trying_every_set_and_every_circle(drawn, off):
    present = {id for id, *_ in drawn}
    records = {
        id: record(
            id,
            *(
                needs(other, "1.0" if other in present else "", optional=optional, met=met)
                for other, optional, met in wants
            ),
            after=tuple(sorted(after)),
            fault={"message": "broken"} if fault else None,
        )
        for id, wants, after, fault in drawn
    }
    resolution = resolve(records.values(), dict.fromkeys(off, "off"))
    candidates = {id for id, each in records.items() if not each.fault and id not in off}

    def graph(among, hard):
        return {
            id: {need.id for need in records[id].requires if need.met and not (hard and need.optional)}
            & among
            | (set() if hard else set(records[id].after) & among)
            for id in among
        }

    reached = reach(graph(candidates, hard=True))
    circles = {id for id in candidates if id in reached[id]}
    left = largest(records, candidates - circles)
    reached = reach(graph(left, hard=False))
    circles |= {id for id in left if id in reached[id]}
    usable = largest(records, left - circles)
    before = graph(usable, hard=False)

    def level(id):
        return 1 + max((level(other) for other in before[id]), default=0)

    assert resolution.order == tuple(sorted(usable, key=lambda id: (level(id), id)))
    assert codes(resolution) == {
        id: [
            *(
                "SYM-E024" if need.found else "SYM-E023"
                for need in records[id].requires
                if not (need.optional or need.met)
            ),
            *(["SYM-E025"] if id in circles else []),
            *(
                "SYM-E026"
                for need in records[id].requires
                if need.met
                and not need.optional
                and need.id not in usable
                and not (id in circles and need.id in circles)
            ),
        ]
        for id in candidates - usable
    }


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
