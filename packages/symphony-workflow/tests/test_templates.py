import json

import pytest
from symphony_sdk.errors import WorkflowError
from symphony_workflow import ConditionalEdge, check, holds, to_document
from symphony_workflow.templates import (
    Origin,
    binding,
    check_template,
    definition,
    dumps,
    from_document,
    instantiate,
    load,
    loads,
    make_template,
    origin_of,
    read_template,
)
from symphony_workflow.templates import (
    to_document as template_document,
)

WALK = {"kind": "operator", "uses": "symphony.files.walk"}


def document(workflow=None, parameters=None, **more):
    return {
        "template": 1,
        "id": "acme.tidy",
        "version": "1.0.0",
        "parameters": parameters or {},
        "workflow": {"schema": 2, "id": "tidy", "nodes": {"walk": WALK}, **(workflow or {})},
        **more,
    }


def template(workflow=None, parameters=None, **more):
    return from_document(document(workflow, parameters, **more))


def faults_of(found):
    return [(fault.path, fault.message) for fault in found]


def refusal(call, code):
    with pytest.raises(WorkflowError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def test_a_parameter_can_stand_for_any_value():
    made = template(
        {
            "name": {"$param": "title"},
            "inputs": {"path": {"schema": {"$param": "schema"}}},
            "nodes": {
                "walk": {**WALK, "params": {"include": {"$param": "globs"}}, "timeout": {"$param": "most"}}
            },
            "edges": [{"from": "$inputs.path", "to": "walk.path"}],
        },
        {
            "title": {"type": "string"},
            "schema": {"type": "object", "default": {"type": "string"}},
            "globs": {"type": "array", "items": {"type": "string"}},
            "most": {"type": "number", "default": 5},
        },
    )
    workflow = instantiate(made, {"title": "Tidy", "globs": ["*.py"]})
    assert workflow.name == "Tidy"
    assert workflow.inputs[0].schema == {"type": "string"}
    assert workflow.nodes[0].params == {"include": ["*.py"]}
    assert workflow.nodes[0].timeout == 5


def test_a_parameter_can_stand_inside_of_text_and_names():
    made = template(
        {
            "nodes": {"walk_${part}": {**WALK, "label": "Walk $${HOME} to ${part}, ${depth} deep, ${deep}"}},
            "edges": [{"kind": "control", "from": "walk_${part}", "to": "walk_${part}"}],
        },
        {
            "part": {"type": "string"},
            "depth": {"type": "number"},
            "deep": {"type": "boolean", "default": True},
        },
    )
    workflow = instantiate(made, {"part": "src", "depth": 2.5})
    assert workflow.nodes[0].id == "walk_src"
    assert workflow.nodes[0].label == "Walk ${HOME} to src, 2.5 deep, true"
    assert workflow.edges[0].source == "walk_src"


def test_nodes_and_edges_are_repeated_for_each_item():
    made = template(
        {
            "nodes": {
                "walk_${folder.name}": {
                    "$each": "folders",
                    "$as": "folder",
                    "$value": {
                        **WALK,
                        "label": "${folder_index}",
                        "params": {"path": {"$param": "folder.path"}},
                    },
                },
                "last": WALK,
            },
            "edges": [
                {
                    "$each": "folders",
                    "$as": "folder",
                    "$value": {"kind": "control", "from": "walk_${folder.name}", "to": "last"},
                }
            ],
        },
        {"folders": {"type": "array", "items": {"type": "object"}}},
    )
    workflow = instantiate(made, {"folders": [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]})
    assert [node.id for node in workflow.nodes] == ["walk_a", "walk_b", "last"]
    assert [node.label for node in workflow.nodes] == ["0", "1", ""]
    assert workflow.nodes[1].params == {"path": "/b"}
    assert [edge.source for edge in workflow.edges] == ["walk_a", "walk_b"]


def test_repetitions_can_stand_within_each_other_and_leave_items_out():
    made = template(
        {
            "nodes": {
                "walk_${row}_${column}": {
                    "$each": "rows",
                    "$as": "row",
                    "$value": {"$each": "columns", "$as": "column", "$if": "row <= column", "$value": WALK},
                }
            }
        },
        {
            "rows": {"type": "array", "items": {"type": "integer"}},
            "columns": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]},
        },
    )
    assert [node.id for node in instantiate(made, {"rows": [1, 2]}).nodes] == [
        "walk_1_1",
        "walk_1_2",
        "walk_2_2",
    ]


