"""The live picture of a run: what it tells at every size, and that it never tells more than fits."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from symphony_host.cli.live import LivePicture
from symphony_host.cli.picture import Lines, picture
from symphony_host.cli.run_view import RunView
from symphony_host.cli.signs import ASCII, UNICODE, signs_for
from symphony_host.cli.text import clean
from symphony_host.run_shape import RunShape
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeStarted,
    NodeWaiting,
    RunEvent,
    RunStarted,
)
from symphony_sdk.ports import NodeStatus
from symphony_sdk.ports.pit import Progress

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine, examples take as long as they take."""

ERROR = ErrorPayload("ACME-1", "the page has no title\nat all")
LAYERS, WIDTH = 100, 100


def event(kind, at=100.0, **fields) -> RunEvent:
    return kind(run="r-1", sequence=1, at=at, **fields)


@pytest.fixture(scope="module")
def shape() -> RunShape:
    """A hundred levels of a hundred nodes."""
    names = [[f"n{layer}-{place}" for place in range(WIDTH)] for layer in range(LAYERS)]
    return RunShape.of_document(
        {
            "schema": 1,
            "id": "layered",
            "nodes": {name: {"kind": "operator", "uses": "acme.text.a"} for layer in names for name in layer},
            "edges": [
                {"from": names[layer - 1][place], "to": names[layer][place], "kind": "control"}
                for layer in range(1, LAYERS)
                for place in range(WIDTH)
            ],
        }
    )


@pytest.fixture
def half(shape: RunShape) -> RunView:
    """A run of ten thousand nodes of which half are done, three failed, one asks and 99 are at work."""
    names = [f"n{layer}-{place}" for layer in range(LAYERS) for place in range(WIDTH)]
    view = RunView([NodeStatus(name, "pending") for name in names], shape, "r-1")
    view.see(event(RunStarted, workflow="w", nodes=len(names)))
    for number, name in enumerate(names[:5100]):
        at = 100 + number / 100
        if number < 200:
            view.see(event(NodeReused, at, node=name, origin="r-0"))
            continue
        view.see(event(NodeStarted, at, node=name))
        if number in (300, 400, 500):
            view.see(event(NodeRetrying, at, node=name, attempt=1, delay=0.1, error=ERROR))
            view.see(event(NodeStarted, at, node=name, attempt=2))
            view.see(event(NodeFailed, at, node=name, error=ERROR))
        elif number < 5000:
            view.see(event(NodeCompleted, at, node=name, seconds=0.1, place=f"gpu-{number % 2}"))
    view.see(event(NodeWaiting, 151.0, node="n50-0", prompt="Publish it?", approvers=("ada",)))
    view.see(event(NodeProgressed, 151.0, node="n50-1", fraction=0.5, text="page 4 of 8"))
    view.estimate(Progress(5000, 10_000, 1.0, 2.0, 50.0, 50.0), 151.0)
    return view


def drawn(view: RunView, width: int, height: int, signs=UNICODE, now: float = 151.0) -> list[str]:
    return [line.plain for line in picture(view, now, width, height, signs)]


def test_ten_thousand_nodes_are_told_by_what_stands_out(half: RunView) -> None:
    lines = drawn(half, 120, 40)
    assert "5,000 of 10,000  50 %  51.0 s  about 50.0 s left" in lines[0]
    assert lines[1] == "  3 failed · 1 waiting · 99 running · 4,997 completed · 4,900 to come"
    assert (
        lines[2]
        == "  89 nodes/s now · 94 in all · 3 retried · 200 reused · 2 places: gpu-1 2,400, gpu-0 2,397"
    )
    assert [line.split()[:2] for line in lines[3:6]] == [["✗", "n3-0"], ["✗", "n4-0"], ["✗", "n5-0"]]
    assert all("attempt 2 [ACME-1] the page has no title" in line for line in lines[3:6])
    assert lines[6:8] == ["? n50-0 asks ada: Publish it?", "  symphony runs approve r-1 n50-0"]
    assert lines[8] == "  50 levels done, 5,000 nodes"
    assert lines[9].endswith("0 of 100, 99 at work, 1 waiting")
    assert lines[10] == "  49 levels to come, 4,900 nodes"
    assert "n50-1" in lines[11]
    assert "━" in lines[11]
    assert "page 4 of 8" in lines[11]
    assert len(lines) == 40
    assert lines[-1] == "  and 71 more at work"


def test_more_failures_than_fit_are_counted_with_the_command_that_lists_them(half: RunView) -> None:
    for place in range(1, 60):
        half.see(event(NodeFailed, node=f"n50-{place}", error=ERROR))
    lines = drawn(half, 100, 24)
    assert "  and 59 more failed: symphony runs show r-1 --failed" in lines
    assert any("at work" in line for line in lines)


