import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_workflow import Finding, dumps, loads
from symphony_workflow.places import line_numbers, line_of
from symphony_workflow.testing import examples, workflows


@given(workflows(), st.sampled_from([None, 0, 2]))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
def test_every_node_and_edge_of_a_file_is_found_at_its_line(workflow, indent):
    text = dumps(workflow)
    document = json.loads(text)
    if indent is not None:
        text = json.dumps(document, indent=indent, ensure_ascii=False)
    assert loads(text) == workflow
    lines, found = text.split("\n"), line_numbers(text)
    for id in document["nodes"]:
        assert json.dumps(id) in lines[found["nodes", id] - 1]
    for number, edge in enumerate(document.get("edges", ())):
        start = found["edges", number]
        assert json.dumps(edge["from"], ensure_ascii=False) in "".join(lines[start - 1 : start + 40])
        assert line_of(Finding("SYM-W011", "error", "", edge=number), found) == start


def test_names_within_values_and_texts_that_look_like_json_mislead_nobody():
    text = """{
 "nodes": {
  "a": {"params": {"nodes": {"b": 1}, "x": "{\\"nodes\\": [", "l": [1, [2, {"q": 3}], "]"]}},
  "b": {}
 },
 "workflows": {
  "inner": {"nodes": {
    "c": {}}}
 },
 "outputs": {"o": "a.x"}
}"""
    found = line_numbers(text)
    assert (found["nodes", "a"], found["nodes", "b"]) == (3, 4)

    def line(**place):
        return line_of(Finding("SYM-W011", "error", "", **place), found)

    assert line(node="b") == 4
    assert line(node="c", workflow="inner") == 8
    assert line(node="gone", workflow="inner") == 7
    assert line(port="o") == 10
    assert line() == 0