def test_optional_parts_follow_a_truth_value_or_a_condition():
    made = template(
        {
            "nodes": {
                "walk": {
                    **WALK,
                    "timeout": {"$if": "most > 0", "$value": {"$param": "most"}},
                    "label": {"$if": "short", "$value": "Walk", "$else": "Walk the whole folder"},
                },
                "again": {"$if": "!short", "$value": WALK},
            }
        },
        {"short": {"type": "boolean"}, "most": {"type": "integer", "default": 0}},
    )
    short = instantiate(made, {"short": True})
    assert [node.id for node in short.nodes] == ["walk"]
    assert (short.nodes[0].timeout, short.nodes[0].label) == (None, "Walk")
    whole = instantiate(made, {"short": False, "most": 9})
    assert [node.id for node in whole.nodes] == ["walk", "again"]
    assert (whole.nodes[0].timeout, whole.nodes[0].label) == (9, "Walk the whole folder")


def test_a_literal_is_taken_as_it_is():
    made = template({"nodes": {"walk": {**WALK, "params": {"x": {"$verbatim": {"$param": "${nobody}"}}}}}})
    assert instantiate(made).nodes[0].params == {"x": {"$param": "${nobody}"}}


def test_what_is_made_remembers_where_it_came_from():
    made = template({"name": "${title}"}, {"title": {"type": "string"}, "n": {"default": 1}})
    workflow = instantiate(made, {"title": "Tidy"}, id="mine")
    assert workflow.id == "mine"
    assert origin_of(workflow) == Origin("acme.tidy", "1.0.0", {"title": "Tidy"})
    assert to_document(workflow)["metadata"]["template"]["version"] == "1.0.0"


def test_a_workflow_of_no_template_has_no_origin(atlas):
    assert origin_of(atlas) is None


def test_every_wrong_value_is_told_at_once():
    made = template(
        {"name": "${a}", "nodes": {"walk": {**WALK, "params": {"x": [{"$param": "b"}, {"$param": "c"}]}}}},
        {
            "a": {"type": "string", "description": "What it is called."},
            "b": {"type": "integer", "minimum": 3},
            "c": {"type": "array", "items": {"type": "string", "maxLength": 2}},
        },
    )
    error = refusal(lambda: instantiate(made, {"b": 1, "c": ["ab", "abc"], "nmae": 1}), "SYM-W093")
    assert faults_of_error(error) == [
        ("nmae", "there is no such parameter"),
        ("a", "a value is missing"),
        ("b", "expected at least 3, found 1"),
        ("c[1]", "expected at most 2 characters, found 3"),
    ]
    assert error.details["faults"][1]["hint"] == "Give string: What it is called."


def faults_of_error(error):
    return [(fault["path"], fault["message"]) for fault in error.details["faults"]]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc", "ABC"),
        ({"type": "string", "minLength": 2}, "ab", "a"),
        ({"type": "integer", "maximum": 3}, 3, 4),
        ({"type": "number", "exclusiveMinimum": 0}, 0.1, 0),
        ({"type": "number", "exclusiveMaximum": 1}, 0.9, 1),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [1], []),
        ({"type": "array", "items": {"minimum": 2, "type": "integer"}}, [2], [1]),
        ({"enum": ["a", "b"]}, "a", "c"),
        ({"type": "boolean"}, True, 1),
        ({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}, {"n": 1}, {"n": 0}),
        (
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}},
            {"n": "a"},
            {"n": "ab"},
        ),
        ({"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer", "minimum": 2}]}, 2, 1),
        ({"type": ["string", "null"]}, None, 1),
        ({}, {"x": [1]}, float("nan")),
    ],
)
def test_a_value_is_checked_against_its_schema(schema, good, bad):
    made = template({"nodes": {"walk": {**WALK, "params": {"x": {"$param": "value"}}}}}, {"value": schema})
    assert instantiate(made, {"value": good}).nodes[0].params == {"x": good}
    refusal(lambda: instantiate(made, {"value": bad}), "SYM-W093")


CONDITION = {
    "nodes": {"walk": WALK, "last": WALK},
    "edges": [
        {"kind": "conditional", "from": "walk", "to": "last", "condition": "name == ${name} || n > ${n}"}
    ],
}


