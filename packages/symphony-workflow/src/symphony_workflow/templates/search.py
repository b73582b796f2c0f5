"""The index of a library's templates: one SQLite file that a search answers from without reading a template.

A row is kept for each file with its modification time and size, so that only what changed is read again. Words are
found by their beginning (FTS5, ranked by BM25 with the title first), and a word that nothing begins with by its
nearest spelling: candidates share three letters in a row, and the edit distance decides.

The index is a cache. Whatever is wrong with it (damaged, of another version, in a folder that cannot be written), it
is made again, in memory if need be.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
"""The version of the index's own format."""

_WORD = re.compile(r"\w+")
_TABLES = """
create table if not exists templates(
    key integer primary key, file text unique, source text, modified integer, size integer,
    id text, version text, title text, latest integer, problem text
);
create table if not exists entries(key integer primary key, entry text);
create index if not exists templates_by_id on templates(id);
create index if not exists templates_by_title on templates(latest, title);
create table if not exists facets(key integer, facet text, value text);
create index if not exists facets_by_value on facets(facet, value, key);
create index if not exists facets_by_key on facets(key, facet);
create virtual table if not exists words using fts5(
    title, id, keywords, categories, description, operations,
    content='', prefix='1 2 3', tokenize='unicode61 remove_diacritics 2'
);
create virtual table if not exists terms using fts5vocab(words, 'row');
create virtual table if not exists spelling using fts5(word, tokenize='trigram');
"""

_ALL = "select t.key, problem from templates t"
_MATCHES = "select t.key, problem from words join templates t on t.key = words.rowid where words match ?"
_ENTRIES = "select entry, problem from templates join entries using (key)"
_TAKE_IN_WORDS = (
    "insert into words(rowid, title, id, keywords, categories, description, operations) "
    "values (?, ?, ?, ?, ?, ?, ?)"
)
_FORGET_WORDS = (
    "insert into words(words, rowid, title, id, keywords, categories, description, operations) "
    "values ('delete', ?, ?, ?, ?, ?, ?, ?)"
)
_RANK_ANEW = (
    "update templates set latest = 0, "
    "problem = (select json_extract(entry, '$.problem') from entries e where e.key = templates.key)"
)
_ROWS = (
    "select key, id, version, source, file, json_extract(entry, '$.problem') "
    "from templates join entries using (key)"
)


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """What the library lists of a template.

    Args:
        id: Its id; the name of its file where it is too broken to say.
        version: Its version.
        source: The name of the source that it is from, such as `user` or an extension's id.
        file: Its file.
        title: A few words for people.
        description: What it is for.
        categories: Where it is listed.
        keywords: Words that a search finds it by.
        author: A person or an organisation.
        parameters: The names of its parameters.
        operations: The operations that its nodes use; those that a parameter chooses are not told.
        kinds: The kinds of its nodes, such as `operator` or `map`.
        problem: Why it cannot be used; empty where it can.
    """

    id: str
    version: str
    source: str
    file: str
    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    author: str = ""
    parameters: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    problem: str = ""

    @property
    def reference(self) -> str:
        """What names this version of it: `id@version`."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which templates a search looks at; each field that is set must fit.

    Args:
        category: A category of it.
        keyword: A keyword of it.
        author: Its author.
        source: The source that it is from.
        kind: A kind of node that it uses, such as `instrument` or `map`.
        operation: An operation that it uses.
        installed: The operations that are installed: only templates that use no other.
        all_versions: Whether older versions count, too.
    """

    category: str = ""
    keyword: str = ""
    author: str = ""
    source: str = ""
    kind: str = ""
    operation: str = ""
    installed: Collection[str] | None = None
    all_versions: bool = False


EVERYTHING = Filter()


