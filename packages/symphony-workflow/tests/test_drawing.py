"""Pictures of workflows: complete, harmless whatever an author wrote, and never wider than there is room."""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_workflow import (
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Expression,
    JoinNode,
    MapNode,
    OperatorNode,
    RetryPolicy,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.drawing import draw_graph, draw_tree, to_dot, to_mermaid, to_svg
from symphony_workflow.drawing.figure import figures
from symphony_workflow.drawing.layers import layers, place
from symphony_workflow.drawing.text import shorten, width
from symphony_workflow.testing import examples, texts, workflows

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert(1)</script>"; click n0 "javascript:alert(1)"\n%%{init}%%\\"]|`\x1b[2J\u202e\u2066&#x0;\0'


def operator(id: str, **fields: object) -> OperatorNode:
    return OperatorNode(id=id, uses="acme.text.tool", **fields)  # type: ignore[arg-type]


def chain(count: int) -> Workflow:
    ids = [f"n{number}" for number in range(count)]
    edges = tuple(DataEdge(one, "out", other, "in") for one, other in pairwise(ids))
    return Workflow(id="chain", nodes=tuple(operator(id) for id in ids), edges=edges)


REVIEWS = Workflow(
    id="reviews",
    name="Sort reviews",
    inputs=(WorkflowInput("path", {"type": "string"}),),
    nodes=(
        operator("walk", params={"include": ["*.txt"], "size": Expression("1 + 2")}, timeout=2.5),
        MapNode(id="mood", uses="#rate", over="text", retry=RetryPolicy(3)),
        BranchNode(id="good", condition="mean > 0.5"),
        operator("thank"),
        operator("alarm"),
        JoinNode(id="all"),
    ),
    edges=(
        DataEdge("$inputs", "path", "walk", "path"),
        DataEdge("walk", "files", "mood", "text"),
        DataEdge("mood", "results", "good", "value"),
        DataEdge("good", "then", "thank", "text"),
        ConditionalEdge("walk", "alarm", "count == 0"),
        DataEdge("thank", "id", "all", "thanked"),
        ControlEdge("alarm", "all"),
    ),
    outputs=(WorkflowOutput("ids", "all", "values"),),
    workflows=(Workflow(id="rate", nodes=(operator("score"),)),),
)

TREE = """\
reviews: Sort reviews
inputs
  path: string
nodes
  ● walk  operator acme.text.tool
  │   path ← inputs.path
  │   include = ["*.txt"]
  │   size = {1 + 2}
  │   ends after 2.5 s
  ├─● alarm  operator acme.text.tool
  │     after walk if count == 0
  ◇ mood  map #rate
  │   for each text
  │   text ← walk.files
  │   tried up to 3 times
  ◇ good  branch
  │   if mean > 0.5
  │   value ← mood.results
  ● thank  operator acme.text.tool
  │   text ← good.then
  ◇ all  join
      wait for all
      thanked ← thank.id
      after alarm
outputs
  ids = all.values

#rate
  nodes
    ● score  operator acme.text.tool
"""


def test_the_tree_tells_everything_in_the_order_of_running() -> None:
    assert draw_tree(REVIEWS) == TREE


def test_the_graph_is_drawn_with_boxes_by_kind_and_lines_by_meaning() -> None:
    drawn = draw_graph(REVIEWS, 100)
    assert drawn.startswith("reviews: Sort reviews\n")
    assert "║ map #rate ║" in drawn
    assert "┆ if count == 0" in drawn
    assert drawn.count("▼") == sum(len(figure.lines) for figure in figures(REVIEWS))
    assert "\n\n#rate\n" in drawn


def test_crossing_lines_pass_over_each_other_and_branching_ones_are_joined() -> None:
    nodes = tuple(operator(id) for id in ("a", "b", "c", "d"))
    edges = tuple(ControlEdge(one, other) for one in "ab" for other in "cd")
    drawn = draw_graph(Workflow(id="cross", nodes=nodes, edges=edges), 100).split("\n")
    assert sum(line.count("▼") for line in drawn) == 4
    assert any(mark in line for line in drawn for mark in "┬┴├┤")


def test_a_graph_that_is_too_wide_is_drawn_as_a_tree() -> None:
    wide = Workflow(id="wide", nodes=tuple(operator(f"n{number}") for number in range(9)))
    assert draw_graph(wide, 60) == draw_tree(wide)
    assert draw_graph(wide, 400) != draw_tree(wide)


def test_a_cycle_is_drawn_with_an_arrow_that_leads_up() -> None:
    edges = (ControlEdge("a", "b"), ControlEdge("b", "c"), ControlEdge("c", "a"), ControlEdge("b", "b"))
    ring = Workflow(id="ring", nodes=tuple(operator(id) for id in "abc"), edges=edges)
    drawn = draw_graph(ring, 100)
    assert drawn.count("▲") == 1
    assert drawn.count("▼") == 2
    assert all(f"● {id}" in draw_tree(ring) for id in "abc")
    assert to_svg(ring).count("<path") == 6


def test_edges_from_and_to_what_there_is_not_are_drawn_and_listed() -> None:
    flow = Workflow(
        id="open",
        nodes=(operator("a"),),
        edges=(DataEdge("ghost", "out", "a", "in"), ControlEdge("a", "nowhere")),
    )
    assert "edges that lead to no node\n  nowhere: after a" in draw_tree(flow)
    for drawn in (draw_graph(flow, 100), to_dot(flow), to_mermaid(flow), to_svg(flow)):
        assert "ghost" in drawn
        assert "nowhere" in drawn


def test_a_long_chain_stays_in_one_column_of_the_tree() -> None:
    assert max(len(line) for line in draw_tree(chain(3000)).split("\n")) < 40


def test_an_empty_workflow_has_pictures_too() -> None:
    empty = Workflow(id="empty")
    assert draw_tree(empty) == "empty\nno nodes\n"
    assert draw_graph(empty, 80) == "empty\n"
    assert ET.fromstring(to_svg(empty)).get("viewBox")


def hostile() -> Workflow:
    return Workflow(
        id=HOSTILE,
        name=HOSTILE,
        inputs=(WorkflowInput(HOSTILE, {"type": HOSTILE}, description=HOSTILE),),
        nodes=(
            OperatorNode(id="a", uses=HOSTILE, label=HOSTILE, params={HOSTILE: HOSTILE}),
            BranchNode(id=HOSTILE, condition=HOSTILE, label=HOSTILE),
        ),
        edges=(
            DataEdge("a", HOSTILE, HOSTILE, HOSTILE),
            ConditionalEdge("b", "a", HOSTILE),
            DataEdge("$inputs", HOSTILE, "a", HOSTILE),
        ),
        outputs=(WorkflowOutput(HOSTILE, "a", HOSTILE),),
        workflows=(Workflow(id=HOSTILE),),
    )


def harmless_in_a_terminal(drawn: str) -> None:
    strange = {char for char in drawn if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert strange <= {"\n"}


_SVG_PARTS = {f"{SVG}{name}" for name in ("svg", "style", "rect", "g", "title", "path", "text", "polygon")}
_SVG_ATTRIBUTES = {
    "width",
    "height",
    "viewBox",
    "role",
    "aria-label",
    "class",
    "x",
    "y",
    "rx",
    "d",
    "points",
    "text-anchor",
}


def harmless_as_svg(drawn: str) -> None:
    for part in ET.fromstring(drawn).iter():
        assert part.tag in _SVG_PARTS
        assert part.attrib.keys() <= _SVG_ATTRIBUTES


def harmless_as_dot(drawn: str) -> None:
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", drawn)
    assert not re.sub(r"[A-Za-z_0-9\s={}\[\],>-]", "", outside)
    assert '"' not in outside


_MERMAID = re.compile(
    r"""---|title:\ "(?:[^"\\]|\\.)*"|flowchart\ TD|\s+end|\s+classDef\ \w+\ [\w:#,-]+
    |\s+subgraph\ w\d+\ \["[^"]*"\]
    |\s+(?:w\d+)?n\d+[\[({\\/]+"[^"`<>&\[\]{}|\\]*(?:<br/>[^"`<>&\[\]{}|\\]*)?"[\])}\\/]+:::\w+
    |\s+(?:w\d+)?n\d+\ -\.?->(?:\|"[^"`<>&\[\]{}|\\]*"\|)?\ (?:w\d+)?n\d+""",
    re.VERBOSE,
)


def harmless_as_mermaid(drawn: str) -> None:
    for line in drawn.removesuffix("\n").split("\n"):
        assert _MERMAID.fullmatch(line), line


CHECKED: list[tuple[Callable[[Workflow], str], Callable[[str], None]]] = [
    (draw_tree, harmless_in_a_terminal),
    (lambda flow: draw_graph(flow, 100_000), harmless_in_a_terminal),
    (to_dot, harmless_as_dot),
    (to_mermaid, harmless_as_mermaid),
    (to_svg, harmless_as_svg),
]


@pytest.mark.parametrize(("draw", "check"), CHECKED, ids=["tree", "graph", "dot", "mermaid", "svg"])
def test_hostile_names_change_nothing_but_words(
    draw: Callable[[Workflow], str], check: Callable[[str], None]
) -> None:
    drawn = draw(hostile())
    check(drawn)
    harmless_in_a_terminal(drawn)


@given(workflows())
@settings(max_examples=examples(20), deadline=None)
def test_every_workflow_can_be_drawn_and_shows_each_node_once(workflow: Workflow) -> None:
    for draw, check in CHECKED:
        check(draw(workflow))
    tree = draw_tree(workflow)
    heads = re.findall(r"^[ │├─]*[●◆◇] (\S+)", tree, re.MULTILINE)
    assert sorted(heads) == sorted(node.id for one in (workflow, *workflow.workflows) for node in one.nodes)
    boxes = sum(len(figure.boxes) for figure in figures(workflow))
    assert to_svg(workflow).count('class="n"') == boxes


@given(workflows(acyclic=True), st.integers(30, 120))
@settings(max_examples=examples(15), deadline=None)
def test_a_graph_is_never_wider_than_there_is_room(workflow: Workflow, columns: int) -> None:
    drawn = draw_graph(workflow, columns)
    if drawn != draw_tree(workflow):
        titles = {figure.title for figure in figures(workflow)}
        assert all(width(line) <= columns for line in drawn.split("\n") if line not in titles)


@given(workflows(most=8), st.floats(0, 9))
@settings(max_examples=examples(20), deadline=None)
def test_boxes_of_a_layer_never_overlap_and_lines_lead_down(workflow: Workflow, gap: float) -> None:
    for figure in figures(workflow):
        found = layers(figure)
        widths = [3.0 + len(box.name) for box in figure.boxes] + [1.0] * found.bends
        middle = place(found, widths, gap)
        level = {cell: number for number, row in enumerate(found.rows) for cell in row}
        assert sorted(level) == list(range(len(widths)))
        for row in found.rows:
            for one, other in pairwise(row):
                assert middle[other] - widths[other] / 2 >= middle[one] + widths[one] / 2 + gap - 1e-6
        for path in found.paths:
            assert [level[cell] for cell in path] == list(range(level[path[0]], level[path[-1]] + 1))


def test_lines_that_need_not_cross_do_not() -> None:
    nodes = tuple(operator(id) for id in ("a", "b", "c", "x", "y", "z"))
    edges = (ControlEdge("a", "z"), ControlEdge("b", "y"), ControlEdge("c", "x"))
    (figure,) = figures(Workflow(id="turned", nodes=nodes, edges=edges))
    upper, lower = layers(figure).rows
    assert [{0: 5, 1: 4, 2: 3}[cell] for cell in upper] == lower


@given(texts(40), st.integers(1, 30))
@settings(max_examples=examples(40), deadline=None)
def test_a_shortened_text_fits_and_is_harmless(text: str, most: int) -> None:
    short = shorten(text, most)
    assert width(short) <= most
    harmless_in_a_terminal(short)


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert shorten("日本語", 5) == "日本…"
    flow = Workflow(id="wide", nodes=(operator("a", label="日本e\u0301"),))
    top, name, *_ = draw_graph(flow, 80).split("\n")[1:]
    assert width(name) == width(top)


def test_with_very_many_bends_lines_cross_the_layers_straight() -> None:
    nodes = chain(300).nodes
    edges = (*chain(300).edges, *(ControlEdge("n0", f"n{number}") for number in range(2, 300)))
    (figure,) = figures(Workflow(id="fan", nodes=nodes, edges=edges))
    assert layers(figure).bends == 0
