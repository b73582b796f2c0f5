"""The contract of every Artifact Store: artifacts are found by their words."""

import pytest

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactStore, Lineage, Score
from symphony_sdk.testing.contracts.artifact_contract import ArtifactContract, refused, store_in_turn

TEXT = "Vor den Häusern in der Straße 😀 liegt 日本 — and some <b>plain</b> words"


def names(store: ArtifactStore, query: str, **filters: object) -> list[str]:
    """The names of what is found of all that was stored before, the best first.

    Args:
        store: The store.
        query: The query.
        filters: Filters of the search.
    """
    return [found.info.ref.name for found in store.search(query, fresh=True, **filters)]  # type: ignore[arg-type]


class ArtifactSearchContract(ArtifactContract):
    """Inherit it, and give a fixture `artifact_store` that makes an empty store."""

    @pytest.mark.parametrize("query", ["häusern", "HÄUSERN", "Straße", "日本", "plain", "words liegt", "b"])
    def test_a_text_is_found_by_each_of_its_words(self, artifact_store: ArtifactStore, query: str) -> None:
        """A text is found by each of its words, in small letters and large ones, and by several together."""
        artifact_store.put(TEXT.encode(), name="street", media_type="text/plain; charset=utf-8")
        artifact_store.put(b"nothing of that", name="other", media_type="text/plain")
        assert names(artifact_store, query) == ["street"]

    @pytest.mark.parametrize("query", ["häuser", "ausern", "missing", "häusern missing", "!!", "😀"])
    def test_what_has_not_all_words_is_not_found(self, artifact_store: ArtifactStore, query: str) -> None:
        """What has only a part of a word, or only some of the words, is not found."""
        artifact_store.put(TEXT.encode(), name="street", media_type="text/plain")
        assert names(artifact_store, query) == []

    def test_the_snippet_shows_the_words_that_were_found(self, artifact_store: ArtifactStore) -> None:
        """The snippet is a part of the text around the words, and the highlights are these words, in characters."""
        text = "Ünter 😀 " * 300 + TEXT + " ünter 😀" * 300
        artifact_store.put(text.encode(), name="street", media_type="text/plain")
        (found,) = artifact_store.search("straße HÄUSERN", fresh=True)
        assert found.snippet in text
        assert len(found.snippet) < 400
        assert sorted(found.snippet[begin:end] for begin, end in found.highlights) == ["Häusern", "Straße"]
        assert found.rank > 0

    def test_names_tags_and_metadata_are_found_and_shown(self, artifact_store: ArtifactStore) -> None:
        """An artifact of any type is found by its name, its tags and its metadata, and the snippet shows which."""
        put = artifact_store.put
        put(b"\x00", name="Quarterly-Figures.bin")
        put(b"\x01", name="b", metadata={"origin": "fieldwork in Ürümqi"})
        artifact_store.tag(put(b"\x02", name="c").id, "release/candidate")
        for query, name, snippet, highlight in (
            ("figures", "Quarterly-Figures.bin", "Quarterly-Figures.bin", "Figures"),
            ("ürümqi", "b", "origin fieldwork in Ürümqi", "Ürümqi"),
            ("origin", "b", "origin fieldwork in Ürümqi", "origin"),
            ("candidate", "c", "release/candidate", "candidate"),
        ):
            (found,) = artifact_store.search(query, fresh=True)
            assert (found.info.ref.name, found.snippet) == (name, snippet)
            assert [found.snippet[begin:end] for begin, end in found.highlights] == [highlight]

    def test_only_what_is_text_is_read_as_text(self, artifact_store: ArtifactStore) -> None:
        """The bytes of what is no text are not searched; of a text, those that are no UTF-8 are passed over."""
        artifact_store.put(b"needle", name="binary", media_type="application/octet-stream")
        artifact_store.put(b'{"needle": 1}', name="json", media_type="application/json")
        artifact_store.put(b"a \xff\xfe needle \xc3", name="broken", media_type="text/csv")
        assert sorted(names(artifact_store, "needle")) == ["broken", "json"]

    def test_each_filter_leaves_out_what_does_not_fit(self, artifact_store: ArtifactStore) -> None:
        """Each filter leaves out what does not fit, with a query and without one, where it gives the newest first."""
        store = artifact_store
        early = store.put(b"word 1", name="early", media_type="text/plain", created=1000.0)
        store.put(b"word 2", name="late", media_type="text/html", created=2000.0)
        made = store.put(b"word 3", name="made", media_type="text/html", lineage=Lineage(run="run-1"))
        store.tag(early.id, "release/1")
        store.tag(made.id, "draft/1")
        store.score(early.id, Score("acme.a", "1", 0.5))
        store.score(made.id, Score("acme.a", "1", 0.9))
        for filters, expected in (
            ({}, ["made", "late", "early"]),
            ({"run": "run-1"}, ["made"]),
            ({"run": "run"}, []),
            ({"tag": "release/"}, ["early"]),
            ({"tag": "release"}, ["early"]),
            ({"tag": "elease"}, []),
            ({"media_type": "text/h"}, ["made", "late"]),
            ({"media_type": "html"}, []),
            ({"since": 2000.0}, ["made", "late"]),
            ({"until": 2000.0}, ["early"]),
            ({"since": 1000.0, "until": 2000.5}, ["late", "early"]),
            ({"quality": 0.5}, ["made", "early"]),
            ({"quality": 0.6}, ["made"]),
            ({"quality": 0.5, "media_type": "text/plain"}, ["early"]),
        ):
            assert sorted(names(store, "word", **filters)) == sorted(expected), filters
            assert names(store, " ", **filters) == expected, filters

    def test_no_more_are_given_than_asked_for(self, artifact_store: ArtifactStore) -> None:
        """No more are given than asked for."""
        for number in range(12):
            artifact_store.put(b"word %d" % number, name=f"{number}", media_type="text/plain")
        assert len(names(artifact_store, "word", limit=5)) == 5
        assert len(names(artifact_store, "word")) == 12
        assert names(artifact_store, "", limit=2) == ["11", "10"]

    def test_what_is_better_ranks_higher(self, artifact_store: ArtifactStore) -> None:
        """Of artifacts that fit alike, that of more quality ranks higher, and those that nobody scored are between."""
        ids = [
            artifact_store.put(b"word %d" % number, name=name, media_type="text/plain").id
            for number, name in enumerate(("poor", "unknown", "good"))
        ]
        artifact_store.score(ids[0], Score("acme.a", "1", 0.1))
        artifact_store.score(ids[2], Score("acme.a", "1", 0.9))
        found = artifact_store.search("word", fresh=True)
        assert [each.info.ref.name for each in found] == ["good", "unknown", "poor"]
        assert found[0].rank > found[1].rank > found[2].rank

    def test_what_is_removed_is_not_found_until_it_is_restored(self, artifact_store: ArtifactStore) -> None:
        """What is removed is not found from then on, and found again when it is restored or stored again."""
        data = (b"word", b"word too")
        ids = [artifact_store.put(each, name=f"{len(each)}", media_type="text/plain").id for each in data]
        assert len(names(artifact_store, "word")) == 2
        for id in ids:
            artifact_store.remove(id)
            assert id not in {found.info.ref.id for found in artifact_store.search("word")}
        assert names(artifact_store, "word") == []
        artifact_store.restore(ids[0])
        assert names(artifact_store, "word") == ["4"]
        artifact_store.put(data[1], name="8", media_type="text/plain")
        assert sorted(names(artifact_store, "word")) == ["4", "8"]
        artifact_store.remove(ids[0])
        artifact_store.collect(grace=0)
        assert names(artifact_store, "word") == ["8"]

    def test_a_tag_that_moves_is_found_where_it_is(self, artifact_store: ArtifactStore) -> None:
        """A tag finds the artifact that has it, no more the one that had it, and none when it is taken away."""
        ids = [artifact_store.put(name.encode(), name=name).id for name in ("one", "two")]
        for id, name in zip(ids, ("one", "two"), strict=True):
            artifact_store.tag(id, "current")
            assert names(artifact_store, "current") == [name]
        artifact_store.untag("current")
        assert names(artifact_store, "current") == []

    def test_it_is_told_by_its_newest_description_that_fits(self, artifact_store: ArtifactStore) -> None:
        """An artifact is found by all that it was ever stored with, once, and told by the newest that fits."""
        store_in_turn(artifact_store, b"x", "first")
        store_in_turn(artifact_store, b"x", "second", lineage=Lineage(run="r"))
        store_in_turn(artifact_store, b"x", "third")
        assert names(artifact_store, "first") == ["third"]
        assert names(artifact_store, "third", run="r") == ["second"]

    def test_a_query_that_is_too_long_is_refused(self, artifact_store: ArtifactStore) -> None:
        """A query that is longer than anybody writes is refused with its length."""
        with refused("SYM-A020", "10,000 characters"):
            artifact_store.search("word " * 2000)
        artifact_store.put(b"word", media_type="text/plain")
        assert len(artifact_store.search("word " * 400, fresh=True)) == 1

    @pytest.mark.parametrize(
        "query",
        [
            "(" * 60,
            ")" * 60,
            '"word',
            'word"',
            "((word",
            "AND",
            "OR OR",
            "NOT",
            "-",
            "+",
            "-word",
            "*",
            "^",
            "a^x",
            "\\",
            "a:",
            ":",
            "::",
            "http://a.b/c?d=e",
            "Error: not found",
            "[",
            "{a TO",
            "name:*",
            "word:IN [",
            "/(/",
            "<",
            ">=1",
            "created:x",
            "quality:>x",
            "\x00",
            "a\x00b",
            "\x1b[31m",
            "\u202eword",
            "\ufffe",
            "🙂",
            "e\u0301" * 100,
            "w" * 1999,
            "ẞ" * 1000,
            "\ud800",
        ],
    )
    def test_any_query_has_an_answer(self, artifact_store: ArtifactStore, query: str) -> None:
        """Whatever is typed has an answer, or is refused clearly; and the next query is answered."""
        artifact_store.put(b"word", name="it", media_type="text/plain")
        try:
            artifact_store.search(query, fresh=True)
        except ArtifactError as error:
            assert error.code in ("SYM-A020", "SYM-A010")
            assert error.hint
        assert names(artifact_store, "word") == ["it"]