def test_on_forty_columns_the_command_that_answers_is_whole(half: RunView) -> None:
    half.run = "20260301-120000-abcdef"
    lines = drawn(half, 40, 20)
    start = lines.index("? n50-0 asks ada: Publish it?")
    told = " ".join(line.strip() for line in lines[start + 1 : start + 3])
    assert told == "symphony runs approve 20260301-120000-abcdef n50-0"


@pytest.fixture(scope="module")
def hostile(shape: RunShape) -> RunView:
    """A run whose texts are long, and wide on a terminal."""
    view = RunView([NodeStatus(name, "pending") for name in shape.levels], shape, "r-1")
    for number, name in enumerate(list(shape.levels)[:50]):
        view.see(event(NodeStarted, node=name, items=number % 3))
        if number % 5 == 0:
            view.see(event(NodeFailed, node=name, error=ErrorPayload("A-1", "日本語のエラー" * 20)))
        elif number % 7 == 0:
            view.see(event(NodeWaiting, node=name, prompt="日本語" * 40))
    return view


@PATIENT
@given(width=st.integers(1, 220), height=st.integers(1, 70), ascii_only=st.booleans())
def test_a_picture_is_never_larger_than_the_terminal(
    hostile: RunView, width: int, height: int, ascii_only: bool
) -> None:
    lines = drawn(hostile, width, height, ASCII if ascii_only else UNICODE)
    assert 1 <= len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert all("\n" not in line for line in lines)
    assert not ascii_only or all(line.isascii() for line in lines)


def small() -> RunView:
    view = RunView([NodeStatus(f"n{number}", "pending") for number in range(3)], run="r-1")
    view.see(event(RunStarted, workflow="w", nodes=3))
    view.see(event(NodeStarted, node="n0"))
    view.see(event(NodeCompleted, 101.0, node="n0", seconds=1.0))
    view.see(event(NodeStarted, 101.0, node="n1", items=20))
    for item in range(4):
        view.see(event(ItemCompleted, 102.0, node="n1", item=item))
    return view


def test_a_small_run_has_a_row_for_each_node() -> None:
    lines = drawn(small(), 100, 24, now=104.0)
    assert len(lines) == 3
    assert lines[0].startswith("✓ n0 completed ━")
    assert "4/20 3.00 s" in lines[1]
    assert lines[2].split() == ["n2", "pending"]


def test_a_small_run_tells_the_command_that_answers_a_question() -> None:
    view = small()
    view.see(event(NodeWaiting, node="n2", prompt="Go on?"))
    assert drawn(view, 100, 24)[-1] == "  symphony runs approve r-1 n2"


def test_a_run_that_resumes_goes_on_counting_from_what_was_done(shape: RunShape) -> None:
    names = list(shape.levels)
    view = RunView(
        [
            NodeStatus(name, "completed" if number < 9000 else "pending", 1)
            for number, name in enumerate(names)
        ],
        shape,
    )
    assert "9,000 of 10,000  90 %" in drawn(view, 80, 24)[0]


def test_foreign_text_cannot_move_the_cursor() -> None:
    view = small()
    view.see(event(NodeProgressed, node="n1", fraction=0.5, text="half\x1b[31m way\r\n"))
    assert not any("\x1b" in line or "\r" in line for line in drawn(view, 120, 24))
    assert clean("a\x1b[2Jb\r\nc\u202e") == "a [2Jb  c"


def recorded(view: RunView, **options: object) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, **options)  # type: ignore[arg-type]
    with LivePicture(view, console) as live:
        live.refresh()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_no_color_leaves_out_every_colour(half: RunView) -> None:
    assert "\x1b[1;31m" in recorded(half, width=100, height=30, color_system="standard")
    plain = recorded(half, width=100, height=30, color_system="standard", no_color=True)
    assert "\x1b[1;31m" not in plain
    assert "n3-0" in plain


@pytest.mark.parametrize(
    ("encoding", "environment", "signs"),
    [
        ("utf-8", {}, UNICODE),
        ("utf-8", {"LANG": "de_DE.UTF-8"}, UNICODE),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ("ascii", {}, ASCII),
    ],
)
def test_signs_are_those_that_the_terminal_has(encoding: str, environment: dict[str, str], signs) -> None:
    assert signs_for(encoding, environment) is signs


def test_lines_stand_below_each_other() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(Lines(picture(small(), 104.0, 80, 24, UNICODE)), end="")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("\n") == 2
