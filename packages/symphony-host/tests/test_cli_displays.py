"""What a run looks like while it goes on, and the small texts around it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_core import Outcome
from symphony_host.cli.displays import PlainLines
from symphony_host.cli.results import Result
from symphony_host.cli.run_view import RunView
from symphony_host.cli.shell import Shell
from symphony_host.cli.summary import print_summary
from symphony_host.cli.text import columns, seconds, size
from symphony_host.run_shape import RunShape
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunEvent,
    RunResumed,
    RunStarted,
)
from symphony_sdk.ports import NodeStatus, RunStatus
from symphony_sdk.ports.pit import Progress

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine, examples take as long as they take."""

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


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_of_a_large_run_tell_twentieths_and_failures_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = PlainLines(RunView(statuses(10_000)), Clock())
    for index in range(10_000):
        display.see(event(NodeStarted, node=f"n{index}"))
        if index == 7:
            display.see(event(NodeRetrying, node="n7", attempt=1, delay=0.1, error=ERROR))
            display.see(event(NodeFailed, node="n7", error=ERROR))
        else:
            display.see(event(NodeCompleted, node=f"n{index}", seconds=0.1))
    assert capsys.readouterr().out.splitlines() == [
        "n7  failed: [ACME-1] it broke",
        *(
            f"{done:,} of 10,000 nodes ({done // 100} %), 1 failed, 1 retried"
            for done in range(500, 10_000, 500)
        ),
    ]


def test_plain_lines_of_a_large_run_in_which_nothing_ends_say_so_every_half_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    display = PlainLines(RunView(statuses(1000)), clock)
    display.see(event(NodeStarted, node="n0"))
    display.estimate(Progress(0, 1000, 0.0, 1000.0, 0.0, 90.0))
    for _ in range(61):
        display.refresh()
        clock.now += 1
    assert capsys.readouterr().out.splitlines() == [
        "0 of 1,000 nodes (0 %), 1 running, about 60.0 s left",
        "0 of 1,000 nodes (0 %), 1 running, about 30.0 s left",
    ]


def test_a_resumed_run_begins_with_what_was_done() -> None:
    view = RunView([NodeStatus("n0", "completed", 1, 1, 1, 2.0), NodeStatus("n1", "failed", 1, 5, 20)])
    view.see(event(RunResumed, completed=1))
    view.see(event(NodeStarted, node="n1", attempt=2, items=20))
    view.see(event(ItemCompleted, node="n1", item=9))
    assert view.finished == 1
    assert (view.nodes["n1"].done, view.nodes["n1"].total, view.nodes["n1"].attempt) == (6, 20, 2)
    assert view.nodes["n1"].share == 0.3


SHAPE = RunShape.of_document(
    {
        "schema": 1,
        "id": "two",
        "nodes": {
            "a": {"kind": "operator", "uses": "acme.text.a"},
            "b": {"kind": "operator", "uses": "acme.text.b"},
        },
        "edges": [{"from": "a", "to": "b", "kind": "control"}],
    }
)

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
            (NodeWaiting, {"prompt": "Go on?"}),
            (NodeReused, {"origin": "other"}),
            (NodeSkipped, {"reason": "why"}),
        ]
    ),
    st.sampled_from(["a", "b", "unheard-of"]),
)


@PATIENT
@given(st.lists(node_events, max_size=40))
def test_whatever_the_events_the_counts_are_those_of_the_nodes(events: list[RunEvent]) -> None:
    view = RunView([NodeStatus("a", "pending"), NodeStatus("b", "pending")], SHAPE)
    for each in events:
        view.see(each)
    assert sum(view.counts.values()) == len(view.nodes)
    for state, count in view.counts.items():
        assert count == sum(node.state == state for node in view.nodes.values())
    assert all(
        set(listed) == {id for id, node in view.nodes.items() if node.state == state}
        for state, listed in (("failed", view.failed), ("waiting", view.waiting))
    )
    for number, level in enumerate(view.levels):
        inside = [node for node in view.nodes.values() if node.level == number]
        assert level.total == len(inside)
        assert level.over == sum(node.state in ("completed", "failed", "skipped") for node in inside)
        busy = sum(node.state in ("running", "retrying", "waiting") for node in inside)
        assert (view.busy.get(number), level.running + level.waiting) == (busy or None, busy)
    for stage, (levels, nodes) in view.stages.items():
        at_it = [level for level in view.levels if level.total and level.stage == stage]
        assert (levels, nodes) == (len(at_it), sum(level.total for level in at_it))
    assert set(view.active) == {
        id for id, node in view.nodes.items() if node.state in ("running", "retrying")
    }
    assert all(0.0 <= node.share <= 1.0 for node in view.nodes.values())


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


@PATIENT
@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=5))
def test_columns_give_a_line_for_each_row_of_any_text(rows: list[list[str]]) -> None:
    lines = columns(rows)
    assert len(lines) == len(rows)
    assert all(line.isprintable() for line in lines)
