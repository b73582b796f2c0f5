"""Workflows of n8n become ours: what steers the flow as control nodes where it means the same, the rest noted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk import NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ApprovalNode,
    BranchNode,
    JoinNode,
    MapNode,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
    validate,
)
from symphony_workflow.testing import examples
from symphony_workflow_formats.n8n_conditions import condition_of

CORE = "n8n-nodes-base."


def node(name, type="set", version=1, more=None, **parameters):
    return {
        "id": f"id-{name}",
        "name": name,
        "type": type if "." in type else f"{CORE}{type}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": parameters,
        **(more or {}),
    }


def flow(nodes, *connections, **more):
    """A workflow; a connection is `A > B`, `A:1 > B:1` for other outputs and inputs, `A ~tool> B` for AI."""
    written = {}
    for one in connections:
        kind = "main"
        if "~" in one:
            kind = f"ai_{one.split('~')[1].split('>')[0]}"
            one = one.replace(f"~{kind[3:]}>", ">")
        source, target = (part.strip() for part in one.split(">"))
        source, _, output = source.partition(":")
        target, _, input = target.partition(":")
        outputs = written.setdefault(source, {}).setdefault(kind, [])
        while len(outputs) <= int(output or 0):
            outputs.append([])
        outputs[int(output or 0)].append({"node": target, "type": kind, "index": int(input or 0)})
    return {
        "name": "Sample",
        "nodes": nodes,
        "connections": written,
        "settings": {"executionOrder": "v1"},
        **more,
    }


def rule(field, operation, value, kind="string"):
    return {
        "id": "c",
        "leftValue": f"={{{{ $json.{field} }}}}",
        "rightValue": value,
        "operator": {"type": kind, "operation": operation},
    }


def conditions(*rules, combinator="and", **options):
    return {
        "options": {"caseSensitive": True, **options},
        "conditions": list(rules),
        "combinator": combinator,
    }


ORDERS = flow(
    [
        node("When clicking", "manualTrigger"),
        node("Fetch orders", "httpRequest", 4, url="http://shop.test/orders", method="GET"),
        node(
            "Paid?",
            "if",
            2,
            conditions=conditions(rule("status", "equals", "paid"), rule("total", "gt", 100, "number")),
        ),
        node("Ship", "httpRequest", 4, url="={{ $json.link }}", options={"timeout": 5}),
        node(
            "Remind", "emailSend", 2, more={"credentials": {"smtp": {"id": "1", "name": "Mail"}}}, text="Pay!"
        ),
        node("Done", "noOp"),
        node("Why", "stickyNote", content="Ships what is paid"),
    ],
    "When clicking > Fetch orders",
    "Fetch orders > Paid?",
    "Paid?:0 > Ship",
    "Paid?:1 > Remind",
    "Ship > Done",
    "Remind > Done",
    tags=[{"id": "t", "name": "shop"}],
)


def test_a_flow_with_an_if_becomes_a_branch_with_its_condition_in_cel(read, graph_faults, lost):
    made = read("n8n", ORDERS)
    assert made.workflow.name == "Sample"
    assert made.workflow.metadata.tags == ("shop",)
    branch = made.nodes["Paid"]
    assert isinstance(branch, BranchNode)
    assert branch.condition == '(value["status"] == "paid") && (value["total"] > 100.0)'
    assert branch.label == "Paid?"
    assert ("Fetch-orders.main", "Paid.value") in made.edges
    assert ("Paid.then", "Ship.main") in made.edges
    assert ("Paid.else", "Remind.main") in made.edges
    assert made.nodes["Fetch-orders"].params == {"url": "http://shop.test/orders", "method": "GET"}
    assert graph_faults(made.workflow) == []
    assert lost(made, (one["name"] for one in ORDERS["nodes"])) == set()


def test_two_ways_that_meet_in_one_node_meet_in_a_join(read):
    made = read("n8n", ORDERS)
    assert isinstance(made.nodes["Done-in"], JoinNode)
    assert {edge for edge in made.edges if edge[1].startswith("Done")} == {
        ("Ship.main", "Done-in.from_0"),
        ("Remind.main", "Done-in.from_1"),
        ("Done-in.value", "Done.main"),
    }


def test_expressions_and_credentials_are_noted_and_kept(read):
    made = read("n8n", ORDERS)
    assert made.nodes["Ship"].params == {"options": {"timeout": 5}}
    assert made.nodes["Ship"].metadata["n8n"]["parameters"]["url"] == "={{ $json.link }}"
    whats = {(note.node, note.what) for note in made.notes}
    assert ("Ship", "expressions in url") in whats
    assert ("Remind", "credentials smtp") in whats


def test_a_mapped_type_uses_its_operation_even_where_a_control_node_would_do(read):
    made = read(
        "n8n",
        ORDERS,
        mapping={f"{CORE}if": NodeMapping("acme.flow.if"), f"{CORE}httpRequest": NodeMapping("acme.web.get")},
    )
    assert made.nodes["Paid"].uses == "acme.flow.if"
    assert ("Paid.main_1", "Remind.main") in made.edges
    assert not any(note.what.startswith("node type n8n-nodes-base.httpRequest") for note in made.notes)


def test_a_switch_becomes_a_switch_with_its_cases(read, graph_faults):
    rules = {
        "values": [
            {
                "conditions": conditions(rule("kind", "startsWith", "a")),
                "outputKey": "early",
                "renameOutput": True,
            },
            {"conditions": conditions(rule("kind", "contains", "z"))},
        ]
    }
    made = read(
        "n8n",
        flow(
            [
                node("Sort", "switch", 3, rules=rules, options={"fallbackOutput": "extra"}),
                node("In"),
                node("A"),
                node("Z"),
                node("Rest"),
            ],
            "In > Sort",
            "Sort:0 > A",
            "Sort:1 > Z",
            "Sort:2 > Rest",
        ),
    )
    switch = made.nodes["Sort"]
    assert isinstance(switch, SwitchNode)
    assert [(case.port, case.condition) for case in switch.cases] == [
        ("early", '(value["kind"].startsWith("a"))'),
        ("output_1", '(value["kind"].contains("z"))'),
    ]
    assert made.edges == [
        ("In.main", "Sort.value"),
        ("Sort.early", "A.main"),
        ("Sort.output_1", "Z.main"),
        ("Sort.default", "Rest.main"),
    ]
    assert graph_faults(made.workflow) == []


def test_the_switch_of_older_files_becomes_one_too(read):
    parameters = {
        "dataType": "number",
        "value1": "={{ $json.age }}",
        "rules": {
            "rules": [
                {"operation": "smaller", "value2": 18},
                {"operation": "largerEqual", "value2": 18, "output": 1},
            ]
        },
    }
    made = read("n8n", flow([node("Sort", "switch", **parameters)]))
    assert [case.condition for case in made.nodes["Sort"].cases] == [
        '(value["age"] < 18.0)',
        '(value["age"] >= 18.0)',
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"mode": "expression", "output": "={{ 1 }}"},
        {"rules": {"values": [{"conditions": conditions(rule("a", "regex", "x"))}]}},
        {
            "rules": {"values": [{"conditions": conditions(rule("a", "equals", "x"))}]},
            "options": {"allMatchingOutputs": True},
        },
        {
            "rules": {"values": [{"conditions": conditions(rule("a", "equals", "x"))}]},
            "options": {"fallbackOutput": 0},
        },
        {"rules": {"rules": [{"value2": 1, "output": 2}]}, "value1": 3},
        {},
    ],
)
def test_a_switch_that_cel_cannot_say_is_a_placeholder(read, parameters):
    made = read("n8n", flow([node("Sort", "switch", 3, **parameters), node("B")], "Sort:1 > B"))
    assert made.nodes["Sort"].uses == "n8n.node.n8n-nodes-base-switch"
    assert made.edges == [("Sort.main_1", "B.main")]


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        (
            {"conditions": {"string": [{"value1": '={{$json["a b"].c}}', "value2": "x"}]}},
            '(value["a b"]["c"] == "x")',
        ),
        ({"conditions": {"number": [{"value1": "={{ $json.n }}", "value2": 3}]}}, '(value["n"] < 3.0)'),
        (
            {
                "conditions": {
                    "boolean": [
                        {"value1": "={{ $json.a }}", "value2": True},
                        {"value1": "={{ $json.b }}", "value2": False},
                    ]
                },
                "combineOperation": "any",
            },
            '(value["a"] == true) || (value["b"] == false)',
        ),
        ({"conditions": conditions(rule("a", "notEmpty", ""))}, '(size(value["a"]) > 0)'),
        ({"conditions": conditions(rule("a", "equals", "x"), caseSensitive=False)}, ""),
        ({"conditions": conditions(rule("a", "after", "2020-01-01", "dateTime"))}, ""),
        ({"conditions": conditions(rule("a.b()", "equals", "x"))}, ""),
        ({"conditions": conditions(rule("n", "gt", "many", "number"))}, ""),
        ({"conditions": conditions()}, ""),
        ({"conditions": conditions({"leftValue": 1})}, ""),
        ({"conditions": {"string": [3]}}, ""),
        ({"conditions": "={{ true }}"}, ""),
        ({}, ""),
    ],
)
def test_conditions_are_said_in_cel_or_not_at_all(parameters, condition):
    assert condition_of(parameters) == condition


def test_a_loop_over_items_becomes_a_map_over_a_workflow_of_its_body(read, graph_faults, lost):
    nodes = [
        node("Start", "manualTrigger"),
        node("Loop", "splitInBatches", 3),
        node("Ask", "@n8n/n8n-nodes-langchain.agent"),
        node("Model", "@n8n/n8n-nodes-langchain.lmChat"),
        node("Store"),
        node("End"),
    ]
    made = read(
        "n8n",
        flow(
            nodes,
            "Start > Loop",
            "Loop:0 > End",
            "Loop:1 > Ask",
            "Model ~languageModel> Ask",
            "Ask > Store",
            "Store > Loop",
        ),
    )
    loop = made.nodes["Loop"]
    assert isinstance(loop, MapNode)
    assert (loop.uses, loop.over, loop.concurrency) == ("#loop-body", "item", 1)
    assert made.edges == [("Start.main", "Loop.item"), ("Loop.results", "End.main")]
    (body,) = made.workflow.workflows
    assert [one.id for one in body.nodes] == ["Ask", "Model", "Store"]
    assert [(e.source, e.source_port, e.target, e.target_port) for e in body.edges] == [
        ("$inputs", "item", "Ask", "main"),
        ("Model", "ai_languageModel", "Ask", "ai_languageModel"),
        ("Ask", "main", "Store", "main"),
    ]
    assert [(one.name, one.node, one.port) for one in body.outputs] == [("result", "Store", "main")]
    assert graph_faults(made.workflow) == []
    assert lost(made, (one["name"] for one in nodes)) == set()


def test_a_loop_in_a_loop_becomes_a_map_in_a_map(read, graph_faults):
    nodes = [
        node("Start", "manualTrigger"),
        node("Outer", "splitInBatches", 3),
        node("Inner", "splitInBatches", 3),
        node("Work"),
        node("After"),
    ]
    made = read(
        "n8n",
        flow(
            nodes,
            "Start > Outer",
            "Outer:1 > Inner",
            "Inner:1 > Work",
            "Work > Inner",
            "Inner:0 > After",
            "After > Outer",
        ),
    )
    assert [one.id for one in made.workflow.workflows] == ["inner-body", "outer-body"]
    assert made.workflow.workflows[1].nodes[0].uses == "#inner-body"
    assert graph_faults(made.workflow) == []


@pytest.mark.parametrize(
    ("connections", "cut"),
    [
        (("Loop:1 > Work", "Work > Loop", "Work > Out"), "Work -> Loop"),
        (("Loop:1 > Work", "Work > Loop", "Out > Work"), "Loop -> Work"),
    ],
)
def test_a_loop_that_is_open_loses_its_way_back_with_a_note(read, graph_faults, connections, cut):
    nodes = [node("Loop", "splitInBatches", 3, more={}), node("Work"), node("Out")]
    if connections[2] == "Work > Out":
        nodes[0]["parameters"] = {"batchSize": 10}
    made = read("n8n", flow(nodes, *connections))
    (note,) = (note for note in made.notes if "cycle" in note.why)
    assert note.node == note.becomes == cut.partition(" ")[0]
    assert made.nodes[note.node].metadata["left_out"] == [cut]
    assert graph_faults(made.workflow) == []


def test_a_cycle_of_plain_nodes_loses_one_connection_with_a_note(read, graph_faults):
    made = read("n8n", flow([node("A"), node("B"), node("C")], "A > B", "B > C", "C > A", "C > C"))
    assert [note.node for note in made.notes if "cycle" in note.why] == ["C", "C"]
    assert graph_faults(made.workflow) == []


def test_a_wait_for_a_form_is_an_approval_and_a_wait_for_time_a_placeholder(read):
    made = read(
        "n8n",
        flow(
            [node("Ask", "wait", resume="form"), node("Pause", "wait", amount=5, unit="minutes"), node("C")],
            "Ask > C",
        ),
    )
    assert isinstance(made.nodes["Ask"], ApprovalNode)
    assert made.edges == [("Ask.approved", "C.main")]
    assert made.nodes["Pause"].params == {"amount": 5, "unit": "minutes"}


def test_a_merge_that_chooses_is_a_join_and_one_that_appends_a_placeholder(read):
    nodes = [
        node("A"),
        node("B"),
        node("Pick", "merge", 3, mode="chooseBranch"),
        node("Add", "merge", 3, mode="append"),
    ]
    made = read("n8n", flow(nodes, "A > Pick:0", "B > Pick:1", "A > Add:0", "B > Add:1"))
    assert isinstance(made.nodes["Pick"], JoinNode)
    assert made.nodes["Add"].uses == "n8n.node.n8n-nodes-base-merge"
    assert ("B.main", "Pick.main_1") in made.edges
    assert ("B.main", "Add.main_1") in made.edges


def test_a_workflow_in_the_parameters_becomes_a_subworkflow(read, graph_faults, lost):
    inner = flow(
        [node("In", "executeWorkflowTrigger"), node("Trim"), node("Note", "stickyNote")], "In > Trim"
    )
    made = read(
        "n8n",
        flow(
            [node("Call", "executeWorkflow", source="parameter", workflowJson=json.dumps(inner)), node("C")],
            "Call > C",
        ),
    )
    assert isinstance(made.nodes["Call"], SubworkflowNode)
    (sub,) = made.workflow.workflows
    assert [(one.name, one.node) for one in sub.outputs] == [("result", "Trim")]
    assert made.edges == [("Call.result", "C.main")]
    assert "Call/Trim" in {note.node for note in made.notes}
    assert graph_faults(made.workflow) == []
    assert lost(made, ["Call", "In", "Trim", "Note"]) == set()


@pytest.mark.parametrize("text", ["{", "[]", '{"nodes": [{"name": 3}]}', "={{ $json.flow }}"])
def test_a_workflow_in_the_parameters_that_cannot_be_read_stays_a_text(read, text):
    made = read("n8n", flow([node("Call", "executeWorkflow", source="parameter", workflowJson=text)]))
    assert made.nodes["Call"].uses == "n8n.node.n8n-nodes-base-execute-workflow"
    assert made.nodes["Call"].metadata["n8n"]["parameters"]["workflowJson"] == text


def test_workflows_nested_in_parameters_without_end_stay_texts_somewhere(read):
    inner = flow([node("In", "executeWorkflowTrigger")])
    for _ in range(9):
        inner = flow([node("Call", "executeWorkflow", source="parameter", workflowJson=json.dumps(inner))])
    made = read("n8n", inner)
    assert len(made.workflow.workflows) == 8


def test_a_disabled_node_hands_its_input_on_with_a_note(read):
    made = read(
        "n8n", flow([node("A"), node("Off", more={"disabled": True}), node("B")], "A > Off", "Off > B")
    )
    assert made.edges == [("A.main", "Off.main"), ("Off.value", "B.main")]
    assert any(note.node == "Off" and "disabled" in note.what for note in made.notes)


def test_retries_are_kept_and_what_has_no_equal_is_noted(read):
    more = {
        "retryOnFail": True,
        "maxTries": 5,
        "waitBetweenTries": 2000,
        "onError": "continueRegularOutput",
        "executeOnce": True,
    }
    made = read(
        "n8n", flow([node("A", more=more), node("B", more={"retryOnFail": True, "maxTries": "many"})])
    )
    assert made.nodes["A"].retry == RetryPolicy(attempts=5, delay=2.0, factor=1.0)
    assert made.nodes["B"].retry == RetryPolicy()
    assert {note.what.split(":")[0] for note in made.notes if note.node == "A"} >= {"onError", "executeOnce"}


def test_several_tools_of_one_agent_have_ports_of_their_own(read):
    nodes = [
        node("Agent", "@n8n/n8n-nodes-langchain.agent", 1.7),
        node("T1"),
        node("T2"),
        node("Chat", "@n8n/n8n-nodes-langchain.chatTrigger"),
    ]
    made = read("n8n", flow(nodes, "T1 ~tool> Agent", "T2 ~tool> Agent", "Chat > Agent"))
    assert made.edges == [
        ("T1.ai_tool", "Agent.ai_tool"),
        ("T2.ai_tool", "Agent.ai_tool_2"),
        ("Chat.main", "Agent.main"),
    ]


def test_a_connection_with_a_missing_node_is_noted(read):
    made = read("n8n", flow([node("A")], "A > Gone", "Never > A"))
    assert [note.node for note in made.notes if note.why == "there is no such node"] == ["A", "A"]


@pytest.mark.parametrize(
    "file",
    [
        [],
        {"nodes": [{"type": "x"}]},
        {"nodes": [{"name": "A"}]},
        {"nodes": [node("A"), node("A")]},
        {"nodes": [{**node("A"), "parameters": 3}]},
        {"nodes": [node("A")], "connections": {"A": 3}},
        {"nodes": [node("A")], "connections": {"A": {"main": {"x": 1}}}},
        {"nodes": [node("A")], "connections": {"A": {"main": [[{"node": 3}]]}}},
        {"nodes": [node("A")], "connections": {"A": {"main": [[{"node": "A", "index": "x"}]]}}},
    ],
)
def test_a_part_of_another_kind_is_refused(read, file):
    with pytest.raises(WorkflowError) as caught:
        read("n8n", file)
    assert caught.value.code == "SYM-W102"


def test_a_flow_of_a_hundred_nodes_keeps_them_all(read, graph_faults, lost):
    nodes = [node("Start", "manualTrigger")]
    wires = []
    for n in range(33):
        nodes += [
            node(f"If {n}", "if", 2, conditions=conditions(rule("n", "lt", n, "number"))),
            node(f"Yes {n}"),
            node(f"No {n}"),
        ]
        wires += [f"{nodes[-4]['name']} > If {n}", f"If {n}:0 > Yes {n}", f"If {n}:1 > No {n}"]
    made = read("n8n", flow(nodes, *wires))
    assert len(made.nodes) == 100
    assert graph_faults(made.workflow) == []
    assert lost(made, (one["name"] for one in nodes)) == set()


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=">~:"), min_size=1, max_size=5
).map(lambda text: f"x{text}x")
kinds = st.sampled_from(
    ["set", "if", "switch", "merge", "noOp", "wait", "splitInBatches", "stickyNote", "executeWorkflowTrigger"]
)


@st.composite
def flows(draw):
    called = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    nodes = [
        node(
            one,
            draw(kinds),
            draw(st.sampled_from([1, 3])),
            {"disabled": draw(st.booleans())},
            mode="chooseBranch",
        )
        for one in called
    ]
    port = st.integers(0, 2)
    ends = st.sampled_from(called)
    wires = draw(st.lists(st.tuples(ends, port, ends, port, st.sampled_from(["", "~tool"])), max_size=14))
    return flow(
        nodes, *(f"{a}:{i} {kind}> {b}:{j}" if not kind else f"{a} {kind}> {b}" for a, i, b, j, kind in wires)
    )


@given(flows())
@settings(max_examples=examples(30), deadline=None)
def test_no_node_is_ever_lost_and_no_cycle_is_left(read, lost, graph_faults, file):
    made = read("n8n", file)
    assert lost(made, (one["name"] for one in file["nodes"])) == set()
    assert "SYM-W010" not in graph_faults(made.workflow)


def test_validation_says_of_a_placeholder_that_it_must_be_replaced(read):
    findings = validate(read("n8n", flow([node("Fetch", "httpRequest")])).workflow, {})
    (finding,) = (one for one in findings if one.severity == "error")
    assert finding.code == "SYM-W013"
    assert (
        finding.message
        == "node 'Fetch' is a placeholder for n8n: n8n-nodes-base.httpRequest, and must be replaced"
    )
