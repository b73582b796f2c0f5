import ast
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import cel
import pytest
import symphony_workflow
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow.expression_bounds import MAX_STEPS, size, steps
from symphony_workflow.expression_check import FUNCTIONS
from symphony_workflow.expression_syntax import MAX_NESTING, SyntaxFault, free_names, parse
from symphony_workflow.expressions import BOOLEAN, check_expression, evaluate, expression_names
from symphony_workflow.testing import examples

EXAMPLES = examples(200)
INTEGER, STRING, NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}
REPORT = {
    "$ref": "#/$defs/Report",
    "$defs": {
        "Report": {
            "type": "object",
            "properties": {"path": STRING, "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}},
            "required": ["path"],
        },
        "Part": {"type": "object", "properties": {"size": INTEGER}, "additionalProperties": False},
    },
}
TYPES = {
    "count": INTEGER,
    "share": NUMBER,
    "name": STRING,
    "ready": {"type": "boolean"},
    "files": {"type": "array", "items": STRING},
    "report": REPORT,
    "labels": {"type": "object", "additionalProperties": INTEGER},
    "maybe": {"anyOf": [INTEGER, {"type": "null"}]},
    "either": {"type": ["integer", "string"]},
    "mode": {"enum": ["fast", "slow"]},
    "any": {},
    "inputs": {"type": "object", "properties": {"limit": INTEGER}, "additionalProperties": False},
}


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("inputs.limit * 2", {"inputs": {"limit": 21}}, 42),
        ("'to ' + name", {"name": "Ada"}, "to Ada"),
        ("files.filter(f, f.endsWith('.py'))", {"files": ["a.py", "b"]}, ["a.py"]),
        ("{'n': size(files), 'all': files}", {"files": ["a"]}, {"n": 1, "all": ["a"]}),
        ("ready ? 'now' : null", {"ready": False}, None),
        ("double(count) / 2.0", {"count": 3}, 1.5),
        ("string(timestamp(at).getFullYear())", {"at": "2024-02-29T00:00:00Z"}, "2024"),
        ("x > 1 && a.all(x, x > 0)", {"x": 2, "a": [1]}, True),
    ],
)
def test_an_expression_gives_a_value(text, values, result):
    assert evaluate(text, {**values, "unused": object()}) == result
    assert expression_names(text) == values.keys()


