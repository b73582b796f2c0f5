"""The timeline of a run: what the events say ran when, in which row it lies, and how it is drawn."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_host.run_shape import RunShape
from symphony_host.timeline import Bar, Pause, Timeline, timeline_of, to_html, to_svg
from symphony_host.timeline.chart import layout_of, pieces, ticks
from symphony_host.timeline.rows import MOST, rows_of
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
)

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine, examples take as long as they take."""

BEGIN = 1_700_000_000.0
ERROR = ErrorPayload("ACME-1", "it broke")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>]]>&amp;\u2028</title>"


def event(kind: Any, at: float, **fields: Any) -> RunEvent:
    return kind(run="r-1", sequence=1, at=BEGIN + at, **fields)


@pytest.fixture(scope="module")
def shape() -> RunShape:
    """`read` before `left` and `right`, these before `join`; `ask` after it, and `each` alone."""
    uses = {
        "read": "acme.text.read",
        "left": "acme.text.count",
        "right": "acme.text.count",
        "join": "acme.text.join",
    }
    return RunShape.of_document(
        {
            "schema": 1,
            "id": "flow",
            "nodes": {
                **{name: {"kind": "operator", "uses": operation} for name, operation in uses.items()},
                "ask": {"kind": "control", "control": "approval", "prompt": "Go on?"},
                "each": {"kind": "control", "control": "map", "uses": "acme.text.count", "over": "page"},
            },
            "edges": [
                {"from": source, "to": target, "kind": "control"}
                for source, target in (
                    ("read", "left"),
                    ("read", "right"),
                    ("left", "join"),
                    ("right", "join"),
                    ("join", "ask"),
                )
            ],
        }
    )


EVENTS = [
    event(RunStarted, 0, workflow="flow", nodes=6),
    event(NodeStarted, 0, node="read"),
    event(NodeCompleted, 1, node="read", seconds=1.0, place="gpu-1"),
    event(NodeStarted, 1, node="left"),
    event(NodeRetrying, 2, node="left", attempt=1, delay=0.5, error=ERROR, place="gpu-2"),
    event(NodeStarted, 2, node="right"),
    event(NodeStarted, 2.5, node="left", attempt=2),
    event(NodeCompleted, 3, node="left", seconds=2.0, place="gpu-1"),
    event(RunPaused, 4, reason="paused by ada"),
    event(RunResumed, 9),
    event(NodeStarted, 9.5, node="right", attempt=1),
    event(NodeCompleted, 11, node="right", seconds=1.5, place="gpu-2"),
    event(NodeReused, 11, node="join", origin="r-0"),
    event(NodeStarted, 11, node="ask"),
    event(NodeWaiting, 11, node="ask", prompt="Go on?"),
]


PATH = ["read", "right", "ask"]


def told(timeline: Timeline) -> list[tuple[str, str, float, float]]:
    return [(bar.node, bar.state, round(bar.start, 3), round(bar.end, 3)) for bar in timeline.bars]


def test_every_attempt_is_a_bar_of_its_own(shape: RunShape) -> None:
    timeline = timeline_of([*EVENTS, event(NodeCompleted, 15, node="ask", seconds=4.0)], shape)
    assert told(timeline) == [
        ("read", "completed", 0, 1),
        ("left", "retried", 1, 2),
        ("right", "stopped", 2, 4),
        ("left", "completed", 2.5, 3),
        ("right", "completed", 9.5, 11),
        ("join", "reused", 11, 11),
        ("ask", "waiting", 11, 15),
    ]
    assert timeline.pauses == [Pause(4, 9, "paused by ada")]
    assert (timeline.run, timeline.workflow, timeline.nodes, timeline.seconds) == ("r-1", "flow", 6, 15)
    assert [bar.attempt for bar in timeline.bars if bar.node == "left"] == [1, 2]
    assert (timeline.bars[1].note, timeline.bars[1].place) == ("it broke", "gpu-2")
    assert timeline.bars[0].place == "gpu-1"


def test_a_bar_knows_for_how_long_it_had_waited(shape: RunShape) -> None:
    ready = {
        (bar.node, bar.attempt): bar.ready
        for bar in timeline_of(EVENTS, shape).bars
        if bar.state != "stopped"
    }
    assert ready["left", 1] == 1
    assert ready["left", 2] == 2.5
    assert ready["right", 1] == 9  # since the run went on


def test_every_attempt_at_a_node_on_the_critical_path_is_marked_and_no_item(shape: RunShape) -> None:
    item = event(ItemCompleted, 11, node="each", item=0, seconds=1.0)
    timeline = timeline_of([*EVENTS, item], shape, ["read", "right", "each"], BEGIN + 12)
    assert timeline.path == ["read", "right", "each"]
    marked = [(bar.node, bar.start) for bar in timeline.bars if bar.critical]
    assert marked == [("read", 0), ("right", 2), ("right", 9.5)]


