from symphony_sdk.testing import RecordingContext

from {{ cookiecutter.__package }}.plugin import count_words


def test_words_are_counted_whatever_their_case(symphony_context: RecordingContext) -> None:
    counted = count_words(symphony_context, "To be, or not to be", most=2)

    assert counted == {"total": 6, "frequent": {"to": 2, "be": 2}}
    assert symphony_context.lines == [("info", "4 different words")]


def test_an_empty_text_has_no_words(symphony_context: RecordingContext) -> None:
    assert count_words(symphony_context, "") == {"total": 0, "frequent": {}}