@pytest.mark.parametrize(
    "text",
    [
        "count > 3 && name.startsWith('a')",
        "count > 2.5 || share == 1",
        "share + 1 > 2 || share + 1.5 > 2.0",
        "name in files && name in labels && mode == 'fast'",
        "files.exists(f, f == name) && files[0] != ''",
        "report.path != '' && report.parts.all(p, p.size > count)",
        "has(report.title)",
        "labels['a'] > labels.b && labels.all(k, k != name)",
        "maybe == null || maybe > 3",
        "either == 3 || either == 'a' || either > 2",
        "any.of.what[3].ever(1)".replace(".ever(1)", ".size()") + " > 0 && any + 1 == 2",
        "inputs.limit % 2 == 0",
        "timestamp(name) + duration('1h') > timestamp(name) && timestamp(name) - timestamp(name) < duration('1s')",
        "size(files.map(f, size(f)) + [1]) > 0 && [1, 'a'][0] == 1",
        "(ready ? count : name) == 3",
        "-count < 3 && !ready && {'a': 1}.a == 1",
        "dyn(count) == 'a'",
    ],
)
def test_what_may_work_has_no_fault(text):
    assert check_expression(text, TYPES, wants=BOOLEAN) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuont > 3", "`cuont` is not given; did you mean `count`?"),
        ("zzz > 3", "`zzz` is not given; there is `any`, `count`"),
        ("count > 'a'", "`count > 'a'` cannot work: `>` is given integer and string"),
        ("count + 1.5 > 2.0", "`count + 1.5` cannot work: `+` is given integer and number"),
        ("count == 'a'", "`==` is given integer and string"),
        ("maybe > 'a'", "`>` is given integer or null and string"),
        ("mode == 3", "`==` is given string and integer"),
        ("name && ready", "`&&` is given string and boolean"),
        ("!count", "`!` is given integer"),
        ("-name == ''", "`-` is given string"),
        ("count in files", "`in` is given integer and list of string"),
        ("name[0] == 'a'", "`[]` is given string and integer"),
        ("files['a'] == 'a'", "`[]` is given list of string and string"),
        ("name ? ready : ready", "`?:` is given string and boolean and boolean"),
        ("timestamp(name) + timestamp(name) == null", "`+` is given timestamp and timestamp"),
        ("name - name == ''", "`-` is given string and string"),
        ("count.size > 3", "`count.size` asks for a field of an integer"),
        ("report.pth == ''", "`report.pth` is no field of the object; did you mean `path`?"),
        (
            "report.parts[0].sise > 3",
            "`report.parts[0].sise` is no field of the object; did you mean `size`?",
        ),
        ("inputs.limt == 3", "did you mean `limit`?"),
        ("{'a': 1}.b == 1", "`{'a': 1}.b` is no field of the object; there is `a`"),
        ("{[1]: 1} == {}", "`[1]` is the key of an object, and no string"),
        ("files.all(f, f > 3)", "`f > 3` cannot work"),
        ("files.all(f, size(f))", "`size(f)` is an integer; `all` needs true or false"),
        ("name.all(c, c == 'a')", "`name` is a string; `all` goes over a list or the keys of an object"),
        ("files.map(f, f == name, size(f))[0] == 'a'", "`==` is given integer and string"),
        ("name.startsWith(count)", "`count` is an integer; `.startsWith` takes string"),
        ("size(count) > 3", "`count` is an integer; `size` takes"),
        ("size(files, name) > 3", "gives 'size' 2 values; it takes 1"),
        ("name.strtsWith('a')", "calls `.strtsWith`, which there is not; did you mean `.startsWith`?"),
        ("open('secret') == ''", "calls `open`, which there is not"),
        ("count", "it gives an integer, where a boolean is wanted"),
        ("timestamp(name)", "it gives a timestamp, which JSON has not; write `string(...)`"),
        ("Report{path: ''}", "is not CEL"),
        ("99999999999999999999 > 1", "is not CEL: invalid int literal at column 1"),
        ("if", "`if` at column 1 is a reserved word"),
        ("files.map(1, 2)", "`map` at column 7 names no variable"),
        ("has(count)", "`has` at column 1 tests no field"),
        ("count # 3", "'#' at column 7 is not of the language"),
    ],
)
def test_what_can_never_work_is_told_before_it_runs(text, said):
    faults = check_expression(text, TYPES, wants=BOOLEAN)
    assert any(said in fault for fault in faults), faults
    assert all(len(fault) < 400 for fault in faults)


def test_every_fault_of_an_expression_is_told_once():
    faults = check_expression("a > 1 && b > 1 && a > 2", {}, wants=BOOLEAN)
    assert [fault.partition(": ")[2] for fault in faults] == [
        "`a` is not given; there is nothing",
        "`b` is not given; there is nothing",
    ]


@pytest.mark.parametrize(
    ("text", "wants", "fits"),
    [
        ("count", NUMBER, True),
        ("share", INTEGER, True),
        ("count", STRING, False),
        ("maybe", STRING, False),
        ("either", STRING, True),
        ("files", {"type": "array", "items": INTEGER}, False),
        ("files.map(f, size(f))", {"type": "array", "items": INTEGER}, True),
        ("{'path': name}", REPORT, True),
        ("{'path': count}", REPORT, False),
        ("any", STRING, True),
        ("count", {}, True),
        ("count", None, True),
        ("ready ? count : name", {"type": "boolean"}, False),
        ("null", {"const": None}, True),
        ("name", {"const": {"a": 1}}, True),
        ("name", {"type": "invented"}, True),
    ],
)
def test_the_result_is_held_against_the_type_that_is_wanted(text, wants, fits):
    assert (check_expression(text, TYPES, wants=wants) == []) is fits


