from xml.etree import ElementTree

from symphony_sdk.testing import RecordingContext

from {{ cookiecutter.__package }}.plugin import draw_bars


def test_each_value_is_a_bar_and_the_largest_is_the_longest(symphony_context: RecordingContext) -> None:
    drawn = draw_bars(symphony_context, {"apples": 4.0, "pears": 2.0, "<plums>": -1.0})

    picture = ElementTree.fromstring(symphony_context.artifacts.get(drawn))
    svg = "{http://www.w3.org/2000/svg}"
    assert [text.text for text in picture.iter(f"{svg}text")] == ["apples", "pears", "<plums>"]
    assert [bar.get("width") for bar in picture.iter(f"{svg}rect")] == ["300.0", "150.0", "0.0"]
    assert drawn.media_type == "image/svg+xml"


def test_without_values_the_picture_is_empty(symphony_context: RecordingContext) -> None:
    drawn = draw_bars(symphony_context, {})

    assert len(ElementTree.fromstring(symphony_context.artifacts.get(drawn))) == 0
