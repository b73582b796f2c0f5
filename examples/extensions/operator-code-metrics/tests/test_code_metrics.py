import textwrap
import warnings
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_code_metrics.measures import COMMENT, count_functions, count_lines, read_python
from symphony_code_metrics.plugin import (
    ClassifiedFile,
    ignore_warnings_of_measured_code,
    measure,
    measure_path,
)
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.testing import ExtensionContract, recording_context

LABELS = sorted({label for labels in COMMENT.values() for label in labels} | {"txt", "unknown"})


class FileEntry(msgspec.Struct):
    """What the model `symphony.file-type.classify` takes."""

    path: str
    relative: str
    size: int


def classify(file: FileEntry) -> ClassifiedFile:
    """Stand in for that model: it tells by the name."""
    label = "python" if file.path.endswith(".py") else "unknown"
    return ClassifiedFile(file.path, file.relative, file.size, label, "code", label == "python")


class TestContract(ExtensionContract):
    package = "symphony_code_metrics"
    models = {"symphony.file-type.classify": classify}
    examples = {
        measure.id: {
            "file": {
                "path": __file__,
                "relative": Path(__file__).name,
                "size": 1,
                "label": "python",
                "group": "code",
                "is_text": True,
            }
        },
        measure_path.id: {"path": __file__},
    }


@pytest.fixture
def measured(tmp_path, symphony_context):
    def run(content, label="python", *, is_text=True, context=symphony_context, size=None):
        file = tmp_path / "file"
        data = textwrap.dedent(content).encode() if isinstance(content, str) else content
        file.write_bytes(data)
        entry = ClassifiedFile(str(file), "file", len(data) if size is None else size, label, "code", is_text)
        return measure(context, entry)

    return run


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a: pass\n    elif b: pass\n    else: pass", 3),
        ("for x in a: pass", 2),
        ("while a: pass", 2),
        ("try: pass\n    except A: pass\n    except B: pass\n    finally: pass", 3),
        ("return 1 if a else 2", 2),
        ("assert a", 2),
        ("return a and b or c", 3),
        ("return a and b and c", 3),
        ("return [x for x in a if x if not x]", 4),
        ("return {x: y for x in a for y in b}", 3),
        ("match a:\n        case 1: pass\n        case _: pass", 3),
        ("with a: pass", 1),
        ("return lambda: 1 if a else 2", 1),
        ("def inner():\n        if a: pass", 1),
    ],
)
def test_a_branch_adds_one_to_the_complexity(body, complexity):
    [function, *_] = read_python(f"def f(a, b, c):\n    {body}\n").functions

    assert function.complexity == complexity


def test_functions_have_the_names_of_what_is_around_them_and_their_place():
    text = textwrap.dedent("""\
        class A:
            async def method(self):
                def inner():
                    pass

        if True:
            def conditional(): pass
        """)

    found = [(function.name, function.line, function.lines) for function in read_python(text).functions]

    assert found == [("A.method", 2, 3), ("A.method.inner", 3, 2), ("conditional", 7, 1)]


def test_lines_are_code_comment_or_blank(measured):
    result = measured("# comment\n\nx = 1  # code\n   \n    # another\ny = 2\n")

    assert (result.lines, result.code, result.comment, result.blank) == (6, 2, 2, 2)


def test_docstrings_count_as_comments(measured):
    result = measured(
        """\
        '''About the module.'''
        class A:
            '''About
            the class.

            More.
            '''
            text = 'no docstring'
            async def f(self):
                'About the function.'
        """
    )

    assert (result.lines, result.code, result.comment, result.blank) == (10, 3, 6, 1)


def test_the_five_most_complex_functions_come_first(measured):
    source = "".join(f"def f{n}(x):\n    return {' and '.join(['x'] * (n + 1))}\n" for n in range(7))

    result = measured(source)

    assert (result.functions, result.complexity, result.note) == (7, sum(range(1, 8)), "")
    assert [function.name for function in result.complex] == ["f6", "f5", "f4", "f3", "f2"]
    assert result.complex[0].line == 13


@pytest.mark.parametrize(
    ("label", "text", "functions"),
    [
        ("javascript", "function a() {}\nconst b = () => { }\nconst c = x => x\n", 3),
        ("go", "func main() {}\nfunc (s S) f() {}\n// func no\n", 2),
        ("rust", "pub async fn a() {}\nfn b() {}\n", 2),
        ("shell", "a() {\n}\nfunction b() {\n}\n", 2),
        ("ruby", "def a\nend\n", 1),
        ("html", "<script>function</script>", 0),
    ],
)
def test_functions_of_other_languages_are_counted_by_pattern(label, text, functions):
    assert count_functions(text, label) == functions


