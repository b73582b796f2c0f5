"""Topics, patterns, and the trie that finds the patterns of a topic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_ipc.bus import matches
from symphony_ipc.bus.topics import Patterns, check_group, check_name, check_pattern, check_topic
from symphony_sdk.errors import BusError

WORDS = st.sampled_from(["a", "b", "run", "_own", "läuft", "1"])
TOPICS = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda words, rest: ".".join([*words, *rest]),
    st.lists(WORDS | st.just("*"), max_size=4),
    st.sampled_from([[], [">"]]),
).filter(bool)


def naive(pattern, topic):
    """What a pattern means, word by word."""
    wanted, words = pattern.split("."), topic.split(".")
    if words[0].startswith("_") and wanted[0] in {"*", ">"}:
        return False
    for place, word in enumerate(wanted):
        if word == ">":
            return len(words) > place
        if place >= len(words) or word not in {"*", words[place]}:
            return False
    return len(wanted) == len(words)


@given(PATTERNS, TOPICS)
def test_a_pattern_means_what_its_words_mean(pattern, topic):
    assert matches(check_pattern(pattern), check_topic(topic)) == naive(pattern, topic)


@given(st.lists(PATTERNS, unique=True, max_size=12), TOPICS, st.data())
def test_the_trie_finds_what_a_search_through_all_patterns_finds(patterns, topic, data):
    trie = Patterns()
    for pattern in patterns:
        trie.add(pattern, pattern)
    assert sorted(trie.match(topic)) == sorted(p for p in patterns if naive(p, topic))
    removed = data.draw(st.lists(st.sampled_from(patterns), unique=True)) if patterns else []
    for pattern in removed:
        trie.remove(pattern)
    left = set(patterns) - set(removed)
    assert sorted(trie.match(topic)) == sorted(p for p in left if naive(p, topic))
    for pattern in left:
        trie.remove(pattern)
    root = trie._root
    assert not (root.words or root.any or root.end or root.rest), "the trie keeps nothing of what was removed"


@given(st.text(max_size=20))
def test_what_is_accepted_has_words_without_spaces_and_wildcards(text):
    try:
        check_topic(text)
    except BusError:
        assert not text or any(
            not word or any(c in "*>" or c.isspace() or ord(c) < 32 or c == "\x7f" for c in word)
            for word in text.split(".")
        )
    else:
        assert all(word and not set(word) & set(" *>\n\x00") for word in text.split("."))
        assert check_pattern(text) == text


def test_a_long_hostile_pattern_is_refused_at_once():
    with pytest.raises(BusError, match=r"\.\.\.'"):
        check_pattern("*." * 5_000_000)


def test_a_group_may_be_empty_and_a_name_may_not_be_the_buss_own():
    assert check_group("") == ""
    assert check_name("acme.count") == "acme.count"
    with pytest.raises(BusError, match="do not begin with `_`"):
        check_name("_bus")
    with pytest.raises(BusError, match="no group"):
        check_group("a b")
