import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_report.figures import FileMetrics, FunctionMetrics, Share, summarize
from symphony_report.page import bars, render_page, ring
from symphony_report.plugin import render
from symphony_sdk.testing import ExtensionContract

HOSTILE = '<script>alert("x")</script>&\'<img src=x onerror=y>'
COUNT = st.integers(0, 10**9)
FILES = st.lists(
    st.builds(
        FileMetrics,
        relative=st.text(max_size=30),
        size=COUNT,
        label=st.sampled_from(["python", "rust", "png", HOSTILE]),
        group=st.sampled_from(["code", "image"]),
        lines=COUNT,
        code=COUNT,
        comment=COUNT,
        blank=COUNT,
        functions=COUNT,
        complexity=COUNT,
        complex=st.lists(
            st.builds(FunctionMetrics, st.text(max_size=9), COUNT, COUNT, COUNT), max_size=3
        ).map(tuple),
        note=st.text(max_size=9),
    ),
    max_size=30,
)


class TestContract(ExtensionContract):
    package = "symphony_report"
    examples = {render.id: {"files": [{"relative": "a.py", "size": 1, "label": "python", "group": "code"}]}}


class Elements(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def pictures(page):
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def some_files():
    return [
        FileMetrics(
            "src/a.py", 100, "python", "code", 10, 7, 2, 1, 2, 5, (FunctionMetrics("f", 3, 4, 4),), note=""
        ),
        FileMetrics("src/b.py", 50, "python", "code", 4, 4, 0, 0, 1, 1, (FunctionMetrics("g", 1, 2, 1),)),
        FileMetrics("c.rs", 30, "rust", "code", 3, 3, 0, 0, 1),
        FileMetrics("logo.png", 1000, "png", "image", note="cannot be read"),
    ]


def test_the_figures_add_up():
    summary = summarize(some_files())

    assert (summary.files, summary.size, summary.lines, summary.code) == (4, 1180, 17, 14)
    assert (summary.comment, summary.blank, summary.functions) == (2, 1, 4)
    assert summary.complexity == 2.0  # of Python's functions alone
    assert [(share.name, share.lines) for share in summary.languages] == [
        ("python", 14),
        ("rust", 3),
        ("png", 0),
    ]
    assert [(share.name, share.files) for share in summary.groups] == [("code", 3), ("image", 1)]
    assert [(share.name, share.code) for share in summary.folders] == [("src", 11), (".", 3)]
    assert [(spot.file, spot.name) for spot in summary.hotspots] == [("src/a.py", "f"), ("src/b.py", "g")]
    assert summary.largest[0].relative == "src/a.py"
    assert summary.notes == ("logo.png: cannot be read",)


@given(FILES)
def test_each_way_to_share_files_out_adds_up_to_all_of_them(files):
    summary = summarize(files)

    for shares in (summary.languages, summary.groups, summary.folders):
        assert sum(share.files for share in shares) == summary.files == len(files)
        assert sum(share.size for share in shares) == summary.size
        assert sum(share.lines for share in shares) == summary.lines
        assert sum(share.code for share in shares) == summary.code
    assert summarize(files[::-1]).languages == summary.languages


@settings(deadline=None, max_examples=50)
@given(FILES, st.text(max_size=20))
def test_any_files_make_a_page_without_foreign_elements(files, title):
    elements = Elements(render_page(title, summarize(files))).found

    assert {"script", "img", "iframe", "link", "object", "embed"}.isdisjoint(tag for tag, _ in elements)


def test_hostile_names_are_text():
    files = [
        FileMetrics(
            f"{HOSTILE}/{HOSTILE}",
            1,
            HOSTILE,
            HOSTILE,
            1,
            1,
            complex=(FunctionMetrics(HOSTILE, 1, 1, 1),),
            note=HOSTILE,
        )
    ]

    page = render_page(HOSTILE, summarize(files))

    tags = [tag for tag, _ in Elements(page).found]
    assert "script" not in tags
    assert "img" not in tags
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(") >= 5


def test_the_page_needs_nothing_else():
    page = render_page("Atlas", summarize(some_files()))

    attributes = {name for _, found in Elements(page).found for name in found}
    assert {"src", "href", "srcset", "action", "data", "onload", "onclick"}.isdisjoint(attributes)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_picture_is_well_formed_and_within_its_frame():
    found = pictures(render_page("Atlas", summarize(some_files())))

    assert len(found) == 4
    for picture in found:
        _, _, width, height = map(float, picture.get("viewBox").split())
        for rect in picture.iter("rect"):
            assert 0 <= float(rect.get("x")) <= width
            assert float(rect.get("x")) + float(rect.get("width")) <= width
            assert float(rect.get("y")) + float(rect.get("height")) <= height


def test_without_files_the_page_says_so():
    page = render_page("Atlas", summarize([]))

    assert page.count("Nothing to show.") == 4
    assert "No Python functions." in page
    assert "No source files." in page
    assert pictures(page) == []
    assert summarize([]).complexity == 0.0


def test_what_does_not_fit_into_a_chart_is_added_up():
    shares = [Share(f"language {n}", 1, 1, 100 - n, 1) for n in range(20)]

    for chart, most in ((bars, 3), (ring, 3)):
        texts = [
            text.text
            for text in ElementTree.fromstring(chart(shares, lambda share: share.lines, most=most)).iter(
                "text"
            )
        ]
        assert "17 others" in texts
        assert any(text.startswith("1,513") for text in texts)


def test_one_share_alone_is_a_whole_ring():
    picture = ElementTree.fromstring(ring([Share("all", 3, 1, 1, 1)], lambda share: share.files))

    assert len(list(picture.iter("circle"))) == 1
    assert list(picture.iter("path")) == []


def test_the_page_and_its_figures_are_stored(symphony_context):
    report = render(symphony_context, some_files(), "My <atlas>")

    page = symphony_context.artifacts.get(report["html"]).decode()
    data = json.loads(symphony_context.artifacts.get(report["data"]))
    assert (report["html"].media_type, report["html"].name) == ("text/html", "code-atlas.html")
    assert (report["data"].media_type, report["data"].name) == ("application/json", "code-atlas.json")
    assert "<title>My &lt;atlas&gt;</title>" in page
    assert data["title"] == "My <atlas>"
    assert data["summary"]["lines"] == report["summary"].lines == 17
    assert [file["relative"] for file in data["files"]] == ["src/a.py", "src/b.py", "c.rs", "logo.png"]
    assert [progress.text for progress in symphony_context.progressed] == ["drawing"]


@pytest.mark.parametrize(("notes", "more"), [(100, False), (101, True)])
def test_a_hundred_notes_are_shown_and_the_rest_is_counted(notes, more):
    files = [FileMetrics(f"{n}", 1, "txt", "text", note="why") for n in range(notes)]

    page = render_page("Atlas", summarize(files))

    assert page.count("<li>") == 100
    assert ("... and 1 more" in page) is more


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_shown_in_units(size, shown):
    assert f"<b>{shown}</b>" in render_page("", summarize([FileMetrics("a", size, "x", "x")]))