def test_a_recursive_schema_is_looked_at_only_so_deep():
    tree = {
        "$ref": "#/$defs/T",
        "$defs": {"T": {"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}}},
    }
    assert check_expression("t.t.t.t", {"t": tree}) == []
    assert check_expression("t.t.x", {"t": tree}) != []
    wide = {name: {"$ref": "#/$defs/T"} for name in "abcdefghij"}
    many = {"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": wide}}}
    assert check_expression("t.a.b", {"t": many}, wants=many) == []


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_library_has_every_function_that_the_checker_knows(name):
    value = {"timestamp": "timestamp('2024-01-02T03:04:05Z')", "duration": "duration('2h')"}
    _, *takes = FUNCTIONS[name]
    given = []
    for kinds in takes:
        kind = next(kind for kind in ("string", "timestamp", "duration") if kind in kinds)
        given.append(value.get(kind, "'2'"))
    if name in value:
        assert evaluate(f"string({value[name]})", {})
    elif name.startswith("."):
        evaluate(f"{given[0]}{name}({', '.join(given[1:])})", {})
    else:
        evaluate(f"{name}({', '.join(given)})", {})


def test_an_expression_without_json_for_an_answer_fails():
    for text in ("timestamp(at)", "{1: 2}", "1.0 / 0.0", "b'ab'"):
        with pytest.raises(WorkflowError, match="it gave no JSON") as refused:
            evaluate(text, {"at": "2024-02-29T00:00:00Z"}, node="n")
        assert refused.value.code == "SYM-W030"
        assert "node 'n'" in refused.value.message


TOKENS = st.sampled_from(
    [
        "a",
        "b.c",
        "x",
        "in",
        "true",
        "null",
        "1",
        "2.5",
        "'it'",
        '"s"',
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "?",
        ".",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "&&",
        "||",
        "==",
        "!=",
        "<",
        ">=",
        "size(",
        ".map(x,",
        ".all(y,",
        "has(a.b)",
        "r'\\d'",
        "0x1F",
        "3u",
        ".5",
        "1e3",
        "//",
        "\n",
        "if",
    ]
)


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(st.lists(TOKENS, max_size=12).map(" ".join))
def test_the_parser_refuses_what_the_library_refuses_and_only_a_little_more(text):
    try:
        parse(text)
        fault = ""
    except SyntaxFault as error:
        fault = str(error)
    try:
        cel.compile(text)
        known = True
    except ValueError:
        known = False
    if not fault:
        assert known, text
    elif known:  # messages, names from the root and lone commas are left out
        assert any(sign in fault for sign in ("`{`", "`.`", "`,`")), (text, fault)