def test_what_still_runs_reaches_to_now_and_what_died_does_not(shape: RunShape) -> None:
    begun = EVENTS[:2]
    assert told(timeline_of(begun, shape, now=BEGIN + 7)) == [("read", "running", 0, 7)]
    assert told(timeline_of(begun, shape)) == [("read", "stopped", 0, 0)]
    killed = [*begun, event(NodeReused, 2, node="join", origin="r-0"), event(RunResumed, 6)]
    timeline = timeline_of([*killed, event(NodeStarted, 6, node="read")], shape, now=BEGIN + 8)
    assert told(timeline)[0] == ("read", "stopped", 0, 2)
    assert timeline.pauses == [Pause(2, 6, "its process had ended")]


def test_items_of_a_fan_out_are_bars_and_a_clock_that_is_set_back_stands_still(shape: RunShape) -> None:
    timeline = timeline_of(
        [
            event(RunStarted, 0, workflow="flow", nodes=6),
            event(NodeStarted, 1, node="each", items=3),
            event(ItemCompleted, 3, node="each", item=0, seconds=1.5),
            event(ItemCompleted, 2, node="each", item=1, seconds=0.5, error=ERROR),
            event(ItemCompleted, 3, node="each", item=2, seconds=9.0, origin="r-0"),
            event(NodeCompleted, 4, node="each", seconds=3.0),
        ],
        shape,
    )
    assert [(bar.item, bar.state, bar.start, bar.end) for bar in timeline.bars] == [
        (-1, "completed", 1, 4),
        (0, "completed", 1.5, 3),
        (1, "failed", 2.5, 3),
        (2, "reused", 3, 3),
    ]


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (event(RunFailed, 20, error=ERROR), "failed"),
        (event(RunCancelled, 20), "cancelled"),
        (event(RunCompleted, 20, seconds=20.0), "completed"),
        (event(RunPaused, 20), "paused"),
    ],
)
def test_a_run_that_has_ended_says_how(shape: RunShape, last: RunEvent, state: str) -> None:
    timeline = timeline_of([*EVENTS, event(NodeSkipped, 12, node="each", reason="no"), last], shape)
    assert (timeline.state, timeline.seconds, timeline.skipped) == (state, 20, 1)


times = st.floats(0, 100, allow_nan=False)
bars = st.lists(
    st.builds(
        lambda start, took, place, control: Bar(
            "n", "acme.text.a", "completed", start, start + took, place=place, control=control
        ),
        times,
        st.one_of(st.just(0.0), st.floats(0, 10, allow_nan=False)),
        st.sampled_from(["", "gpu-1", "gpu-2"]),
        st.booleans(),
    ),
    max_size=40,
).map(lambda some: sorted(some, key=lambda bar: (bar.start, bar.end)))


@PATIENT
@given(bars)
def test_no_bar_overlaps_another_in_its_row_and_none_is_lost(some: list[Bar]) -> None:
    rows = rows_of(some)
    assert sorted(map(id, some)) == sorted(id(bar) for row in rows for bar in row.bars)
    for row in rows:
        assert all(one.end <= other.start for one, other in zip(row.bars, row.bars[1:], strict=False))
    for place in {(bar.control, bar.place) for bar in some}:
        here = [bar for bar in some if (bar.control, bar.place) == place]
        at_once = [[one for one in here if one.start <= bar.start < one.end] for bar in here]
        count = sum((row.bars[0].control, row.bars[0].place) == place for row in rows)
        assert max(map(len, at_once)) <= count <= max(1, 1 + max(map(len, at_once)))


def test_more_rows_than_can_be_seen_are_shared() -> None:
    rows = rows_of([Bar(f"n{number}", "acme.text.a", "running", 0.0, 1.0) for number in range(1000)])
    assert len(rows) <= MOST
    assert sum(len(row.bars) for row in rows) == 1000


@PATIENT
@given(bars, st.floats(0.001, 1000))
def test_whatever_is_drawn_together_every_bar_is_drawn_once(some: list[Bar], scale: float) -> None:
    for row in rows_of(some):
        drawn = list(pieces(row.bars, 10.0, scale, 2.0))
        assert [id(bar) for piece in drawn for bar in piece.bars] == [id(bar) for bar in row.bars]
        assert all(len(piece.bars) == 1 or piece.end - piece.x < 20 for piece in drawn)


@PATIENT
@given(st.floats(1e-4, 1e7))
def test_ticks_are_round_and_few(whole: float) -> None:
    found = list(ticks(whole, 12))
    assert 1 <= len(found) <= 40 or whole > 1e6
    assert found[0][0] == 0
    assert all(at <= whole for at, _ in found)


NAMES = ["read", "left", "right", "join", "ask", "each", "each[0]/inner"]
random_events = st.lists(
    st.one_of(
        st.builds(lambda at, node: event(NodeStarted, at, node=node), times, st.sampled_from(NAMES)),
        st.builds(
            lambda at, node: event(NodeCompleted, at, node=node, seconds=2.0, work=3.0),
            times,
            st.sampled_from(NAMES),
        ),
        st.builds(
            lambda at, node: event(NodeFailed, at, node=node, error=ERROR), times, st.sampled_from(NAMES)
        ),
        st.builds(
            lambda at, node: event(NodeRetrying, at, node=node, attempt=1, delay=1.0, error=ERROR),
            times,
            st.sampled_from(NAMES),
        ),
        st.builds(
            lambda at, node: event(NodeWaiting, at, node=node, prompt="?"), times, st.sampled_from(NAMES)
        ),
        st.builds(lambda at: event(RunPaused, at), times),
        st.builds(lambda at: event(RunResumed, at), times),
    ),
    max_size=30,
)


