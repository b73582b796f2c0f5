"""Times the search over 1,000 and 10,000 templates beside a plain scan with difflib, and the start of a library.

uv run benchmarks/template_search.py
"""

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path

from symphony_workflow.templates import Filter, Source, TemplateEntry, TemplateLibrary

VERBS = [
    "tidy",
    "draw",
    "count",
    "measure",
    "classify",
    "translate",
    "resize",
    "index",
    "summarize",
    "compare",
    "merge",
    "split",
    "clean",
    "convert",
]
THINGS = [
    "folder",
    "image",
    "report",
    "photo",
    "text",
    "table",
    "archive",
    "log",
    "invoice",
    "recipe",
    "chapter",
    "city",
    "letter",
    "song",
    "model",
]
WORDS = [
    f"{a}{b}" for a in ("re", "sub", "micro", "auto", "poly", "meta", "geo", "bio") for b in THINGS + VERBS
]
QUERIES = {
    "a word": "invoice",
    "two words": "resize photo",
    "the beginning of a word": "summ",
    "a misspelt word": "clasify",
    "a misspelt short word": "potho",
    "a rare word": "geofolder",
    "a word that all have": "workflow",
}


def main() -> None:
    """Print the figures."""
    print(f"{'':<34}{'ours':>10}{'difflib scan':>14}{'ratio':>9}")
    for count in (1_000, 10_000):
        with tempfile.TemporaryDirectory(prefix="symphony-") as folder:
            _measure(Path(folder), count)


def _measure(folder: Path, count: int) -> None:
    _write(folder / "templates", count)
    sources = [Source("user", folder / "templates")]
    index = folder / "index.sqlite"
    first = _seconds(lambda: TemplateLibrary(sources, index=index).close(), 1)
    warm = _seconds(lambda: TemplateLibrary(sources, index=index).close(), 5)
    print(f"{count:,} templates: read and indexed in {first:.2f} s, opened again in {warm * 1e3:.1f} ms")
    with TemplateLibrary(sources, index=index) as library:
        entries = library.search(limit=count)
        for name, query in QUERIES.items():
            ours = _seconds(lambda query=query: library.search(query, limit=20), 21)
            scan = _seconds(lambda query=query: _scan(entries, query), 1)
            print(f"  {name:<32}{ours * 1e3:>7.2f} ms{scan * 1e3:>11.0f} ms{ours / scan:>9.4f}")
        filter = Filter(category="images", kind="map", installed=("acme.files.walk",))
        ours = _seconds(lambda: library.search("photo", filter, limit=20), 21)
        print(f"  {'a word, with three filters':<32}{ours * 1e3:>7.2f} ms")


def _scan(entries: list[TemplateEntry], query: str) -> list[TemplateEntry]:
    """What is simplest: compare each word of the query with each word of each template's title."""

    def likeness(entry: TemplateEntry) -> float:
        titled = entry.title.lower().split()
        return sum(
            max(SequenceMatcher(None, word, other).ratio() for other in titled) for word in query.split()
        )

    return sorted(entries, key=likeness, reverse=True)[:20]


def _write(folder: Path, count: int) -> None:
    folder.mkdir()
    chance = random.Random(7)
    for number in range(count):
        verb, thing = chance.choice(VERBS), chance.choice(THINGS)
        words = chance.sample(WORDS, 12)
        document = {
            "template": 1,
            "id": f"acme.{verb}-{thing}-{number}",
            "version": "1.0.0",
            "title": f"{verb} a {thing} by {words[0]}".capitalize(),
            "description": f"A workflow that can {verb} every {thing}: {' '.join(words)}.",
            "categories": [chance.choice(["images", "files", "texts"])],
            "keywords": words[:3],
            "parameters": {"depth": {"type": "integer", "default": 3}},
            "workflow": {
                "schema": 1,
                "id": f"flow-{number}",
                "nodes": {
                    "walk": {
                        "kind": "operator",
                        "uses": "acme.files.walk",
                        "params": {"depth": {"$param": "depth"}},
                    },
                    "each": {"kind": "control", "control": "map", "uses": "acme.files.read", "over": "path"},
                },
            },
        }
        (folder / f"{number}.json").write_text(json.dumps(document), "utf-8")


def _seconds(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
