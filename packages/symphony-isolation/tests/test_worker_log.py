"""What workers say is bounded, printable and attributed."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation.worker_log import LINE_LIMIT, LINES_PER_SECOND, WorkerLog, printable


@given(st.text())
def test_a_line_cannot_move_the_cursor_or_turn_the_text(text):
    shown = printable(text)
    assert not [
        character
        for character in shown
        if (character != "\t" and (unicodedata.category(character) in ("Cc", "Zl", "Zp")))
        or unicodedata.bidirectional(character)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    assert len(shown) <= LINE_LIMIT + 1


def test_lines_beyond_the_rate_are_counted_and_the_next_second_begins_anew():
    now = [100.0]
    lines = []
    log = WorkerLog("acme.text", lambda *line: lines.append(line), clock=lambda: now[0])
    for number in range(LINES_PER_SECOND + 7):
        log.write("info", str(number))
    assert len(lines) == LINES_PER_SECOND
    now[0] += 1.0
    log.write("info", "later")
    assert lines[-2:] == [
        ("acme.text", "warning", "7 more lines were dropped: too many at once"),
        ("acme.text", "info", "later"),
    ]


def test_the_last_words_are_those_of_stderr_even_when_they_are_too_many():
    log = WorkerLog("acme.text", lambda *line: None)
    for number in range(1000):
        log.print("stderr", f"line {number}\r")
        log.print("stdout", "other")
        log.print("stderr", "   ")
    assert log.last_words.splitlines() == [f"line {number}�" for number in range(980, 1000)]