class SearchIndex:
    """The index of one library.

    Args:
        file: Where it is kept; None for memory.
    """

    def __init__(self, file: Path | None) -> None:
        self._connection = _opened(file)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def stamps(self) -> dict[str, tuple[str, int, int]]:
        """The source, modification time and size of each file that the index knows."""
        rows = self._connection.execute("select file, source, modified, size from templates")
        return {file: (source, modified, size) for file, source, modified, size in rows}

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """A change that others see whole or not at all."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def forget(self, file: str) -> None:
        """Take a file out, if it is there.

        Args:
            file: The file.
        """
        query = "select key, entry from templates join entries using (key) where file = ?"
        row = self._connection.execute(query, (file,)).fetchone()
        if row is None:
            return
        key, entry = row
        self._connection.execute(_FORGET_WORDS, (key, *_words(_entry(entry, ""))))
        self._connection.execute("delete from facets where key = ?", (key,))
        self._connection.execute("delete from entries where key = ?", (key,))
        self._connection.execute("delete from templates where key = ?", (key,))

    def take_in(self, entry: TemplateEntry, modified: int, size: int) -> None:
        """Take a file in that is not there.

        Args:
            entry: What it holds.
            modified: Its modification time in nanoseconds.
            size: Its size in bytes.
        """
        row = (entry.file, entry.source, modified, size, entry.id, entry.version, entry.title)
        cursor = self._connection.execute(
            "insert into templates(file, source, modified, size, id, version, title, latest, problem) "
            "values (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (*row, entry.problem),
        )
        key = cursor.lastrowid
        self._connection.execute("insert into entries values (?, ?)", (key, _encoded(entry)))
        self._connection.execute(_TAKE_IN_WORDS, (key, *_words(entry)))
        facets = [
            *(("category", word.lower()) for word in entry.categories),
            *(("keyword", word.lower()) for word in entry.keywords),
            *(("kind", word) for word in entry.kinds),
            *(("operation", word) for word in entry.operations),
            ("author", entry.author.lower()),
        ]
        self._connection.executemany(
            "insert into facets values (?, ?, ?)", [(key, *facet) for facet in facets]
        )

    def rank(self, latest: Collection[int], problems: Iterable[tuple[int, str]]) -> None:
        """Say which versions are the latest, and which templates another one stands before.

        Args:
            latest: The keys of the latest versions.
            problems: Keys with the reason why they cannot be used.
        """
        db = self._connection
        db.execute(_RANK_ANEW)
        db.executemany("update templates set latest = 1 where key = ?", [(key,) for key in latest])
        db.executemany(
            "update templates set problem = ? where key = ?", [(why, key) for key, why in problems]
        )
        db.execute("delete from spelling")
        db.execute("insert into spelling select '^' || term || '$' from terms where length(term) > 2")

    def rows(self) -> list[tuple[int, str, str, str, str, str]]:
        """The key, id, version, source, file and own problem of each template."""
        return self._connection.execute(_ROWS).fetchall()

    def versions(self, id: str) -> list[TemplateEntry]:
        """Every version of a template.

        Args:
            id: Its id.
        """
        rows = self._connection.execute(f"{_ENTRIES} where id = ?", (id,))
        return [_entry(*row) for row in rows]

    def ids(self) -> list[str]:
        """Every id, for hints."""
        return [row[0] for row in self._connection.execute("select distinct id from templates order by id")]

    def broken(self) -> list[TemplateEntry]:
        """The templates that cannot be used, each with its reason."""
        rows = self._connection.execute(f"{_ENTRIES} where problem != '' order by id, file")
        return [_entry(*row) for row in rows]

    def find(self, text: str, filter: Filter = EVERYTHING, *, limit: int = 50) -> list[TemplateEntry]:
        """The templates that fit, the best first.

        Args:
            text: Words, the beginnings of words, or misspelt ones; none for all, by title.
            filter: Which templates are looked at.
            limit: At most so many.
        """
        words = _WORD.findall(text.lower())
        match = " AND ".join(self._term(word) for word in words)
        where, values = self._conditions(filter)
        if not words:
            query = f"{_ALL} where {where} order by title, id limit ?"
            rows = self._connection.execute(query, (*values, limit))
        else:
            query = f"{_MATCHES} and {where} order by bm25(words, 10, 8, 6, 4, 2, 2), t.id limit ?"
            rows = self._connection.execute(query, (match, *values, limit))
        return [_entry(self._kept(key), problem) for key, problem in rows]

    def _kept(self, key: int) -> str:
        entry: str = self._connection.execute("select entry from entries where key = ?", (key,)).fetchone()[0]
        return entry

    def _conditions(self, filter: Filter) -> tuple[str, list[Any]]:
        """The filter in SQL, over the table `templates` as `t`."""
        parts = ["t.problem = ''"]
        values: list[Any] = []
        if not filter.all_versions:
            parts.append("t.latest = 1")
        if filter.source:
            parts.append("t.source = ?")
            values.append(filter.source)
        for facet, value in (
            ("category", filter.category.lower()),
            ("keyword", filter.keyword.lower()),
            ("author", filter.author.lower()),
            ("kind", filter.kind),
            ("operation", filter.operation),
        ):
            if value:
                parts.append("t.key in (select key from facets where facet = ? and value = ?)")
                values += [facet, value]
        if filter.installed is not None:
            used = self._connection.execute("select distinct value from facets where facet = 'operation'")
            missing = {row[0] for row in used} - set(filter.installed)
            parts.append(
                "t.key not in (select key from facets where facet = 'operation' "
                "and value in (select value from json_each(?)))"
            )
            values.append(json.dumps(sorted(missing)))
        return " and ".join(parts), values

    def _term(self, word: str) -> str:
        """What FTS5 is asked for a word: what begins with it, or else the nearest spellings."""
        begins = "select 1 from terms where term >= ? and term < ? limit 1"
        known = self._connection.execute(begins, (word, word + "\U0010ffff")).fetchone()
        near = [] if known else self._nearest(word)
        return "(" + " OR ".join(f'"{each}"' for each in near) + ")" if near else f'"{word}"*'

    def _nearest(self, word: str) -> list[str]:
        """The words at the least edit distance; a short one may share no three letters with what was meant."""
        allowed = 1 if len(word) < 6 else 2
        padded = f"^{word}$"
        grams = sorted({padded[at : at + 3] for at in range(len(padded) - 2)})
        query = "select word from spelling where spelling match ? order by rank limit 60"
        rows = self._connection.execute(query, (" OR ".join(f'"{gram}"' for gram in grams),))
        found = _closest(word, (row[0][1:-1] for row in rows), allowed)
        if not found and allowed == 1:
            query = "select term from terms where term >= ? and term < ? and length(term) between ? and ?"
            span = (word[0], word[0] + "\U0010ffff", len(word) - 1, len(word) + 1)
            found = _closest(word, (row[0] for row in self._connection.execute(query, span)), allowed)
        return found


def distance(left: str, right: str, most: int) -> int:
    """How many letters to put in, take out, change or swap with the next one turn one word into the other.

    The optimal string alignment distance (a restricted Damerau-Levenshtein distance), by the rows of its table.

    Args:
        left: A word.
        right: Another.
        most: Beyond so many, `most + 1` is returned.
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: Sequence[int] = ()
    row: Sequence[int] = range(len(right) + 1)
    for i, char in enumerate(left):
        after = [i + 1]
        for j, other in enumerate(right):
            steps = min(after[j] + 1, row[j + 1] + 1, row[j] + (char != other))
            if i and j and char == right[j - 1] and left[i - 1] == other:
                steps = min(steps, before[j - 1] + 1)
            after.append(steps)
        before, row = row, after
    return min(row[-1], most + 1)


