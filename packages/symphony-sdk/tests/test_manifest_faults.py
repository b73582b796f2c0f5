"""Broken manifests: each fault is told with its line and column, what was expected, and what to write."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ManifestError, error_from_payload
from symphony_sdk.manifest import Manifest, parse

TYPICAL = """\
schema = 1
[extension]
id = "acme.text"
kind = "operator"
module = "acme_text.plugin"
[requires]
symphony = ">=1.0,<2"
extensions = [{ id = "acme.base", version = ">=1.2" }, { id = "acme.ocr", version = "*", optional = true }]
after = ["acme.metrics"]
[[permissions.required]]
type = "file"
scope = ["read"]
resource = "${project}/**"
reason = "reads the files that it measures"
[[permissions.optional]]
type = "network"
scope = ["read"]
resource = "api.example.org:443"
reason = "looks up licences"
[resources]
memory = "512 MiB"
cpu = 1.0
gpu = 0
processes = 8
load_timeout = "10 s"
[config]
required = ["language"]
[config.properties.language]
type = "string"
enum = ["en", "de"]
[config.properties.depth]
type = "integer"
minimum = 1
default = 3
[config.properties.tags]
type = "array"
items = { type = "string", minLength = 2 }
default = ["abc"]
[templates]
files = ["t/a.json"]
[marketplace]
categories = ["text"]
screenshots = ["shots/a.png"]
homepage = "https://example.org/text"
"""

# What is replaced, by what (`‸` right before the place that must be named), and what the error says.
BROKEN = [
    ("schema = 1", "", "schema: is missing", "Add `schema = 1`."),
    (
        "schema = 1",
        "‸schema = 0",
        "schema: input should be greater than or equal to 1, found the integer 0",
        "`1`",
    ),
    ("schema = 1", '‸schema = "1"', "schema: expected a whole number, found the string '1'", ""),
    ("schema = 1", "schema = 1\n‸shema = 1", "shema: unknown key", "Did you mean `schema`?"),
    ("[extension]", "[‸extnsion]", "extnsion: unknown key", "Did you mean `extension`?"),
    ("[extension]", "‸extension = 1\n[x]", "extension: expected a table, found the integer 1", ""),
    ('id = "acme.text"', "", "extension.id: is missing", 'Add `id = "acme.text"`.'),
    (
        'id = "acme.text"',
        "‸id = 3",
        "extension.id: expected text in quotes, found the integer 3",
        '`"acme.text"`',
    ),
    ('id = "acme.text"', '‸id = "acme"', "form publisher.name, found the string 'acme'", "two names"),
    ('id = "acme.text"', '‸id = "acme.text.x"', "form publisher.name", "two names"),
    ('id = "acme.text"', '‸id = "Acme.text"', "form publisher.name", "lower-case"),
    ('id = "acme.text"', '‸id = "acme.-x"', "form publisher.name", "two names"),
    ('id = "acme.text"', f'‸id = "acme.{"x" * 200}"', "form publisher.name", "two names"),
    ('"operator"', '"oprator"', "found the string 'oprator'", "Did you mean `operator`?"),
    ('kind = "operator"', '‸kind = "oprator"', "extension.kind: expected 'instrument', 'op", ""),
    ('kind = "operator"', "‸kind = ['operator']", "found an array", ""),
    ('"acme_text.plugin"', '"acme-text.plugin"', "dotted name of a module", "`acme_text.plugin`"),
    ('module = "acme_text.plugin"', '‸module = "a:b"', "dotted name of a module", ""),
    ('module = "acme_text.plugin"', '‸module = "a..b"', "dotted name of a module", ""),
    ('module = "acme_text.plugin"', '‸module = "a.import"', "dotted name of a module", ""),
    ("[requires]", 'runs = "here"\n[requires]', "extension.runs: expected 'worker' or 'host'", ""),
    ("[requires]", '‸inherits = "base"\n[requires]', "inherits from base, which is not installed", "Install"),
    ('symphony = ">=1.0,<2"', '‸symphony = "1.0"', "requires.symphony: expected a range", "PEP 440"),
    ('symphony = ">=1.0,<2"', '‸symphony = ""', "requires.symphony: expected a range", "PEP 440"),
    ('version = ">=1.2"', '‸version = "new"', "requires.extensions[0].version: expected a range", "PEP 440"),
    ("optional = true", "‸optional = 1", "expected true or false, found the integer 1", "`true`"),
    ("optional = true", "‸optinal = true", "requires.extensions[1].optinal: unknown key", "`optional`"),
    ('{ id = "acme.ocr",', "‸{", "requires.extensions[1].id: is missing", "Add `id ="),
    ('id = "acme.base"', '‸id = "acme.text"', "acme.text cannot require itself", "Remove it."),
    ('id = "acme.ocr"', '‸id = "acme.base"', "acme.base is required twice", "commas"),
    ('["acme.metrics"]', '["acme.metrics", ‸"x"]', "requires.after[1]: expected an id", ""),
    ('["acme.metrics"]', '[‸"acme.text"]', "acme.text cannot load after itself", "Remove it."),
    ('after = ["acme.metrics"]', '‸after = "acme.metrics"', "expected an array", '`["acme.metrics"]`'),
    ('type = "file"', '‸type = "flie"', "permissions.required[0].type: expected 'file'", "`file`"),
    ('type = "file"', '‸tpye = "file"\ntype = "file"', "permissions.required[0].tpye: unknown", "`type`"),
    (
        'scope = ["read"]\nresource = "$',
        'scope = ["read", ‸"wriet"]\nresource = "$',
        "scope[1]: expected 'read'",
        "`write`",
    ),
    ('scope = ["read"]\nresource = "$', '‸scope = []\nresource = "$', "the scope is empty", ""),
    (
        'scope = ["read"]\nresource = "a',
        '‸scope = ["execute"]\nresource = "a',
        "no scope 'execute'",
        "read, write",
    ),
    ('"${project}/**"', '"${project}/../**"', "lead out of its root", ""),
    (
        'resource = "${project}/**"',
        '‸resource = "src/**"',
        "permissions.required[0].resource: the path",
        "${project}",
    ),
    ('resource = "api', '‸resource = "http://api', "permissions.optional[0].resource", "host:port"),
    ('reason = "looks up licences"', "", "permissions.optional[0].reason: is missing", "Add `reason ="),
    ('reason = "looks up licences"', '‸reason = " "', "expected a line of text", "1 to 500"),
    ('reason = "looks up licences"', '‸reason = "a\\u202eb"', "expected a line of text", "invisible"),
    ("[[permissions.required]]", "[permissions.‸required]", "permissions.required: expected an array", ""),
    ('memory = "512 MiB"', '‸memory = "512 mib"', "expected an amount of memory", "MiB"),
    ('memory = "512 MiB"', '‸memory = "MiB"', "expected an amount of memory", "MiB"),
    ('memory = "512 MiB"', "‸memory = true", "expected an amount of memory, found the boolean true", ""),
    ('memory = "512 MiB"', '‸memory = "1 B"', "greater than or equal to 1048576", '`"512 MiB"`'),
    ("cpu = 1.0", "‸cpu = 0", "input should be greater than 0, found the integer 0", "`1.0`"),
    ("cpu = 1.0", "‸cpu = nan", "resources.cpu: expected a finite number, found the float nan", "`1.0`"),
    ("cpu = 1.0", '‸cpu = "1"', "expected a number, found the string '1'", "`1.0`"),
    ("cpu = 1.0", "‸cup = 1.0", "resources.cup: unknown key", "Did you mean `cpu`?"),
    ("gpu = 0", "‸gpu = -1", "greater than or equal to 0", ""),
    ("processes = 8", "‸processes = 0", "greater than or equal to 1", "`8`"),
    ("processes = 8", "‸processes = 1.5", "expected a whole number, found the float 1.5", "`8`"),
    ('load_timeout = "10 s"', '‸load_timeout = "10 sec"', "expected a time", "ms, s, min, h"),
    ('load_timeout = "10 s"', "‸load_timeout = 1979-05-27", "expected a time, found the date", ""),
    ('required = ["language"]', 'required = [‸"langage"]', "'langage' is not among the properties", ""),
    (
        "[config.properties.language]",
        "[config.properties.‸Language]",
        "config.properties.Language: is no name",
        "",
    ),
    ("minimum = 1", '‸minimum = "1"', "expected a number, found the string '1'", ""),
    ("minimum = 1", "‸minimum = nan", "expected a number", ""),
    ("minimum = 1", "‸minimum = 9\nmaximum = 8", "is above the maximum: 9 > 8", ""),
    ("minimum = 1", "‸minLength = 1", "belongs to a setting of type string", ""),
    ("minimum = 1", "‸items = { type = 'string' }", "belongs to a setting of type array", ""),
    ("minimum = 1", "minimum = 1\n‸minimun = 1", "minimun: unknown key", "Did you mean `minimum`?"),
    (
        "default = 3",
        "‸default = 0",
        "config.properties.depth.default: expected at least 1, found 0",
        "default",
    ),
    ("default = 3", '‸default = "3"', "default: expected an integer, found '3'", "default"),
    ("default = 3", "‸default = true", "default: expected an integer, found True", "default"),
    ("default = 3", "‸default = 1979-05-27", "default: expected an integer", "default"),
    ('type = "integer"', '‸type = "int"', "config.properties.depth.type: expected 'boolean'", ""),
    ('enum = ["en", "de"]', 'enum = ["en", ‸3]', "enum[1]: expected a string, found 3", ""),
    ('enum = ["en", "de"]', "‸enum = []", "at least 1 item", ""),
    ('enum = ["en", "de"]', "‸pattern = 3", "expected text in quotes, found the integer 3", '`"^[a-z]+$"`'),
    ('enum = ["en", "de"]', '‸pattern = "a(?=b)"', "look-around", "linear time"),
    ('enum = ["en", "de"]', '‸pattern = "a{99999999999999}"', "expected a regular expression", "linear time"),
    ("minimum = 1", "‸minimum = inf", "expected a number", ""),
    ('enum = ["en", "de"]', '‸pattern = "("', "expected a regular expression", ""),
    ('enum = ["en", "de"]', "‸minLength = 3\nmaxLength = 2", "is above maxLength: 3 > 2", ""),
    (
        'enum = ["en", "de"]',
        '‸default = "x"\nformat = "secret"',
        "a secret in a manifest is no secret",
        "Remove",
    ),
    ('enum = ["en", "de"]', '‸format = "date"', "expected 'secret'", ""),
    ('items = { type = "string", minLength = 2 }', "", "items: is missing", "Add `items"),
    ("minLength = 2 }", '‸default = "x" }', "belongs to a whole setting", "Remove"),
    ("minLength = 2 }", "‸minLenght = 2 }", "minLenght: unknown key", "`minLength`"),
    (
        'default = ["abc"]',
        'default = ["abc", ‸"a"]',
        "default[1]: expected at least 2 characters, found 1",
        "",
    ),
    ('["text"]', '["text", ‸"Text"]', "marketplace.categories[1]: expected a short name", ""),
    ('["t/a.json"]', '[‸"../a.json"]', "templates.files[0]: expected the path of a template file", ""),
    ('["t/a.json"]', '[‸"a.toml"]', "expected the path of a template file", ".json"),
    ('["shots/a.png"]', '[‸"../a.png"]', "marketplace.screenshots[0]: expected the path of an image", ""),
    ('["shots/a.png"]', '[‸"/a.png"]', "expected the path of an image", ""),
    ('["shots/a.png"]', '[‸"a.svg"]', "expected the path of an image", ".png"),
    ('homepage = "https', '‸homepage = "http', "expected an https address", "https://"),
    ("[marketplace]", '[marketplace]\n‸pricing = "cheap"', "expected 'free', 'freemium' or 'paid'", ""),
    ("[marketplace]", "[‸marketpalce]", "marketpalce: unknown key", "`marketplace`"),
]
# Where what is missing would stand: at the table that lacks it.
MISSING = {
    "schema: is missing": (1, 1),
    "extension.id: is missing": (2, 2),
    "permissions.optional[0].reason: is missing": (15, 15),
    "items: is missing": (35, 20),
}


def _broken(old: str, new: str) -> str:
    assert TYPICAL.count(old) >= 1
    return TYPICAL.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "message", "hint"), BROKEN)
def test_a_fault_is_told_at_its_line_and_column(old: str, new: str, message: str, hint: str) -> None:
    marked = _broken(old, new)
    text = marked.replace("‸", "")
    with pytest.raises(ManifestError) as caught:
        parse(text, file="acme/symphony.toml")
    error = caught.value
    alone = {
        "path": "",
        "message": error.message,
        "hint": error.hint,
        "line": error.line,
        "column": error.column,
    }
    rows = error.details.get("faults", [alone])
    told = [row for row in rows if message in f"{row['path']}: {row['message']}" and hint in row["hint"]]
    assert told, rows
    assert error.file == "acme/symphony.toml"
    if "‸" in marked:
        lines = marked.partition("‸")[0].split("\n")
        place = (len(lines), len(lines[-1]) + 1)
    elif message in MISSING:
        place = MISSING[message]
    else:
        line = next(at for at, row in enumerate(text.split("\n"), 1) if row not in TYPICAL.split("\n"))
        place = (line, 1)
    assert (told[0]["line"], told[0]["column"]) == place


def test_a_sound_manifest_is_read() -> None:
    assert isinstance(parse(TYPICAL), Manifest)


def test_one_fault_is_the_whole_message_with_its_own_hint() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(_broken("cpu = 1.0", "cup = 1.0"), file="symphony.toml")
    assert str(caught.value) == "symphony.toml:22:1: resources.cup: unknown key"
    assert caught.value.hint == "Did you mean `cpu`?"
    assert caught.value.code == "SYM-M001"


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = _broken('kind = "operator"', 'kind = "x"').replace("cpu = 1.0", "cpu = -1").replace("../", "")
    text = text.replace('"${project}/**"', '"src"').replace("default = 3", "default = 0")
    with pytest.raises(ManifestError) as caught:
        parse(text, file="s.toml")
    error = caught.value
    assert [(row["path"], row["line"]) for row in error.details["faults"]] == [
        ("extension.kind", 4),
        ("permissions.required[0].resource", 13),
        ("resources.cpu", 22),
        ("config.properties.depth.default", 34),
    ]
    assert (error.line, error.column) == (4, 1)
    lines = error.message.split("\n")
    assert lines[0] == "4 faults:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        "s.toml:4:1",
        "s.toml:13:1",
        "s.toml:22:1",
        "s.toml:34:1",
    ]


def test_the_faults_cross_a_boundary_whole() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(_broken("cpu = 1.0", "cup = 1.0"), file="symphony.toml")
    received = error_from_payload(caught.value.payload())
    assert isinstance(received, ManifestError)
    assert received.payload() == caught.value.payload()


def test_a_key_that_needs_quotes_is_shown_in_quotes() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(TYPICAL + '"odd key" = 1\n')
    assert caught.value.details["faults"][0]["path"] == "marketplace.'odd key'"


_value = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(),
    st.lists(st.integers(), max_size=2),
    st.builds(lambda: {"x": {"y": 1}}),
)
_sections = ("extension", "requires", "permissions", "resources", "config", "marketplace")
_keys: list[tuple[str, ...]] = [("schema",), *((section,) for section in _sections)]
for _section in _sections:
    _model = Manifest.model_fields[_section].annotation
    assert _model is not None
    _keys += [(_section, _name) for _name in [*_model.model_fields, "x"]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_keys), _value), min_size=1, max_size=3))
def test_any_value_anywhere_is_accepted_or_told_with_a_place(
    changes: list[tuple[tuple[str, ...], object]],
) -> None:
    text = _as_inline_toml(changes)
    try:
        parse(text)
    except ManifestError as error:
        assert error.line >= 1
        assert error.column >= 1


def _as_inline_toml(changes: list[tuple[tuple[str, ...], object]]) -> str:
    document: dict[str, object] = {"schema": 1}
    document["extension"] = {"id": "acme.text", "kind": "operator", "module": "m"}
    for path, value in changes:
        if len(path) == 1:
            document[path[0]] = copy.deepcopy(value)
        else:
            table = document.setdefault(path[0], {})
            if isinstance(table, dict):
                table[path[1]] = copy.deepcopy(value)
    return "\n".join(f"{key} = {_toml(value)}" for key, value in document.items())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08X}" for character in value) + '"'
    return str(value).lower()
