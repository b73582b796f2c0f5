from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import condition_variables, holds, to_document
from symphony_workflow.templates import dumps, instantiate, loads, make_template, read_template
from symphony_workflow.templates.cel_literals import cel_literal, expression_fault, with_literals
from symphony_workflow.templates.placeholders import RESERVED, is_expression
from symphony_workflow.testing import examples, workflows

TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["${x}", "$${x}", "$$${x}", "${", "$", "'\"\\", "$param", "$each", "$if", "$verbatim"]),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def literals(value, path=()):
    """Every place of a document at which a literal stands that can be chosen."""
    if is_expression(path) or path == ("schema",) or path == ("metadata", "template") or "$expr" in path:
        return
    if path and not holds_expression(value):
        yield path
    if isinstance(value, dict) and not value.keys() & set(RESERVED):
        for key, part in value.items():
            yield from literals(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from literals(part, (*path, index))


def holds_expression(value):
    if isinstance(value, dict):
        return "$expr" in value or any(map(holds_expression, value.values()))
    return isinstance(value, list) and any(map(holds_expression, value))


@settings(max_examples=examples(60), deadline=None)
@given(workflows(), st.data())
def test_a_template_made_of_a_workflow_gives_the_workflow_back(workflow, data):
    document = to_document(workflow)
    document.get("metadata", {}).pop("template", None)
    places = list(literals(document))
    chosen = data.draw(st.lists(st.sampled_from(places), max_size=5, unique=True))
    apart = [
        one for one in chosen if not any(other != one and one[: len(other)] == other for other in chosen)
    ]
    keyed = {f"p{number}": place for number, place in enumerate(apart)}
    made = loads(dumps(make_template(workflow, keyed, id="acme.flow")))
    values = {parameter.name: parameter.default for parameter in made.parameters}
    for given_values in ({}, values):
        again = to_document(instantiate(made, given_values))
        origin = again["metadata"].pop("template")
        if not again["metadata"]:
            del again["metadata"]
        assert again == document
        assert origin == {"id": "acme.flow", "version": "1.0.0", "parameters": given_values}


@settings(max_examples=examples(60), deadline=None)
@given(JSON)
def test_a_literal_in_an_expression_has_the_value_it_was_made_of(value):
    assert holds(f"x == {cel_literal(value)}", {"x": value})


@settings(max_examples=examples(180), deadline=None)
@given(st.text(alphabet="ab'\"\\$ {}./rx1(", max_size=20), st.text(alphabet="a'\"\\ |&()ntrue", max_size=10))
def test_whatever_stands_around_a_place_holder_a_text_in_it_stays_one_string(around, hostile):
    """Where the grammar lets a place holder stand, its text changes no token around it."""
    text = f"{around} ${{x}} == y"
    if expression_fault(text):
        return
    made, harmless = (with_literals(text, lambda _, value=value: value) for value in (hostile, "z"))
    assert made == harmless.replace(cel_literal("z"), cel_literal(hostile))
    assert variables(made) == variables(harmless)


def variables(text):
    """What the parser of CEL takes for names; None where it takes the text for no expression."""
    try:
        return condition_variables(text)
    except WorkflowError:
        return None


@settings(max_examples=examples(60), deadline=None)
@given(
    st.dictionaries(st.sampled_from(["template", "id", "version", "parameters", "workflow", "title"]), JSON)
)
def test_any_document_is_read_or_its_faults_are_told(document):
    if isinstance(document.get("template"), int) and document["template"] > 1:
        document["template"] = 1
    template, faults = read_template(document)
    assert faults or template.id


@settings(max_examples=examples(60), deadline=None)
@given(JSON)
def test_any_workflow_of_a_template_is_read_or_its_faults_are_told(part):
    document = {"template": 1, "id": "a.b", "version": "1", "parameters": {"x": {"default": 1}}}
    template, faults = read_template({**document, "workflow": {"metadata": part, "name": "${x}"}})
    assert faults or template.workflow["metadata"] == part
