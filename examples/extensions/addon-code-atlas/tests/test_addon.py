from html.parser import HTMLParser
from pathlib import Path

import pytest
import symphony_addon_atlas
from symphony_addon_atlas.plugin import symphony_addons
from symphony_sdk.testing import ExtensionContract

ROOT = Path(symphony_addon_atlas.__file__).parent


class TestContract(ExtensionContract):
    package = "symphony_addon_atlas"


@pytest.fixture
def spec():
    [addon] = symphony_addons()
    return addon.spec


def test_it_brings_a_panel_a_command_and_a_theme(spec):
    assert [panel.id for panel in spec.panels] == ["atlas"]
    assert [command.operation for command in spec.commands] == ["symphony.report.render"]
    assert [(theme.id, theme.dark) for theme in spec.themes] == [("slate", True)]
    assert "text/html" in spec.panels[0].accepts


class References(HTMLParser):
    """What a page loads, and the code that is written into it."""

    def __init__(self, page):
        super().__init__()
        self.files, self.inline, self.frames = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.files += [found[name] for name in ("src", "href") if name in found]
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in found:
            self.inline.append(tag)
        if tag == "iframe":
            self.frames.append(found)


def test_its_page_loads_only_files_that_ship_beside_it(spec):
    page = ROOT / spec.panels[0].entry
    references = References(page.read_text("utf-8"))

    assert references.files
    assert [name for name in references.files if not (page.parent / name).is_file()] == []
    assert references.inline == []  # a user interface with a strict content security policy would refuse it


def test_a_report_is_shown_in_a_frame_without_any_right(spec):
    [frame] = References((ROOT / spec.panels[0].entry).read_text("utf-8")).frames

    assert frame["sandbox"] in ("", None)


def test_nothing_of_it_is_fetched_from_elsewhere():
    for file in (ROOT / "assets").iterdir():
        text = file.read_text("utf-8")
        assert "http:" not in text
        assert "https:" not in text
        assert "url(" not in text