@pytest.mark.parametrize(
    "name", ["plain", "' || true || '", '" || true || "', "\\", '\\" || true', "\n//", "${n}"]
)
def test_a_hostile_text_in_a_condition_stays_text(name):
    made = template(CONDITION, {"name": {"type": "string"}, "n": {"type": "integer"}})
    [edge] = instantiate(made, {"name": name, "n": -5}).edges
    assert isinstance(edge, ConditionalEdge)
    assert holds(edge.condition, {"name": name, "n": -5})
    assert not holds(edge.condition, {"name": "other", "n": -5})


@pytest.mark.parametrize(
    "condition",
    [
        "name == '${n}'",
        'name == "a${n}"',
        "name == r'a' && n > ${n}",
        "n > ${n} // ${n}",
        "'''a''' == name && n > ${n}",
        "name${n} > 1",
        "n > 1${n}",
        "inputs.${n} > 1",
        "f(${n})(1) > ${n}x",
        "name == 'a && n > ${n}",
        "${n}${n} > 1",
    ],
)
def test_a_place_holder_stands_in_a_condition_only_where_a_literal_can(condition):
    edges = [{"kind": "conditional", "from": "walk", "to": "last", "condition": condition}]
    _, faults = read_template(
        document({"nodes": CONDITION["nodes"], "edges": edges}, {"n": {"type": "integer"}})
    )
    assert [fault.path for fault in faults if fault.severity == "error"] == ["workflow.edges[0].condition"]


def test_a_whole_condition_becomes_a_literal_and_no_code():
    edges = [{"kind": "conditional", "from": "walk", "to": "last", "condition": {"$param": "when"}}]
    made = template({"nodes": CONDITION["nodes"], "edges": edges}, {"when": {}})
    assert instantiate(made, {"when": True}).edges[0].condition == "true"
    assert instantiate(made, {"when": "n > 1"}).edges[0].condition == '"n > 1"'


def test_a_value_cannot_bring_an_expression():
    made = template({"nodes": {"walk": {**WALK, "params": {"x": {"$param": "value"}}}}}, {"value": {}})
    error = refusal(lambda: instantiate(made, {"value": [{"a": {"$expr": "1 + 1"}}]}), "SYM-W093")
    assert "cannot hold an expression" in error.message
    keyed = template({"nodes": {"walk": {**WALK, "params": {"x": {"${key}": "1 + 1"}}}}}, {"key": {}})
    assert (
        "cannot make an expression"
        in refusal(lambda: instantiate(keyed, {"key": "$expr"}), "SYM-W093").message
    )


@pytest.mark.parametrize("name", ["a.b", "$inputs", "", "a b", "ä", "#other"])
def test_a_value_cannot_change_what_an_edge_leads_to(name):
    made = template({"edges": [{"from": "${name}.files", "to": "walk.path"}]}, {"name": {"type": "string"}})
    error = refusal(lambda: instantiate(made, {"name": name}), "SYM-W093")
    assert "cannot be part of a name" in error.message


def test_what_a_value_has_not_is_told_with_its_place():
    made = template(
        {
            "name": "${who.name} ${who}",
            "nodes": {"n_${one}": {"$each": "list", "$as": "one", "$value": WALK}},
        },
        {"who": {}, "list": {}},
    )
    error = refusal(lambda: instantiate(made, {"who": {"id": 1}, "list": ["a", "a"]}), "SYM-W093")
    assert [path for path, _ in faults_of_error(error)] == [
        "workflow.nodes.n_${one}",
        "workflow.name",
        "workflow.name",
    ]
    error = refusal(lambda: instantiate(made, {"who": {"name": "x"}, "list": "text"}), "SYM-W093")
    assert "'list' is not a list" in error.message


def test_a_repetition_condition_that_fails_is_told():
    made = template({"nodes": {"walk": WALK, "again": {"$if": "n > 1", "$value": WALK}}}, {"n": {}})
    error = refusal(lambda: instantiate(made, {"n": "text"}), "SYM-W093")
    assert faults_of_error(error)[0][0] == "workflow.nodes.again.$if"


def test_a_workflow_that_would_be_too_large_is_refused(monkeypatch):
    nodes = {
        "n_${a}_${b}": {"$each": "list", "$as": "a", "$value": {"$each": "list", "$as": "b", "$value": WALK}}
    }
    made = template({"nodes": nodes}, {"list": {"type": "array"}})
    monkeypatch.setattr(binding, "MAX_VALUES", 10_000)
    refusal(lambda: instantiate(made, {"list": list(range(200))}), "SYM-W095")
    monkeypatch.setattr(binding, "MAX_TEXT", 1000)
    texts = template({"name": "${t}" * 20}, {"t": {"type": "string"}})
    refusal(lambda: instantiate(texts, {"t": "x" * 100}), "SYM-W095")
    whole = template({"metadata": {"a": {"$param": "t"}}}, {"t": {}})
    refusal(lambda: instantiate(whole, {"t": ["x" * 2000]}), "SYM-W095")


