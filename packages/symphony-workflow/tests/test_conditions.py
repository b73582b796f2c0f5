import pytest
from symphony_sdk.errors import WorkflowError
from symphony_workflow import check_expression, condition_variables, holds
from symphony_workflow.expressions import BOOLEAN, MAX_LENGTH


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("count > 3", {"count": 4}, True),
        ("count > 3", {"count": 2.5}, False),
        ("name.startsWith('a') && !empty", {"name": "abc", "empty": False}, True),
        ("size(files) == 2", {"files": ["a", "b"]}, True),
        ("files.exists(f, f.tags.exists(t, t == 'x'))", {"files": [{"tags": ["y", "x"]}]}, True),
        ("has(report.path) && report.path != ''", {"report": {}}, False),
        ("value == null", {"value": None}, True),
        ("text.matches('^(a+)+$')", {"text": "a" * 5_000 + "b"}, False),
        ("true", {}, True),
    ],
)
def test_a_condition_holds_or_not(text, values, answer):
    assert holds(text, {**values, "unused": object()}) is answer


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("count > 3", {"count"}),
        ("a.b.c == d[e]", {"a", "d", "e"}),
        ("files.exists(f, f.tags.all(t, t == limit))", {"files", "limit"}),
        ('\'x.all(y, y)\' == "a\\"b" + z', {"z"}),
        ("1 < 2", set()),
    ],
)
def test_the_variables_of_a_condition_are_those_it_needs_from_outside(text, names):
    assert condition_variables(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("count >", "is not CEL: the end at column 8 is not expected there"),
        ("", "is not CEL"),
        ("import os", "is not CEL"),
        ("__import__('os').system('true')", "calls `.system`, which there is not"),
        ("[" * 500, "is not CEL"),
        ("x" * (MAX_LENGTH + 1), "has 1,001 characters; 1,000 are allowed"),
        ("count > 3 && size > 1", "`size` is not given; there is `count`"),
    ],
)
def test_a_wrong_condition_is_told_before_it_is_run(text, said):
    (fault,) = check_expression(text, {"count": {}}, wants=BOOLEAN)
    assert said in fault
    assert len(fault) < 400


def test_a_right_condition_has_no_fault():
    assert check_expression("count > 3", {"count": {}, "files": {}}, wants=BOOLEAN) == []
    assert check_expression("anything > 3", wants=BOOLEAN) == []


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("count > 3", {}, "it uses count"),
        ("count > 3", {"count": "4"}, "No such overload"),
        ("count > 3", {"count": None}, "No such overload"),
        ("1 / count > 3", {"count": 0}, "division by zero"),
        ("report.path == ''", {"report": {}}, "path"),
        ("count", {"count": 3}, "it gave 3, not true or false"),
        ("value == value", {"value": object()}, "cannot be evaluated"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_names_its_node_and_text(text, values, said):
    with pytest.raises(WorkflowError) as refused:
        holds(text, values, node="report")
    assert refused.value.code == "SYM-W030"
    assert said in refused.value.message
    assert refused.value.details == {"node": "report", "expression": text}
    assert "node 'report'" in refused.value.message
    assert refused.value.hint


def test_nested_macros_are_bounded_by_the_values_at_hand():
    text = "a.all(x, a.all(y, x + y >= 0))"
    assert holds(text, {"a": list(range(100))})
    with pytest.raises(WorkflowError, match="10,000,000 are allowed"):
        holds(text, {"a": list(range(2_000))})
    assert holds("a.all(x, x >= 0)", {"a": list(range(10_000))})
