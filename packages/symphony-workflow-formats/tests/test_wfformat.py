"""WfFormat comes in and goes out again as it was; of any other workflow it says the shape."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk import NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ConditionalEdge,
    DataEdge,
    InstrumentNode,
    JoinNode,
    OperatorNode,
    Resources,
    Workflow,
    WorkflowOutput,
)
from symphony_workflow.testing import examples, workflows


def task(id, parents=(), children=(), reads=None, writes=None, name=None):
    made = {
        "name": name or id.partition("_")[0],
        "id": id,
        "parents": list(parents),
        "children": list(children),
    }
    if reads is not None:
        made["inputFiles"] = list(reads)
    if writes is not None:
        made["outputFiles"] = list(writes)
    return made


def instance(tasks, runs=None, **more):
    files = dict.fromkeys(
        file for one in tasks for key in ("inputFiles", "outputFiles") for file in one.get(key, ())
    )
    flow = {"specification": {"tasks": tasks, "files": [{"id": one, "sizeInBytes": 7} for one in files]}}
    if runs is not None:
        flow["execution"] = {
            "makespanInSeconds": 12.5,
            "executedAt": "2024-02-03T04:05:06Z",
            "tasks": runs,
            "machines": [{"nodeName": "node-1", "cpu": {"coreCount": 8}}],
        }
    return {"name": "blast-small", "schemaVersion": "1.5", "workflow": flow, **more}


BLAST = instance(
    [
        task("split_1", [], ["blast_1", "blast_2"], ["genes.fa"], ["part.1", "part.2"]),
        task("blast_1", ["split_1"], ["cat.1"], ["part.1", "db"], ["hits.1"]),
        task("blast_2", ["split_1"], ["cat.1"], ["part.2", "db"], ["hits.2"]),
        task("cat.1", ["blast_1", "blast_2"], ["mail_1"], ["hits.1", "hits.2"], ["hits", "log"]),
        task("mail_1", ["cat.1"], []),
    ],
    [
        {
            "id": "blast_1",
            "runtimeInSeconds": 4.5,
            "command": {"program": "blastall", "arguments": ["-p", "blastn"]},
            "coreCount": 2,
            "memoryInBytes": 1 << 30,
            "machine": "node-1",
        },
        {"id": "cat.1", "runtimeInSeconds": 1},
    ],
    description="A small one",
    createdAt="2024-02-03T04:05:06Z",
    author={"name": "Ada", "email": "ada@example.org"},
)


def test_tasks_become_nodes_and_files_between_them_edges(read, graph_faults, lost):
    made = read("wfformat", BLAST)
    assert made.workflow.name == "blast-small"
    assert made.workflow.metadata.author == "Ada"
    assert ("split_1.part_1", "blast_1.part_1") in made.edges
    assert [(one.name, one.default) for one in made.workflow.inputs] == [
        ("genes_fa", "genes.fa"),
        ("db", "db"),
    ]
    assert [(one.name, one.node) for one in made.workflow.outputs] == [("hits", "cat-1"), ("log", "cat-1")]
    assert [(e.source, e.target) for e in made.workflow.edges if e.kind == "control"] == [("cat-1", "mail_1")]
    assert graph_faults(made.workflow) == []
    assert lost(made, ["split_1", "blast_1", "blast_2", "cat.1", "mail_1"]) == set()


def test_what_was_measured_becomes_resources_and_the_command_params(read):
    node = read("wfformat", BLAST).nodes["blast_1"]
    assert node.resources == Resources(cpu=2, memory=1 << 30)
    assert node.params == {"program": "blastall", "arguments": ["-p", "blastn"]}
    assert node.uses == "wfformat.task.blastall"


def test_a_program_can_be_mapped_to_an_operation(read):
    made = read("wfformat", BLAST, mapping={"blastall": NodeMapping("acme.genes.blast", "instrument")})
    assert isinstance(made.nodes["blast_1"], InstrumentNode)
    assert "blast_1" not in {note.node for note in made.notes}


def test_an_instance_comes_back_as_it_was(read, write):
    made = write("wfformat", read("wfformat", BLAST).workflow)
    assert json.loads(made.data) == BLAST
    assert made.notes == ()


def test_lists_that_disagree_are_noted(read):
    made = read(
        "wfformat",
        instance(
            [
                task("a", [], ["gone"], [], ["x", "y"]),
                task("b", [], [], ["x"], ["y"]),
                task("c", [], [], ["z"], ["z"]),
            ],
            [{"id": "other", "runtimeInSeconds": 1}],
        ),
    )
    whys = {(note.node, note.why) for note in made.notes}
    assert {
        ("a", "there is no such task"),
        ("b", "its parents do not name that task"),
        ("b", "a writes it too"),
        ("c", "it writes that file itself"),
        ("other", "the specification has no such task"),
    } <= whys


def test_a_task_that_was_added_by_hand_is_written_with_its_files(read, write):
    workflow = read("wfformat", BLAST).workflow
    added = OperatorNode(id="zip", uses="acme.files.zip")
    workflow = Workflow(
        id=workflow.id,
        name=workflow.name,
        metadata=workflow.metadata,
        inputs=workflow.inputs,
        outputs=(*workflow.outputs, WorkflowOutput("zip", "zip", "file")),
        nodes=(*workflow.nodes, added),
        edges=(*workflow.edges, DataEdge("cat-1", "hits", "zip", "what")),
    )
    made = write("wfformat", workflow)
    tasks = {one["id"]: one for one in json.loads(made.data)["workflow"]["specification"]["tasks"]}
    assert tasks["zip"] == task("zip", ["cat.1"], [], ["hits"], ["zip.file"], name="zip")
    assert tasks["cat.1"]["children"] == ["zip", "mail_1"] or tasks["cat.1"]["children"] == ["mail_1", "zip"]
    assert {"id": "zip.file", "sizeInBytes": 0} in json.loads(made.data)["workflow"]["specification"]["files"]
    assert {note.node for note in made.notes} == {"zip"}


def test_what_wfformat_cannot_say_is_noted(write):
    made = write(
        "wfformat",
        Workflow(
            id="w",
            nodes=(OperatorNode(id="a", uses="acme.a.b", params={"x": 1}), JoinNode(id="j")),
            edges=(ConditionalEdge("a", "j", "x > 1"),),
            workflows=(Workflow(id="inner"),),
        ),
    )
    whats = {(note.node, note.what) for note in made.notes}
    assert whats == {
        ("a", "uses acme.a.b"),
        ("a", "params x"),
        ("j", "the control node of kind join"),
        ("j", "the condition of the edge from a"),
        ("$workflow", "sub-workflows"),
    }


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ([], "the file"),
        ({"workflow": 3}, "workflow"),
        ({"workflow": {"specification": []}}, "workflow.specification"),
        ({"workflow": {"specification": {"tasks": [3]}}}, r"tasks\[0\]"),
        ({"workflow": {"specification": {"tasks": [{"name": "a"}]}}}, "id"),
        ({"workflow": {"specification": {"tasks": [{"id": "a"}]}}}, "name"),
        ({"workflow": {"specification": {"tasks": [task("a"), task("a")]}}}, "no other task has"),
        ({"workflow": {"specification": {"tasks": [task("a") | {"parents": "b"}]}}}, "task a.parents"),
        ({"workflow": {"specification": {"tasks": [task("a") | {"inputFiles": [3]}]}}}, "task a.inputFiles"),
        ({"workflow": {"specification": {"tasks": []}, "execution": {"tasks": [{}]}}}, "execution"),
    ],
)
def test_a_part_of_another_kind_is_named_by_its_place(read, file, place):
    with pytest.raises(WorkflowError, match=place) as caught:
        read("wfformat", file)
    assert caught.value.code == "SYM-W102"


ids = st.text("abcXYZ019_.-", min_size=1, max_size=6)


@st.composite
def instances(draw):
    """Instances whose lists agree, as WfCommons writes them."""
    names = draw(st.lists(ids, min_size=1, max_size=8, unique=True))
    files = draw(st.lists(ids, max_size=8, unique=True))
    writer = {file: draw(st.sampled_from([None, *names])) for file in files}
    tasks = []
    pairs = []
    for number, name in enumerate(names):
        before = names[:number]
        parents = set(draw(st.lists(st.sampled_from(before), unique=True))) if before else set()
        reads = [
            file for file in files if (writer[file] is None or writer[file] in before) and draw(st.booleans())
        ]
        parents |= {writer[file] for file in reads} - {None}
        pairs.append((name, parents, reads))
    for name, parents, reads in pairs:
        children = [other for other, theirs, _ in pairs if name in theirs]
        writes = [file for file in files if writer[file] == name]
        tasks.append(task(name, sorted(parents), children, reads, writes, name=draw(ids)))
    ran = [{"id": name, "runtimeInSeconds": draw(st.integers(0, 9))} for name in names if draw(st.booleans())]
    return instance(tasks, ran or None)


def in_any_order(file):
    """An instance with the lists of parents and children sorted: their order says nothing."""
    for one in file["workflow"]["specification"]["tasks"]:
        one["parents"], one["children"] = sorted(one["parents"]), sorted(one["children"])
    return file


@given(instances())
@settings(max_examples=examples(30), deadline=None)
def test_any_instance_comes_back_as_it_was(read, write, lost, file):
    made = read("wfformat", file)
    assert lost(made, (one["id"] for one in file["workflow"]["specification"]["tasks"])) == set()
    back = write("wfformat", made.workflow)
    assert in_any_order(json.loads(back.data)) == in_any_order(file)
    again = read("wfformat", back.data)
    assert sorted(map(repr, again.workflow.edges)) == sorted(map(repr, made.workflow.edges))
    assert again.workflow.nodes == made.workflow.nodes


@given(workflows())
@settings(max_examples=examples(15), deadline=None)
def test_of_any_workflow_each_node_is_a_task(write, workflow):
    file = json.loads(write("wfformat", workflow).data)
    assert len(file["workflow"]["specification"]["tasks"]) == len(workflow.nodes)