def test_what_comes_out_must_be_a_workflow():
    made = template({"nodes": {"walk": {**WALK, "timeout": {"$param": "most"}}}}, {"most": {}})
    error = refusal(lambda: instantiate(made, {"most": "long"}), "SYM-W099")
    assert faults_of_error(error)[0][0] == "workflow.nodes.walk.timeout"


def test_a_workflow_that_cannot_run_is_refused_where_the_operations_are_known(operations):
    made = template({"nodes": {"walk": {**WALK, "params": {"path": {"$param": "path"}}}}}, {"path": {}})
    assert check(instantiate(made, {"path": "/a"}, operations=operations), operations) is not None
    error = refusal(lambda: instantiate(made, {"path": 5}, operations=operations), "SYM-W001")
    assert error.details["findings"][0]["node"] == "walk"


@pytest.mark.parametrize(
    ("changed", "path", "message"),
    [
        ({"template": 2.5}, "template", "expected 1, the version of the format; found 2.5"),
        ({"id": "Not an id"}, "id", "expected an id; found 'Not an id'"),
        ({"version": "new"}, "version", "expected a version; found 'new'"),
        ({"title": 5}, "title", "expected text, found 5"),
        ({"keywords": "a"}, "keywords", "expected a list of texts, found 'a'"),
        ({"titel": "x"}, "titel", "unknown key"),
        ({"parameters": []}, "parameters", "expected an object, found []"),
        ({"workflow": []}, "workflow", "expected the document of a workflow; found []"),
        ({"parameters": {"a b": {}}}, "parameters.a b", "'a b' is no name of a parameter"),
        ({"parameters": {"a": 5}}, "parameters.a", "expected an object with a JSON Schema"),
        (
            {"parameters": {"a": {"type": "text"}}},
            "parameters.a.type",
            "expected the name of a type or a list of them, found 'text'",
        ),
        ({"parameters": {"a": {"tpye": "string"}}}, "parameters.a.tpye", "unknown key"),
        ({"parameters": {"a": {"minimum": "1"}}}, "parameters.a.minimum", "expected a number, found '1'"),
        (
            {"parameters": {"a": {"minLength": -1}}},
            "parameters.a.minLength",
            "expected a whole number, 0 or more, found -1",
        ),
        ({"parameters": {"a": {"enum": []}}}, "parameters.a.enum", "expected a list of values, found []"),
        (
            {"parameters": {"a": {"pattern": "(?=x)"}}},
            "parameters.a.pattern",
            "expected a regular expression, found '(?=x)'",
        ),
        ({"parameters": {"a": {"items": 5}}}, "parameters.a.items", "expected a JSON Schema, found 5"),
        (
            {"parameters": {"a": {"properties": {"b": {"min": 1}}}}},
            "parameters.a.properties.b.min",
            "unknown key",
        ),
        ({"parameters": {"a": {"anyOf": [{"min": 1}]}}}, "parameters.a.anyOf[0].min", "unknown key"),
        ({"parameters": {"a": {"group": 1}}}, "parameters.a.group", "expected text, found 1"),
        (
            {"parameters": {"a": {"required": [1]}}},
            "parameters.a.required",
            "expected a list of names, found [1]",
        ),
        (
            {"parameters": {"a": {"type": "integer", "default": "x"}}},
            "parameters.a.default",
            "expected integer: 'x' is not integer",
        ),
    ],
)
def test_a_fault_of_a_template_is_told_with_its_place(changed, path, message):
    _, faults = read_template({**document(), **changed})
    assert (path, message) in faults_of(faults)