LEAVES = st.sampled_from(["a", "n", "s", "1", "2.5", "'x'", "[1, 2]", "true", "inputs.m", "a[0]", "null"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "==", "<", "&&", "in"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(inner, st.sampled_from(["all", "map", "filter", "exists_one"]), inner).map(
            lambda parts: f"{parts[0]}.{parts[1]}(x, {parts[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        inner.map(lambda part: f"size({part})"),
        inner.map(lambda part: f"string({part})"),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        inner.map(lambda part: "{'k': " + part + "}"),
    ),
    max_leaves=8,
)
VALUES = {"a": [1, 2, 3], "n": 4, "s": "text", "inputs": {"m": ["p"]}}
VALUE_TYPES = {
    "a": {"type": "array", "items": INTEGER},
    "n": INTEGER,
    "s": STRING,
    "inputs": {"type": "object", "properties": {"m": {"type": "array", "items": STRING}}},
}


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(TREES)
def test_what_works_with_values_of_the_given_types_has_no_fault(text):
    """Except for parts that are never reached, and comparisons of what is never equal."""
    values = {name: VALUES[name] for name in expression_names(text) & VALUES.keys()}
    if not check_expression(text, VALUE_TYPES):
        return
    strict = text.replace("==", "<")
    if any(word in strict for word in ("?", "&&", "in ", ".")):
        return
    try:
        evaluate(strict, values)
    except WorkflowError:
        return
    assert not check_expression(strict, VALUE_TYPES), strict


@settings(max_examples=EXAMPLES, deadline=None)
@given(TREES)
def test_the_size_of_a_result_is_within_the_steps(text):
    names = expression_names(text)
    if not names <= VALUES.keys():
        return
    bound = steps(parse(text), VALUES)
    try:
        result = evaluate(text, VALUES)
    except WorkflowError:
        return
    assert size(result).total <= max(bound, size(VALUES).total)


def test_names_that_macros_bind_are_free_outside_of_them():
    assert free_names(parse("a.all(x, x > y) && x > 1")) == {"a", "x", "y"}
    assert free_names(parse("x.all(x, x > 1)")) == {"x"}


def test_nesting_is_bounded():
    for text in ("(" * 200 + "1" + ")" * 200, "!" * 200 + "true", "1" + "+1" * 200, "a" + ".b" * 200):
        with pytest.raises(SyntaxFault, match=f"more than {MAX_NESTING} deep"):
            parse(text)


HOSTILE = {
    "nested maps": ("a.map(x, a.map(y, a.map(z, x)))", {"a": list(range(2000))}),
    "a list that is copied": ("a.map(x, a)", {"a": list(range(5000))}),
    "a filter over many": ("a.filter(x, true)", {"a": list(range(100_000))}),
    "a text that grows": ("a.map(x, s + s + s)", {"a": list(range(1000)), "s": "s" * 1_000_000}),
    "a sum of sums": ("+".join("s" for _ in range(90)), {"s": "s" * 10_000_000}),
    "a pattern that repeats": (r"a.exists(x, s.matches('\\w{300}'))", {"a": list(range(1000)), "s": "s"}),
    "a pattern from outside": (
        "a.exists(x, s.matches(p))",
        {"a": list(range(1000)), "s": "s", "p": r"\w{300}"},
    ),
    "items of items": ("a.map(x, x.map(y, y.map(z, [z, z])))", {"a": [[list(range(300))] * 300] * 300}),
    "a deep value": ("a.all(x, a.all(y, x == y))", {"a": [[[[["x" * 1000] * 50] * 50]]] * 2000}),
    "copies of a value": (f"[{', '.join('a' for _ in range(90))}]", {"a": list(range(100_000))}),
    "keys of an object": ("a.map(x, a.map(y, x + y))", {"a": dict.fromkeys(map(str, range(5000)))}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_expression_is_refused_before_it_runs(case):
    text, values = HOSTILE[case]
    with pytest.raises(WorkflowError) as refused:
        evaluate(text, values, node="n")
    assert refused.value.code == "SYM-W071"
    assert re.search("10,000,000 are allowed|`a` holds more than 1,000,000 values", refused.value.message)
    assert refused.value.hint


def test_a_value_that_nests_too_deeply_is_refused_before_the_library_sees_it():
    deep = {"a": 1}
    for _ in range(100_000):
        deep = {"a": [deep]}
    with pytest.raises(WorkflowError, match="nests lists and objects more than 100 deep") as refused:
        evaluate("size(b) == 1", {"b": deep})
    assert refused.value.code == "SYM-W071"


ALLOWED = {
    "a map as large as may be": ("size(a.map(x, [x]))", {"a": list(range(1500))}),
    "a long text": ("size(s + s)", {"s": "s" * 5_000_000}),
    "a slow pattern": (r"s.matches('^(a+)+$')", {"s": "a" * 1_000_000 + "b"}),
    "a large pattern": (r"s.matches('((a{100}){100}){10}')", {"s": "a"}),
    "many comparisons": ("a.all(x, a.all(y, x != y || x == y))", {"a": list(range(700))}),
    "the longest chain": ("+".join("1" for _ in range(98)), {}),
}
_CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from symphony_workflow.expressions import evaluate
for text, values in json.load(sys.stdin):
    evaluate(text, values)
    print(text)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="the system bounds no memory")
def test_what_is_allowed_stays_within_a_gigabyte_and_some_seconds():
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(list(ALLOWED.values())),
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(ALLOWED)


def test_a_value_of_any_size_may_be_tested_without_a_macro():
    assert evaluate("size(a) > 3 && a[5] == 5", {"a": list(range(200_000))})
    assert steps(parse("size(a) > 3 && a[5] == 5"), {"a": list(range(10))}) == 0
    assert steps(parse("a.all(x, x > 1)"), {"a": list(range(1000))}) < MAX_STEPS


def test_nothing_in_the_package_runs_text_as_python():
    for file in Path(symphony_workflow.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), f"{file}:{node.lineno}"