@PATIENT
@given(random_events, st.booleans())
def test_whatever_the_events_every_bar_lies_within_the_run(
    shape: RunShape, some: list[RunEvent], going: bool
) -> None:
    timeline = timeline_of(some, shape, NAMES, BEGIN + 200 if going else None)
    assert all(0 <= bar.ready <= bar.start <= bar.end <= timeline.seconds for bar in timeline.bars)
    assert all(0 <= pause.start < pause.end <= timeline.seconds for pause in timeline.pauses)
    assert all(bar.critical for bar in timeline.bars if bar.item < 0 and bar.node in NAMES)
    ET.fromstring(to_svg(timeline))


# -- the drawings -------------------------------------------------------------------------------------


@pytest.fixture
def hostile() -> Timeline:
    """A run all of whose texts would be code if they were not escaped."""
    some = [
        Bar(f"{state}{HOSTILE}", HOSTILE, state, number, number + 0.9, 2, number - 0.5, HOSTILE, HOSTILE)
        for number, state in enumerate(
            ("completed", "failed", "retried", "running", "waiting", "reused"), start=1
        )
    ]
    for bar in some:
        bar.critical = True
    return Timeline(
        HOSTILE, HOSTILE, HOSTILE, BEGIN, 10.0, some, [Pause(8, 9, HOSTILE)], [bar.node for bar in some], 6
    )


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            number = len(self.elements) - 1
            self.texts[number] = self.texts.get(number, "") + data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, self.texts.get(number, ""))
            for number, (name, attributes) in enumerate(self.elements)
            if name == tag
        ]


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_lets_nothing_run_but_its_own_script(hostile: Timeline) -> None:
    page = Page(to_html(hostile))
    data, script = page.of("script")
    assert data[0]["type"] == "application/json"
    assert json.loads(data[1])["rows"][0]["bars"][0][3] == f"completed{HOSTILE}"
    [(_, style)] = page.of("style")
    policy = page.of("meta")[1][0]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src {hash_of(script[1])}" in policy
    assert f"style-src {hash_of(style)}" in policy
    assert "unsafe" not in policy
    assert not [tag for tag, _ in page.elements if tag in ("img", "link", "iframe", "a", "object", "base")]
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("href", "src", "style")]


def test_a_picture_holds_shapes_and_text_alone(hostile: Timeline) -> None:
    root = ET.fromstring(to_svg(hostile))
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "style", "rect", "text", "path", "g"}
    for element in root.iter():
        assert not [
            name for name in element.attrib if name.startswith("on") or "href" in name or name == "style"
        ]
    texts = "".join(root.itertext())
    assert "<script>" in texts  # as text, which is harmless
    assert root.get("role") == "img"


def test_a_picture_shows_what_failed_waited_paused_and_was_critical(shape: RunShape) -> None:
    timeline = timeline_of(EVENTS, shape, PATH, BEGIN + 12)
    root = ET.fromstring(to_svg(timeline))
    classes = [element.get("class") for element in root.iter()]
    for wanted in ("bad", "ask", "reused", "pause", "queue", "path", "link", "load"):
        assert wanted in classes, wanted
    assert any("stopped" in (css or "") for css in classes)
    notes = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(note.startswith("left\nacme.text.count") and "failed, tried again" in note for note in notes)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"gpu-1", "gpu-2", "control", "failed attempt", "critical path"} <= set(texts)


def test_a_page_has_tables_for_those_who_cannot_see_it(shape: RunShape) -> None:
    page = to_html(timeline_of(EVENTS, shape, PATH, BEGIN + 12))
    assert re.findall("<caption>([^<]*)", page) == [
        "The 20 that took longest",
        "The critical path: 5.50 s of 12.0 s",
    ]
    assert page.count('<th scope="row">read</th>') == 2
    assert 'role="img"' in page


def test_ten_thousand_nodes_make_a_small_file() -> None:
    some = [
        Bar(f"n{number}", f"acme.text.a{number % 12}", "completed", turn / 100, (turn + 1) / 100)
        for number in range(10_000)
        for turn in (number // 16,)
    ]
    timeline = Timeline("r-1", "large", "completed", BEGIN, 7.0, some, nodes=10_000)
    assert len(to_html(timeline)) < 2_000_000
    assert len(to_svg(timeline)) < 1_500_000
    assert len(layout_of(timeline).rows) == 16


def test_an_empty_run_is_drawn() -> None:
    assert ET.fromstring(to_svg(Timeline("r-1", "empty", begin=BEGIN))) is not None
    assert "<table>" in to_html(Timeline("r-1", "empty", begin=BEGIN))