@pytest.mark.parametrize(
    ("workflow", "path", "message"),
    [
        ({"name": "${titel}"}, "workflow.name", "there is no parameter 'titel'"),
        ({"name": {"$param": "titel"}}, "workflow.name", "there is no parameter 'titel'"),
        ({"name": {"$param": 5}}, "workflow.name", "5 is no name of a parameter"),
        (
            {"name": {"$param": "title", "x": 1}},
            "workflow.name",
            "$param stands for the whole value, and x cannot stand beside it",
        ),
        ({"name": "${title"}, "workflow.name", "the place holder '${title' does not end"),
        ({"name": "${a b}"}, "workflow.name", "'a b' is no name of a parameter"),
        ({"name": "${list}"}, "workflow.name", "'list' is list, which cannot stand inside of text"),
        ({"name": {"$parm": "title"}}, "workflow.name.$parm", "'$parm' is no key of a template"),
        ({"name": {"$if": "title >"}}, "workflow.name", "$value is missing"),
        (
            {"name": {"$if": 5, "$value": 1}},
            "workflow.name.$if",
            "expected a CEL expression over the parameters, found 5",
        ),
        ({"name": {"$if": "nobody", "$value": 1}}, "workflow.name.$if", "there is no parameter 'nobody'"),
        (
            {"edges": [{"$each": "title", "$value": 1}]},
            "workflow.edges[0].$each",
            "'title' is string, and only a list can be repeated over",
        ),
        (
            {"edges": [{"$each": "list", "$as": "title", "$value": 1}]},
            "workflow.edges[0].$as",
            "'title' is taken already",
        ),
        (
            {"edges": [{"$each": "list", "$as": "a.b", "$value": 1}]},
            "workflow.edges[0].$as",
            "'a.b' is no name of an item",
        ),
        (
            {"edges": [{"$each": "list", "$else": 1, "$value": 1}]},
            "workflow.edges[0]",
            "$else stands without $if",
        ),
        (
            {"edges": [{"$if": "title == ''", "$as": "x", "$value": 1}]},
            "workflow.edges[0]",
            "$as stands without $each",
        ),
        (
            {"edges": [{"$if": "true", "$vlaue": 1}]},
            "workflow.edges[0].$vlaue",
            "'$vlaue' cannot stand beside $each or $if",
        ),
        (
            {"metadata": {"template": {}}},
            "workflow.metadata.template",
            "the key is reserved for where a workflow came from",
        ),
    ],
)
def test_a_place_holder_that_is_wrong_is_told_with_its_place(workflow, path, message):
    parameters = {"title": {"type": "string"}, "list": {"type": "array"}}
    _, faults = read_template(document(workflow, parameters))
    assert (path, message) in faults_of(faults)


def test_a_parameter_that_nothing_uses_is_a_warning():
    _, [fault] = read_template(document(parameters={"lonely": {}}))
    assert (fault.path, fault.severity, fault.parameter) == ("parameters.lonely", "warning", "lonely")


def test_all_faults_of_a_file_are_raised_together(tmp_path):
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(document({"name": "${nobody}"}, id="?", titel="x")))
    error = refusal(lambda: load(file), "SYM-W090")
    assert len(error.details["faults"]) == 3
    assert error.file == str(file)
    many = document({"metadata": {f"k{n}": "${nobody}" for n in range(30)}})
    assert "and 10 more" in refusal(lambda: from_document(many), "SYM-W090").message


def test_a_template_of_a_newer_format_is_refused_with_the_mend(tmp_path):
    file = tmp_path / "newer.json"
    file.write_text(json.dumps(document(template=2)))
    error = refusal(lambda: load(file), "SYM-W091")
    assert error.file == str(file)
    assert "Upgrade" in error.hint


def test_a_template_of_an_older_format_is_brought_up_to_date():
    older = {**document(), "template": 0, "parameters": {}, "name": "Tidy"}

    def renamed(found):
        found["title"] = found.pop("name")
        return found

    made, faults = read_template(older, migrations={0: renamed})
    assert (made.title, faults) == ("Tidy", [])
    assert older["template"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected an object"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "is not JSON"),
        (b"\xff", "is not UTF-8"),
        ("[" * 100_000, "too deeply"),
        ('{"workflow":' + '{"a":' * 100 + "1" + "}" * 101, "nest deeper"),
        ('{"a": 1' + "0" * 30 + "}", "does not fit"),
    ],
)
def test_what_is_no_template_is_refused(text, message):
    assert message in refusal(lambda: loads(text), "SYM-W090").message


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path, monkeypatch):
    refusal(lambda: load(tmp_path / "nobody.json"), "SYM-W090")
    monkeypatch.setattr(definition, "MAX_BYTES", 10)
    assert "at most" in refusal(lambda: loads("x" * 11), "SYM-W090").message


def test_a_template_with_too_many_parameters_is_refused():
    _, faults = read_template(document(parameters={f"p{n}": {} for n in range(1001)}))
    assert faults[0].path == "parameters"