def _closest(word: str, words: Iterable[str], allowed: int) -> list[str]:
    measured = [(distance(word, each, allowed), each) for each in words]
    least = min((steps for steps, _ in measured), default=allowed + 1)
    return sorted(each for steps, each in measured if steps == least <= allowed)


def _words(entry: TemplateEntry) -> tuple[str, ...]:
    """The columns that words are found in."""
    return (
        entry.title,
        entry.id,
        " ".join(entry.keywords),
        " ".join(entry.categories),
        entry.description,
        " ".join(entry.operations),
    )


def _encoded(entry: TemplateEntry) -> str:
    return json.dumps({name: getattr(entry, name) for name in TemplateEntry.__slots__})


def _entry(text: str, problem: str) -> TemplateEntry:
    fields: dict[str, Any] = json.loads(text)
    lists = {name: tuple(part) for name, part in fields.items() if isinstance(part, list)}
    return TemplateEntry(**{**fields, **lists, "problem": problem or fields["problem"]})


def _opened(file: Path | None) -> sqlite3.Connection:
    """The database with its tables: the file's, or one in memory where the file cannot be used."""
    if file is not None:
        with contextlib.suppress(OSError, sqlite3.Error):
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                return _prepared(str(file))
            except sqlite3.DatabaseError:
                file.unlink(missing_ok=True)
                return _prepared(str(file))
    return _prepared(":memory:")


def _prepared(place: str) -> sqlite3.Connection:
    connection = sqlite3.connect(place, timeout=10, isolation_level=None)
    try:
        version = connection.execute("pragma user_version").fetchone()[0]
        if version not in (0, FORMAT):
            raise sqlite3.DatabaseError(f"the index has format {version}")
        connection.execute("pragma synchronous = off")  # what is lost is made again
        if version == 0:
            connection.executescript(f"begin immediate; {_TABLES} pragma user_version = {FORMAT}; commit;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
