"""The locator points at the key itself, in every way that TOML has of writing one."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.manifest.locator import KeyPath, Position, locate

# Each `‸` stands right before what the path leads to.
PLACES = [
    ("a key", "‸a = 1", ("a",)),
    ("an indented key", "x = 1\n \t‸a = 1", ("a",)),
    ("a key after CRLF", "x = 1\r\n‸a = 1\r\n", ("a",)),
    ("a key after wide characters", 'x = { y = "é𝄞", ‸a = 1 }', ("x", "a")),
    ("a dotted key", "t.‸a.b = 1", ("t", "a")),
    ("the end of a dotted key", "t . a . ‸b = 1", ("t", "a", "b")),
    ("a key in a table", "[t]\n‸a = 1", ("t", "a")),
    ("a table", "[ ‸t ]\na = 1", ("t",)),
    ("a table inside", "[t.‸u]", ("t", "u")),
    ("a table named only on the way", "[‸t.u]\n[t]\n", ("t",)),
    ("a key of a table after its child", "[t.u]\na = 1\n[t]\n‸a = 1", ("t", "a")),
    ("a quoted key", '‸"a b" = 1', ("a b",)),
    ("a key with escapes", '‸"a\\u0020\\"b" = 1', ('a "b',)),
    ("a literal key", "‸'a.b\\n' = 1", ("a.b\\n",)),
    ("a key with a dot in quotes", "[t.‸'a.b']", ("t", "a.b")),
    ("an empty key", '‸"" = 1', ("",)),
    ("a number as a key", "[‸1]\n", ("1",)),
    ("an inline table's key", "t = { a = 1, ‸b = 2 }", ("t", "b")),
    ("an inline table's dotted key", "t = { a.‸b = 2 }", ("t", "a", "b")),
    ("an inline table in an array", "t = [{ a = 1 }, { ‸a = 2 }]", ("t", 1, "a")),
    ("an array's element", "t = [1,\n  # ]\n  ‸2, ]", ("t", 1)),
    ("a nested array's element", "t = [[1, 2], [3, ‸4]]", ("t", 1, 1)),
    ("an element after a string with a bracket", 't = [\'],[\', "]\\",", ‸3]', ("t", 2)),
    ("an array of tables", "[[‸t]]\n[[t]]", ("t",)),
    ("an array of tables' first element", "[[‸t]]\n[[t]]", ("t", 0)),
    ("an array of tables' second element", "[[t]]\n[[ ‸t ]]", ("t", 1)),
    ("a key in the second element", "[[t]]\na = 1\n[[t]]\n‸a = 1", ("t", 1, "a")),
    ("a table in the last element", "[[t]]\n[t.u]\n[[t]]\n[t.u]\n‸a = 1", ("t", 1, "u", "a")),
    ("an array of tables in one", "[[t]]\n[[t.u]]\n[[t]]\n[[t.u]]\n[[t.u]]\n‸a = 1", ("t", 1, "u", 1, "a")),
    ("a key after a comment like it", "# a = 1\n‸a = 1 # a = 2", ("a",)),
    ("a key after text like it", 'x = """\na = 1\n"""\n‸a = 1', ("a",)),
    ("a key after literal text like it", "x = '''\na = 1\n\\'''\n‸a = 1", ("a",)),
    ("a key after text that ends in quotes", 'x = """"y"""""\n‸a = 1', ("a",)),
    ("a key after empty text", 'x = """"""\ny = \'\'\'\'\'\'\nz = ""\n‸a = 1', ("a",)),
    ("a key after an escaped quote", 'x = "\\"a = 1"\n‸a = 1', ("a",)),
    ("a key after escaped quotes", 'x = """\\""" a\n"""\n‸a = 1', ("a",)),
    ("a key after a header like it in text", "x = '''\n[a]\n'''\n[‸a]", ("a",)),
    ("a key after dates and numbers", "x = 1979-05-27 07:32:00Z\ny = +inf\nz = 0xff\n‸a = 1", ("a",)),
]


@pytest.mark.parametrize(
    ("text", "path"), [place[1:] for place in PLACES], ids=[place[0] for place in PLACES]
)
def test_a_path_is_found_at_its_key(text: str, path: KeyPath) -> None:
    before, _, after = text.partition("‸")
    tomllib.loads(before + after)
    lines = before.split("\n")
    assert locate(before + after, path) == Position(len(lines), len(lines[-1]) + 1)


@pytest.mark.parametrize("path", [("b",), ("t", "b"), ("t", 1), ("t", "a", 0), ()])
def test_a_path_that_is_not_there_is_not_found(path: KeyPath) -> None:
    assert locate("[t]\na = 1", path) is None


def test_text_that_is_not_toml_is_refused_rather_than_misread() -> None:
    with pytest.raises(ValueError, match="not TOML at offset 0"):
        locate("= 1", ("a",))