def test_a_template_is_written_as_it_was_read():
    given = document(
        {"name": "${a}"},
        {"a": {"type": "string", "title": "A", "group": "Names", "default": "x"}},
        title="Tidy",
        categories=["files"],
        keywords=["tidy"],
        author="Ada",
        description="Tidies.",
        **{"x-note": 1, "//": "a comment"},
    )
    made = from_document(given)
    assert template_document(made) == given
    assert loads(dumps(made)) == made
    assert made.reference == "acme.tidy@1.0.0"
    assert [(use.path, use.kind) for use in made.uses()] == [("workflow.name", "text")]
    [parameter] = made.parameters
    assert (parameter.title, parameter.description, parameter.type) == ("A", "", "string")


def test_a_check_makes_a_workflow_of_the_defaults_and_of_every_choice(operations):
    made = template(
        {"nodes": {"walk": {**WALK, "uses": {"$param": "what"}, "params": {"path": {"$param": "path"}}}}},
        {
            "what": {"enum": ["symphony.files.walk", "symphony.files.gone"]},
            "path": {"type": "string"},
        },
    )
    assert check_template(made) == []
    [fault] = check_template(made, operations)
    assert fault.path == "workflow.nodes.walk"
    assert fault.message.startswith("with what='symphony.files.gone'")


def test_a_check_finds_a_choice_that_makes_no_workflow():
    made = template(
        {"nodes": {"walk": {**WALK, "timeout": {"$if": "bad", "$value": "long"}}}},
        {"bad": {"type": "boolean", "default": False}},
    )
    [fault] = check_template(made)
    assert (fault.path, fault.message[:14]) == ("workflow.nodes.walk.timeout", "with bad=True:")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 4},
        {"type": "integer", "minimum": 7},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"type": "array", "items": {"type": "string"}, "minItems": 2},
        {"type": "object"},
        {"const": "x"},
        {"type": "string", "pattern": "^a+$", "examples": ["aa"]},
    ],
)
def test_a_check_finds_a_value_for_what_has_no_default(schema):
    made = template({"metadata": {"x": {"$param": "p"}}}, {"p": schema})
    assert check_template(made) == []


def test_a_check_says_where_it_knows_no_value():
    made = template({"metadata": {"x": {"$param": "p"}}}, {"p": {"type": "string", "pattern": "^a+$"}})
    [fault] = check_template(made)
    assert (fault.severity, fault.parameter) == ("warning", "p")


def test_literals_of_a_workflow_become_parameters_with_their_types(atlas, operations):
    made = make_template(
        atlas,
        {
            "globs": "nodes.walk.params.include",
            "most": "nodes.first.timeout",
            "title": "name",
            "many": "nodes.kinds.label",
        }
        if "label" in to_document(atlas)["nodes"]["kinds"]
        else {"globs": "nodes.walk.params.include", "most": "nodes.first.timeout", "title": "name"},
        id="acme.atlas",
        operations=operations,
    )
    types = {parameter.name: parameter.type for parameter in made.parameters}
    assert types == {"globs": "list of string", "most": "integer", "title": "string"}
    again = instantiate(made, {"most": 9})
    assert again.nodes[2].timeout == 9
    assert made.title == "Code Atlas"
    assert check_template(made, operations) == []


def test_a_template_of_a_workflow_from_a_template_forgets_the_older_one(atlas):
    made = make_template(atlas, {"title": "name"}, id="acme.one")
    again = make_template(instantiate(made, {"title": "x"}), {"title": "name"}, id="acme.two")
    assert origin_of(instantiate(again)).id == "acme.two"


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"a": "nodes.walkk.params"}, "Did you mean 'walk'?"),
        ({"a": "nodes.walk.params.include.5"}, "there is no such place"),
        ({"a": "name.x"}, "holds no parts"),
        ({"a": "nodes.big.condition"}, "a condition is code"),
        ({"a": "schema"}, "cannot be a parameter"),
        ({"a": "name", "b": "name"}, "it is 'a' already"),
        ({"a": "nodes.walk.params", "b": "nodes.walk.params.include.0"}, "it lies within 'a'"),
    ],
)
def test_what_is_no_literal_cannot_become_a_parameter(atlas, places, message):
    assert message in refusal(lambda: make_template(atlas, places, id="acme.atlas"), "SYM-W097").message


def test_a_name_with_dots_is_found(atlas):
    made = make_template(atlas, {"op": "nodes.walk.uses"}, id="acme.atlas")
    assert made.parameters[0].default == "symphony.files.walk"