@pytest.mark.parametrize(
    "content",
    [
        "def broken(:\n    pass\n",
        "print 'python 2'\n",
        "x = 'a\x00b'\n",
        "(" * 500 + ")" * 500,
        "x = " + "-" * 100_000 + "1\n",
        "x = " + "+".join(["1"] * 50_000) + "\n",
    ],
    ids=["syntax", "python2", "null", "parentheses", "minus", "sum"],
)
def test_what_is_no_python_keeps_its_lines_and_says_why(measured, content):
    result = measured(content)

    assert result.lines == len(content.splitlines())
    assert result.code > 0
    assert result.note == "" or result.note.startswith("no Python that can be parsed")


@pytest.mark.parametrize(
    "content", ["def broken(:\n", "x = " + "-" * 100_000 + "1\n"], ids=["syntax", "depth"]
)
def test_the_note_says_what_cannot_be_parsed(measured, content):
    note = measured(content).note

    assert note.startswith("no Python that can be parsed: ")
    assert len(note) > len("no Python that can be parsed: ")


def test_bytes_that_are_no_utf_8_do_not_stop_the_count(measured):
    result = measured("# gr\u00fcn\nx = 'é'\n".encode("latin-1"))

    assert (result.lines, result.code, result.comment, result.note) == (2, 1, 1, "")


def test_a_byte_order_mark_is_no_fault(measured):
    result = measured(b"\xef\xbb\xbfdef f():\n    pass\n")

    assert (result.functions, result.note) == (1, "")


def test_what_is_no_text_is_not_read(symphony_context):
    entry = ClassifiedFile("/nowhere/picture", "picture", 10, "png", "image", False)

    assert measure(symphony_context, entry).lines == 0
    assert measure(symphony_context, entry).note == ""


def test_what_is_larger_than_the_setting_is_not_read(measured):
    result = measured("x = 1\n", context=recording_context(config={"largest": 5}))

    assert (result.lines, result.note) == (0, "larger than 5 bytes")


def test_a_file_that_is_not_there_is_noted(symphony_context):
    result = measure(
        symphony_context, ClassifiedFile("/nowhere/x.py", "x.py", 1, "python", "code", is_text=True)
    )

    assert result.note == "cannot be read: No such file or directory"


def test_what_is_not_declared_is_not_read(measured):
    with pytest.raises(PermissionDenied):
        measured("x = 1\n", context=recording_context(permissions=["file:read:/nowhere/**"]))


def test_a_big_file_is_measured(measured):
    result = measured("def f():\n    return 1\n\n" * 20_000)

    assert (result.lines, result.functions, result.blank) == (60_000, 20_000, 20_000)


def test_a_model_tells_what_a_file_is_that_is_measured_by_its_path(tmp_path):
    file = tmp_path / "f.py"
    file.write_text("def f():\n    pass\n")
    context = recording_context(models={"symphony.file-type.classify": classify})

    result = measure_path(context, file)

    assert (result.relative, result.size, result.label, result.functions) == ("f.py", 18, "python", 1)
    [(name, inputs)] = context.models.ran
    assert (name, inputs["file"].path) == ("symphony.file-type.classify", str(file))


def test_without_the_permission_no_model_is_asked(tmp_path):
    context = recording_context(
        permissions=["file:read:/**"], models={"symphony.file-type.classify": classify}
    )

    with pytest.raises(PermissionDenied):
        measure_path(context, tmp_path)
    assert context.models.ran == []


@given(st.text(max_size=400), st.sampled_from(LABELS))
def test_every_line_of_any_text_is_counted_once(text, label):
    lines = count_lines(text, label)

    assert lines.total == len(text.splitlines()) == lines.code + lines.comment + lines.blank
    assert count_functions(text, label) >= 0


@settings(deadline=None)
@given(st.text(st.sampled_from("def f(x):\n \tif:elsreturn=1+[]{}'\"#\\\x00\u00e9"), max_size=200))
def test_any_text_that_is_called_python_is_measured_or_noted(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.py"
    file.write_text(text, "utf-8", newline="")
    entry = ClassifiedFile(str(file), "any.py", len(text), "python", "code", is_text=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        result = measure(recording_context(), entry)

    assert result.note == "" or result.note.startswith("no Python that can be parsed")
    assert result.complexity >= result.functions == 0 or result.functions >= 1


def test_warnings_about_measured_code_are_not_ours(measured, symphony_context):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignore_warnings_of_measured_code(symphony_context)

        assert measured(b"def f(x):\n    return x is 1 or '\\d'\n").functions == 1
