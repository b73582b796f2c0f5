"""Searching 100,000 artifacts beside SQLite's FTS5, in the same run; and storing while they are indexed.

    uv run benchmarks/artifact_search.py [--documents 100000] [--queries 300]

The documents are about 1.4 KB of text each, their words drawn from those of the standard library as often as they come
there. Each search of ours reads the sealed text of its 20 hits for the snippets and looks each of them up in the
encrypted index. FTS5 has the same texts in clear, orders by bm25 and makes the snippets of 20 rows.

Figures are milliseconds, medians and 99th percentiles over different queries; ours and the peer take turns.

Then small artifacts are stored without a pause, for some seconds each: by a store that never indexes, by one that has
as much to index as there are documents and lets what is stored go first, and by one whose patience is over.
"""

import argparse
import random
import re
import sqlite3
import statistics
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from pit_artifact_store import Store
from pit_artifact_store.searching import search

WORDS_A_DOCUMENT = 190
LIMIT = 20
SECONDS, ROUNDS = 4.0, 3


class Texts:
    """Documents whose words come as often as in the standard library."""

    def __init__(self) -> None:
        library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        self.words = [
            word
            for file in library
            for word in re.findall(r"[A-Za-z_]{2,}", file.read_text("utf-8", "ignore"))
        ]
        parts = [part for word in self.words for part in word.lower().split("_") if len(part) > 2]
        frequent = {word for word, _ in Counter(parts).most_common(100)}
        self.rare = [word for word in parts if word not in frequent]
        self.chance = random.Random(1)

    def new(self) -> str:
        return " ".join(self.chance.choices(self.words, k=WORDS_A_DOCUMENT))

    def terms(self, number: int) -> list[str]:
        """Words as people ask for them."""
        return self.chance.choices(self.rare, k=number)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(what: str, ours: list[float], peer: list[float]) -> None:
    told = []
    for name, times in (("ours", ours), ("FTS5", peer)):
        ordered = sorted(times)
        told.append(
            f"{name} {statistics.median(times) * 1e3:8.2f} {ordered[int(len(ordered) * 0.99)] * 1e3:8.2f}"
        )
    ratio = statistics.median(ours) / statistics.median(peer)
    print(f"{what:<34} {'   '.join(told)}   ({ratio:.2f})", flush=True)


def queries(texts: Texts, documents: list[str], kind: str, number: int) -> Iterator[tuple[str, str]]:
    for _ in range(number):
        if kind == "phrase":
            words = texts.chance.choice(documents).split()
            at = texts.chance.randrange(len(words) - 1)
            pair = " ".join(words[at : at + 2]).replace("_", " ")
            yield f'"{pair}"', f'"{pair}"'
        elif kind == "any":
            yield (" OR ".join(texts.terms(3)),) * 2
        else:
            words = texts.terms(3 if kind == "all" else 1)
            yield " ".join(words), " AND ".join(f'"{word}"' for word in words)


