"""What a run looks like while it goes on, and the small texts around it."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from symphony_core import Outcome
from symphony_host.cli.displays import PlainLines
from symphony_host.cli.live import LivePicture
from symphony_host.cli.results import Result
from symphony_host.cli.run_view import RunView
from symphony_host.cli.shell import Shell
from symphony_host.cli.summary import print_summary
from symphony_host.cli.text import clean, columns, seconds, size
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    RunEvent,
    RunResumed,
    RunStarted,
)
from symphony_sdk.ports import NodeStatus, RunStatus

ERROR = ErrorPayload("ACME-1", "it broke\nbadly", hint="Mend it.")


def event(kind: Any, at: float = 100.0, **fields: Any) -> RunEvent:
    return kind(run="r", sequence=1, at=at, **fields)


def statuses(number: int) -> list[NodeStatus]:
    return [NodeStatus(f"n{index}", "pending") for index in range(number)]


EVENTS = [
    event(RunStarted, workflow="w", nodes=3),
    event(NodeStarted, node="n0"),
    event(NodeProgressed, node="n0", fraction=0.5, text="half\x1b[31m way"),
    event(NodeCompleted, at=101.0, node="n0", seconds=1.0),
    event(NodeStarted, at=101.0, node="n1", items=20),
    *(event(ItemCompleted, at=102.0, node="n1", item=item) for item in range(10)),
    event(NodeRetrying, at=102.0, node="n1", attempt=1, delay=0.5, error=ERROR, item=3),
    event(NodeFailed, at=103.0, node="n1", error=ERROR),
    event(NodeSkipped, at=103.0, node="n2", reason="n1 failed"),
]


def test_plain_lines_tell_each_node_of_a_small_run(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainLines(RunView(statuses(3)))
    with display:
        for each in EVENTS:
            display.see(each)
    assert capsys.readouterr().out.splitlines() == [
        "n0  started",
        "n0  completed in 1.00 s",
        "n1  started 20 items",
        *(f"n1  {done} of 20" for done in (2, 4, 6, 8, 10)),
        "n1  attempt 1 failed, next in 0.50 s: [ACME-1] it broke",
        "n1  failed: [ACME-1] it broke",
        "n2  skipped: n1 failed",
    ]


def test_plain_lines_of_a_large_run_tell_tenths_and_failures_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = PlainLines(RunView(statuses(10_000)))
    for index in range(10_000):
        display.see(event(NodeStarted, node=f"n{index}"))
        if index == 7:
            display.see(event(NodeFailed, node="n7", error=ERROR))
        else:
            display.see(event(NodeCompleted, node=f"n{index}", seconds=0.1))
    assert capsys.readouterr().out.splitlines() == [
        "n7  failed: [ACME-1] it broke",
        *(f"nodes  {done:,} of 10,000" for done in range(1000, 10_000, 1000)),
    ]


def drawn(picture: LivePicture, console: Console, now: float) -> str:
    console.print(picture.picture(now))
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_the_live_picture_has_a_row_for_each_node_of_a_small_run() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    picture = LivePicture(RunView(statuses(3)), console)
    with picture:
        for each in EVENTS[:9]:
            picture.see(each)
        picture.refresh()
    rows = [line.rstrip() for line in drawn(picture, console, 104.0).splitlines() if " n" in line]
    assert "n0" in rows[0]
    assert "completed" in rows[0]
    assert "4/20" in rows[1]
    assert "3.00 s" in rows[1]
    assert "pending" in rows[2]


def test_the_live_picture_of_ten_thousand_nodes_fits_a_screen() -> None:
    console = Console(file=io.StringIO(), width=120)
    picture = LivePicture(RunView(statuses(10_000)), console)
    picture.see(event(RunStarted, workflow="w", nodes=10_000))
    for index in range(5000):
        picture.see(event(NodeStarted, node=f"n{index}"))
        if index < 4900:
            picture.see(event(NodeCompleted, node=f"n{index}", seconds=0.1))
    text = drawn(picture, console, 104.0)
    assert "4,900 of 10,000, 100 running" in text
    assert "more at work" in text
    assert len(text.splitlines()) <= 24


def test_foreign_text_cannot_move_the_cursor() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    picture = LivePicture(RunView(statuses(3)), console)
    for each in EVENTS[:3]:
        picture.see(each)
    assert "\x1b" not in drawn(picture, console, 101.0)
    assert clean("a\x1b[2Jb\r\nc\u202e") == "a [2Jb  c"


def test_a_resumed_run_begins_with_what_was_done() -> None:
    view = RunView([NodeStatus("n0", "completed", 1, 1, 1, 2.0), NodeStatus("n1", "failed", 1, 5, 20)])
    view.see(event(RunResumed, completed=1))
    view.see(event(NodeStarted, node="n1", attempt=2, items=20))
    view.see(event(ItemCompleted, node="n1", item=9))
    assert view.finished == 1
    assert (view.nodes["n1"].done, view.nodes["n1"].total, view.nodes["n1"].attempt) == (6, 20, 2)
    assert view.nodes["n1"].share == 0.3


node_events = st.builds(
    lambda kind, node: event(kind[0], node=node, **kind[1]),
    st.sampled_from(
        [
            (NodeStarted, {}),
            (NodeStarted, {"items": 3}),
            (NodeProgressed, {"fraction": 2.0}),
            (ItemCompleted, {"item": 1}),
            (NodeCompleted, {"seconds": 1.0}),
            (NodeRetrying, {"attempt": 1, "delay": 0.0, "error": ERROR}),
            (NodeFailed, {"error": ERROR}),
            (NodeSkipped, {"reason": "why"}),
        ]
    ),
    st.sampled_from(["a", "b", "unheard-of"]),
)


@given(st.lists(node_events, max_size=40))
def test_whatever_the_events_the_counts_are_those_of_the_nodes(events: list[RunEvent]) -> None:
    view = RunView([NodeStatus("a", "pending"), NodeStatus("b", "pending")])
    for each in events:
        view.see(each)
    assert sum(view.counts.values()) == len(view.nodes)
    for state, count in view.counts.items():
        assert count == sum(node.state == state for node in view.nodes.values())
    assert set(view.active) == {
        id for id, node in view.nodes.items() if node.state in ("running", "retrying")
    }
    assert all(0.0 <= node.share <= 1.0 for node in view.nodes.values())


def test_the_summary_of_a_large_run_tells_failures_and_the_slowest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = [NodeStatus(f"n{index}", "completed", 1, 1, 1, index / 1000) for index in range(10_000)]
    nodes[3] = NodeStatus("n3", "failed", 2, 0, 1, 0.001, ERROR)
    status = RunStatus("r", "w", "failed", 1.0, 75.0, tuple(nodes), 9, ErrorPayload("SYM-R001", "n3 failed"))
    print_summary(Shell(), Outcome(status), [])
    captured = capsys.readouterr()
    assert "n3 " in captured.out
    assert "n9999" in captured.out
    assert len(captured.out.splitlines()) < 30
    assert "9,999 completed, 1 failed in all" in captured.out
    assert "error[ACME-1]: it broke\n  badly\n  hint: Mend it." in captured.err
    assert "symphony resume r" in captured.out


def test_a_long_value_is_cut_and_a_missing_one_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    status = RunStatus("r", "w", "completed", 1.0, 5.0)
    print_summary(Shell(), Outcome(status), [Result("a", "x" * 500, size=502), Result("b", None, size=1)])
    out = capsys.readouterr().out
    assert "x... (502 B)" in out
    assert "b  null" in out


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.004, "0.00 s"), (9.99, "9.99 s"), (42.0, "42.0 s"), (185, "3 min 05 s"), (7260, "2 h 01 min")],
)
def test_durations_are_told_with_a_fitting_unit(amount: float, text: str) -> None:
    assert seconds(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (5 << 50, "5120.0 TiB")],
)
def test_sizes_are_told_with_a_fitting_unit(amount: int, text: str) -> None:
    assert size(amount) == text


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=5))
def test_columns_give_a_line_for_each_row_of_any_text(rows: list[list[str]]) -> None:
    lines = columns(rows)
    assert len(lines) == len(rows)
    assert all(line.isprintable() for line in lines)