# -- generated documents, written in the many ways of TOML, with the place of each key noted -----------

_key = st.one_of(st.sampled_from(["a", "b", "c-d", "1"]), st.text(max_size=3))
_tricky = st.sampled_from(["a = 1", "[a]", "# a", '"""', "'''", "]", "}", ",", "\\", '"', "\n[[a]]\n", "é𝄞"])
_scalar = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.just(1.5),
    st.text(max_size=4),
    st.lists(_tricky, max_size=3).map("".join),
)
_inline = st.recursive(
    _scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_key, inner, max_size=3)),
    max_leaves=6,
)
_tables = st.recursive(
    st.dictionaries(_key, _inline, max_size=3),
    lambda inner: st.dictionaries(
        _key, st.one_of(_inline, inner, st.lists(inner, min_size=1, max_size=3)), max_size=3
    ),
    max_leaves=6,
)


class _Writer:
    """Writes a document as TOML and notes where each path starts."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.places: dict[KeyPath, int] = {}

    def pick(self, *choices: str) -> None:
        self.text += self.draw(st.sampled_from(choices))

    def note(self, path: KeyPath) -> None:
        self.places.setdefault(path, len(self.text))

    def key(self, key: str) -> str:
        forms = [_basic(key)]
        if key and all(
            character.isascii() and (character.isalnum() or character in "-_") for character in key
        ):
            forms.append(key)
        if key.isprintable() and "'" not in key:
            forms.append(f"'{key}'")
        return self.draw(st.sampled_from(forms))

    def header(self, path: KeyPath, *, array: bool) -> None:
        self.pick("", "\n", "# [a] = 'x\n", "\r\n", " ")
        self.text += "[[" if array else "["
        prefix: KeyPath = ()
        names = [(at, part) for at, part in enumerate(path) if isinstance(part, str)]
        for count, (at, part) in enumerate(names):
            self.pick("", " ", "\t")
            prefix = path[: at + 1]
            self.note(prefix)
            if at + 1 < len(path) and isinstance(path[at + 1], int):
                self.note(path[: at + 2])
            self.text += self.key(part)
            self.pick("", " ")
            if count < len(names) - 1:
                self.text += "."
        self.text += "]]" if array else "]"
        self.pick("\n", " # a = 1\n", "\r\n")

    def table(self, path: KeyPath, table: dict[str, Any]) -> None:
        below = {key: value for key, value in table.items() if _is_table(value) and self.draw(st.booleans())}
        for key, value in table.items():
            if key not in below:
                self.pick("", "  ", "\n", "# a = 1\n")
                self.pair(path, key, value)
                self.pick("\n", " # ]\n", "\r\n")
        for key, value in below.items():
            if isinstance(value, dict):
                self.header((*path, key), array=False)
                self.table((*path, key), value)
            else:
                for index, element in enumerate(value):
                    self.header((*path, key, index), array=True)
                    self.table((*path, key, index), element)

    def pair(self, path: KeyPath, key: str, value: object) -> None:
        path = (*path, key)
        self.note(path)
        self.text += self.key(key)
        # A table of one key may be written as a dotted key.
        while isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            self.pick(".", " . ")
            [(key, value)] = value.items()
            path = (*path, key)
            self.note(path)
            self.text += self.key(key)
        self.pick("=", " = ", "\t=")
        self.value(path, value)

    def value(self, path: KeyPath, value: object) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for index, (key, each) in enumerate(value.items()):
                self.text += ", " if index else " "
                self.pair(path, key, each)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for index, each in enumerate(value):
                self.pick("", " ", "\n", " # ],\n")
                self.note((*path, index))
                self.value((*path, index), each)
                self.pick(",", ", ", "\n,")
            self.text += "]"
        elif isinstance(value, str):
            forms = [_basic(value), '"""' + _basic(value)[1:-1] + '"""']
            if "\n" not in value and value.isprintable() and "'" not in value:
                forms.append(f"'{value}'")
            if "'" not in value and value.replace("\n", "").isprintable():
                forms.append(f"'''\n{value}'''")
            if value.isprintable() and "\\" not in value and '"' not in value:
                forms.append(f'"""\n{value}"""')
            self.text += self.draw(st.sampled_from(forms))
        else:
            self.text += str(value).lower()


def _basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
    )


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], str, dict[KeyPath, int]]:
    document = draw(_tables)
    writer = _Writer(draw)
    writer.table((), document)
    return document, writer.text, writer.places


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_path_of_a_generated_document_is_found_where_it_was_written(
    generated: tuple[dict[str, Any], str, dict[KeyPath, int]],
) -> None:
    document, text, places = generated
    assert tomllib.loads(text) == document
    for path, offset in places.items():
        lines = text[:offset].split("\n")
        assert locate(text, path) == Position(len(lines), len(lines[-1]) + 1), path