def searching(root: Path, documents: list[str], texts: Texts, number: int) -> None:
    peer = sqlite3.connect(root / "fts5.db")
    peer.execute(
        "create virtual table texts using fts5 (text, kind unindexed, created unindexed, tokenize = \"unicode61 separators '_'\")"
    )
    now = time.time()
    kinds = ("text/plain", "text/html", "text/csv")

    def fill() -> None:
        rows = ((text, kinds[at % 3], now - at) for at, text in enumerate(documents))
        peer.executemany("insert into texts values (?, ?, ?)", rows)
        peer.commit()

    with Store(root / "store") as store:
        took = seconds(lambda: put_all(store, documents, kinds, now))
        print(
            f"{len(documents):,} documents, {sum(map(len, documents)) / 1e6:.0f} MB, stored in {took:.1f} s",
            flush=True,
        )
        indexed, filled = seconds(lambda: store.search("nothing", fresh=True)), seconds(fill)
        size = sum(path.stat().st_size for path in (root / "store" / "search").iterdir())
        print(
            f"indexed and sealed in {indexed:.1f} s, {size / 1e6:.0f} MB;  FTS5 in {filled:.1f} s, {(root / 'fts5.db').stat().st_size / 1e6:.0f} MB"
        )
        print(f"{'':<34}      {'p50':>8} {'p99':>8}        {'p50':>8} {'p99':>8}   ratio of p50")
        ask = "select rowid, snippet(texts, 0, '<', '>', '', 20) from texts where texts match ? {} order by rank limit 20"
        for what, kind, filtered in (
            ("1 term", "one", False),
            ("3 terms, all", "all", False),
            ("3 terms, any", "any", False),
            ("phrase", "phrase", False),
            ("1 term, type and time", "one", True),
            ("3 terms, any, type and time", "any", True),
        ):
            ours, theirs = [], []
            since, until = now - len(documents) * 0.6, now - len(documents) * 0.2
            filters = {"media_type": "text/h", "since": since, "until": until} if filtered else {}
            text = ask.format("and kind like 'text/h%' and created >= ? and created < ?" if filtered else "")
            values = (since, until) if filtered else ()
            for mine, other in queries(texts, documents, kind, number):
                ours.append(seconds(partial(store.search, mine, limit=LIMIT, **filters)))
                theirs.append(seconds(partial(rows_of, peer, text, (other, *values))))
            show(what, ours, theirs)
        later = []
        for at in range(30):
            store.put(f"fresh{at} word".encode(), media_type="text/plain", durability="os")
            later.append(seconds(lambda at=at: store.search(f"fresh{at}", fresh=True)))
        print(
            f"a search that waits until what was just stored is indexed: {statistics.median(later) * 1e3:.0f} ms"
        )
    opened = seconds(lambda: first_search(root / "store"))
    print(f"first search of a process, unsealed: {opened * 1e3:.0f} ms")


def rows_of(peer: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[object]:
    return peer.execute(query, values).fetchall()


def first_search(root: Path) -> None:
    with Store(root) as store:
        store.search("import")


def put_all(store: Store, documents: list[str], kinds: tuple[str, ...], now: float) -> None:
    for at, text in enumerate(documents):
        store.put(
            text.encode(),
            media_type=kinds[at % 3],
            name=f"document-{at}.txt",
            created=now - at,
            durability="os",
        )


def storing(root: Path, documents: list[str]) -> None:
    modes = {"nothing is indexed": None, "it goes first": search.PATIENCE, "patience is over": 0.0}
    times: dict[str, list[float]] = {mode: [] for mode in modes}
    numbers = count()
    for turn in range(ROUNDS):
        for mode, patience in modes.items():
            path = root / f"put-{turn}-{len(times[mode])}"
            search.PATIENCE = patience or 0.0
            with Store(path) as store:
                backlog = documents[: len(documents) // 10]
                store._search.noticed = lambda: None  # type: ignore[method-assign]
                put_all(store, backlog, ("text/plain",) * 3, time.time())
                if patience is not None:
                    del store._search.noticed
                    store.put(b"begin", durability="os")
                    time.sleep(search.DELAY + 0.5)
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    data = f"{next(numbers)} {documents[next(numbers) % len(documents)]}".encode()[:1000]
                    times[mode].append(
                        seconds(lambda data=data: store.put(data, media_type="text/plain", durability="os"))
                    )
    base = statistics.median(times["nothing is indexed"])
    print("\nput 1 KB, os, while ...")
    for mode, taken in times.items():
        middle, ordered = statistics.median(taken), sorted(taken)
        print(
            f"{mode:<24} median {middle * 1e3:.3f} ms ({middle / base:.2f})   p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms"
            f"   {len(taken) / sum(taken):,.0f}/s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    texts = Texts()
    documents = [texts.new() for _ in range(arguments.documents)]
    with tempfile.TemporaryDirectory() as root:
        searching(Path(root), documents, texts, arguments.queries)
    with tempfile.TemporaryDirectory() as root:
        storing(Path(root), documents)


if __name__ == "__main__":
    main()
