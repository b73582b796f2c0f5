"""CWL comes in and goes out again; what is written, CWL's own checker accepts where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk import NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ApprovalNode,
    BranchNode,
    ControlEdge,
    DataEdge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    OperatorNode,
    Resources,
    SubworkflowNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.testing import examples, workflows
from symphony_workflow_formats.cwl_conditions import condition_of
from symphony_workflow_formats.cwl_types import schema_of, type_of


def document(steps, inputs=None, outputs=None, **more):
    text = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "inputs": inputs or {},
        "outputs": outputs or {},
        "steps": steps,
    }
    return yaml.safe_dump({**text, **more}, sort_keys=False).encode()


def step(run="tool.cwl", ins=None, out=("out",), **more):
    return {"run": run, "in": ins or {}, "out": list(out), **more}


def test_steps_become_nodes_with_their_sources_defaults_and_resources(read, sample, graph_faults):
    made = read("cwl", sample("variants.cwl"))
    align = made.nodes["align"]
    assert isinstance(align, MapNode)
    assert (align.uses, align.over) == ("cwl.tool.bwa-mem", "read")
    assert align.resources == Resources(cpu=4, memory=2 << 30)
    assert align.params == {"threads": 4}
    assert align.label == "Align one sample"
    assert ("align.results", "merge.bams") in made.edges
    assert graph_faults(made.workflow) == []


def test_types_of_inputs_become_schemas(read, sample):
    inputs = {one.name: one for one in read("cwl", sample("variants.cwl")).workflow.inputs}
    assert inputs["reads"].schema == {"type": "array", "items": {"type": "string", "format": "path"}}
    assert inputs["reference"].default == "genome.fa"
    assert inputs["reference"].description == "The genome"
    assert inputs["min_quality"].schema == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert inputs["mode"].schema == {"enum": ["fast", "exact"]}
    assert inputs["deep"].required
    assert not inputs["min_quality"].required


def test_a_condition_becomes_a_branch_before_its_step(read, sample):
    made = read("cwl", sample("variants.cwl"))
    branch = made.nodes["call_deep-when"]
    assert isinstance(branch, BranchNode)
    assert branch.condition == "deep && quality >= 20"
    assert ("call_deep-when.then", "call_deep.deep") in made.edges
    assert ("$inputs.min_quality", "call_deep-when.quality") in made.edges


def test_a_pick_among_several_sources_becomes_a_join(read, sample):
    made = read("cwl", sample("variants.cwl"))
    assert isinstance(made.nodes["variants-pick"], JoinNode)
    assert ("call_deep.vcf", "variants-pick.source_1") in made.edges


def test_what_has_no_equal_is_noted_at_its_step(read, sample, lost):
    made = read("cwl", sample("variants.cwl"))
    whats = {(note.node, note.what) for note in made.notes if not note.what.startswith("node type")}
    assert whats == {
        ("merge", "DockerRequirement"),
        ("count", "the condition ${ return inputs.n.length > 2; }"),
        ("summarise", "the source of summarise.number, from a step that has a condition"),
        ("summarise", "valueFrom of title"),
    }
    assert lost(made, ["align", "merge", "call_deep", "call_quick", "count", "summarise"]) == set()


def test_packed_workflows_become_workflows_of_the_file(read, sample, graph_faults):
    made = read("cwl", sample("packed.cwl"))
    assert [one.id for one in made.workflow.workflows] == ["tidy"]
    assert isinstance(made.nodes["each"], MapNode)
    assert isinstance(made.nodes["alone"], SubworkflowNode)
    assert made.nodes["each"].uses == made.nodes["alone"].uses == "#tidy"
    assert graph_faults(made.workflow) == []
    assert [note.node for note in made.notes] == ["tidy/shout"]


@pytest.mark.parametrize("name", ["variants.cwl", "packed.cwl"])
def test_a_document_comes_back_as_the_same_workflow_without_a_note(read, write, sample, name):
    made = read("cwl", sample(name))
    back = write("cwl", made.workflow)
    assert back.notes == ()
    assert read("cwl", back.data).workflow == made.workflow


def test_a_tool_can_be_mapped_to_an_operation(read, sample):
    mapping = {"bwa-mem": NodeMapping("acme.genes.align", inputs={"read": "path"}, outputs={})}
    made = read("cwl", sample("variants.cwl"), mapping=mapping)
    assert (made.nodes["align"].uses, made.nodes["align"].over) == ("acme.genes.align", "path")
    assert not any(note.what == "node type bwa-mem" for note in made.notes)


def test_a_workflow_within_a_step_becomes_a_workflow_of_the_file(read, write):
    inner = {
        "class": "Workflow",
        "inputs": {"x": "int"},
        "outputs": {"y": {"type": "int", "outputSource": "work/out"}},
        "steps": {"work": step(ins={"x": "x"})},
    }
    made = read("cwl", document({"sub": step(inner, {"x": "n"}, ["y"])}, {"n": "int"}))
    assert made.nodes["sub"].uses == "#sub"
    assert {note.node for note in made.notes} == {"sub/work"}
    assert read("cwl", write("cwl", made.workflow).data).workflow == made.workflow


def test_a_scatter_over_several_inputs_is_noted(read):
    made = read(
        "cwl",
        document(
            {"s": step(ins={"a": "x", "b": "x"}, scatter=["a", "b"], scatterMethod="dotproduct")},
            {"x": "int[]"},
        ),
    )
    assert isinstance(made.nodes["s"], OperatorNode)
    assert any(note.what == "a scatter over a, b" for note in made.notes)


def test_a_source_and_a_default_are_noted_and_both_come_back(read, write):
    made = read("cwl", document({"s": step(ins={"a": {"source": "x", "default": 3}})}, {"x": "int?"}))
    assert any(note.what == "the default of a" for note in made.notes)
    text = yaml.safe_load(write("cwl", made.workflow).data)
    assert text["steps"]["s"]["in"]["a"] == {"source": "x", "default": 3}


def test_a_time_limit_becomes_a_timeout(read):
    made = read("cwl", document({"s": step(requirements=[{"class": "ToolTimeLimit", "timelimit": 60}])}))
    assert made.nodes["s"].timeout == 60


def test_requirements_and_outputs_of_the_whole_are_noted(read):
    made = read("cwl", document({"s": step()}, outputs={"o": "int"}, hints={"DockerRequirement": {}}))
    assert [(note.node, note.what) for note in made.notes if note.node == "$workflow"] == [
        ("$workflow", "the output o"),
        ("$workflow", "DockerRequirement of the workflow"),
    ]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("$(inputs.a > 3)", ("a > 3", ["a"])),
        ("$(inputs['a'] === 'x' || !(inputs.b))", ("a == 'x' || !(b)", ["a", "b"])),
        ("$(inputs.a !== null)", ("a != null", ["a"])),
        ("$(inputs.a.size > 3)", None),
        ("$(true)", None),
        ("${ return true; }", None),
        ("$(inputs.a >)", None),
        ("$(process.exit())", None),
    ],
)
def test_conditions_are_said_in_cel_or_not_at_all(when, said):
    assert condition_of(when) == said


@pytest.mark.parametrize("kind", ["string", "long", "double", "boolean", "File", "Any", "null"])
def test_simple_types_come_back(kind):
    assert type_of(schema_of(kind)) == kind


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("int[]?", {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        ({"type": "record", "fields": []}, {"type": "object"}),
        ({"type": "enum", "symbols": ["#main/mode/a", "b"]}, {"enum": ["a", "b"]}),
        (["null", "Any"], {}),
        ({"type": "strange"}, {}),
        (3, {}),
    ],
)
def test_types_become_schemas(kind, schema):
    assert schema_of(kind) == schema


def native():
    """A workflow that never was CWL, with what CWL has and what it has not."""
    inner = Workflow(
        id="inner",
        nodes=(OperatorNode(id="q", uses="acme.b.c"),),
        edges=(DataEdge("$inputs", "a", "q", "a"),),
        inputs=(WorkflowInput("a"),),
        outputs=(WorkflowOutput("r", "q", "r"),),
    )
    return Workflow(
        id="native",
        name="Native",
        nodes=(
            OperatorNode(
                id="walk",
                uses="acme.files.walk",
                params={"deep": True, "n": Expression("1 + 1")},
                resources=Resources(cpu=2, memory=5 << 20),
                timeout=5,
            ),
            MapNode(id="each", uses="acme.files.read", over="path"),
            MapNode(id="all", uses="#inner", over="a"),
            BranchNode(id="b", condition="value > 3"),
            OperatorNode(id="x", uses="acme.files.sum"),
            ApprovalNode(id="ok", prompt="Go on?"),
            SubworkflowNode(id="s", uses="#inner"),
            LoopNode(id="l", uses="#inner", until="done", max_iterations=3),
        ),
        edges=(
            DataEdge("$inputs", "path", "walk", "path"),
            DataEdge("walk", "files", "each", "path"),
            DataEdge("walk", "files", "all", "a"),
            DataEdge("each", "results", "b", "value"),
            DataEdge("b", "then", "x", "value"),
            ControlEdge("x", "ok"),
            DataEdge("x", "sum", "s", "a"),
        ),
        inputs=(
            WorkflowInput("path", {"type": "string"}, description="Where"),
            WorkflowInput("n", {"type": "integer"}, required=False),
        ),
        outputs=(WorkflowOutput("sum", "x", "sum"), WorkflowOutput("r", "s", "r")),
        workflows=(inner,),
    )


def test_operations_are_abstract_and_come_back_with_what_they_use(read, write):
    made = write("cwl", native())
    back = read("cwl", made.data)
    assert back.nodes["walk"].uses == "acme.files.walk"
    assert back.nodes["walk"].resources == Resources(cpu=2, memory=5 << 20)
    assert back.nodes["walk"].params == {"deep": True}
    assert (back.nodes["each"].uses, back.nodes["each"].over) == ("acme.files.read", "path")
    assert (back.nodes["all"].uses, back.nodes["all"].over) == ("#inner", "a")
    assert read("cwl", write("cwl", back.workflow).data).workflow == back.workflow


def test_what_cwl_cannot_say_is_noted_node_by_node(write):
    notes = {(note.node, note.what) for note in write("cwl", native()).notes}
    assert {
        ("b", "the control node of kind branch"),
        ("ok", "the control node of kind approval"),
        ("l", "the control node of kind loop"),
        ("ok", "the control edge from x"),
        ("walk", "the expression of n"),
        ("walk", "the timeout of 5.0 s"),
        ("walk", "it uses acme.files.walk"),
        ("inner/q", "it uses acme.b.c"),
    } <= notes


@pytest.mark.skipif(
    shutil.which("cwltool") is None, reason="cwltool is not installed: `nox -s cwl` installs it"
)
def test_cwltool_finds_what_is_written_valid(read, write, sample, tmp_path):
    tool = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": "true",
        "inputs": {"value": "Any?"},
        "outputs": dict.fromkeys(("out", "bam", "vcf", "number", "html", "log"), "Any"),
    }
    (tmp_path / "tools").mkdir()
    for name in ("bwa-mem", "deep", "quick", "count", "report"):
        ports = {
            "bwa-mem": ("read", "reference", "threads"),
            "deep": ("deep", "quality", "bam"),
            "quick": ("deep", "bam", "mode"),
            "count": ("n",),
            "report": ("files", "number", "title"),
        }[name]
        (tmp_path / f"tools/{name}.cwl").write_text(
            yaml.safe_dump({**tool, "inputs": dict.fromkeys(ports, "Any?")})
        )
    made = {name: read("cwl", sample(f"{name}.cwl")).workflow for name in ("variants", "packed")}
    for name, workflow in {**made, "native": native()}.items():
        file = Path(tmp_path, f"{name}.cwl")
        file.write_bytes(write("cwl", workflow).data)
        checked = subprocess.run(
            ["cwltool", "--validate", str(file)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"cwlVersion: v9\nclass: Workflow", "cwlVersion"),
        (b"cwlVersion: v1.2\nclass: CommandLineTool", "a Workflow was expected"),
        (b"cwlVersion: v1.2\n$graph: [{id: a, class: CommandLineTool}]", "main"),
        (
            b"cwlVersion: v1.2\n$graph: [{id: a, class: Workflow}, {id: a, class: Workflow}]",
            "no other process",
        ),
        (document({"s": step(ins={"a": "gone"})}), "a source that there is"),
        (document({"s": {"run": 3, "in": {}, "out": []}}), "run"),
        (document({"s": step({"class": "Strange"})}), "class of process"),
        (document({"s": step(ins={"a": {"source": 3}})}), "s.a"),
        (document([{"run": "x"}]), "id"),
        (document([{"id": "a", "run": "x"}, {"id": "a", "run": "x"}]), "ids that differ"),
        (b"[1, 2]", "the file"),
    ],
)
def test_a_part_of_another_kind_is_named_by_its_place(read, text, place):
    with pytest.raises(WorkflowError, match=place) as caught:
        read("cwl", text)
    assert caught.value.code == "SYM-W102"


def test_a_workflow_that_runs_itself_is_told_by_validation(read):
    made = read(
        "cwl",
        b"cwlVersion: v1.2\n$graph: [{id: main, class: Workflow, inputs: {}, outputs: {}, steps: {s: {run: '#main', in: {}, out: []}}}]",
    )
    assert made.nodes["s"].uses == made.workflow.workflows[0].nodes[0].uses


names = st.text("abcxyz_", min_size=1, max_size=5)
kinds = st.sampled_from(
    ["int", "string?", "File", "boolean", "double[]", {"type": "array", "items": "string"}, "Any"]
)
literals = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text("ab: #'\n", max_size=4)
    | st.just(["yes", "1", "null"])
)


@st.composite
def documents(draw):
    inputs = draw(
        st.dictionaries(
            names,
            st.fixed_dictionaries({"type": kinds}, optional={"default": st.integers(0, 9), "doc": names}),
            max_size=4,
        )
    )
    steps, sources = {}, list(inputs)
    for name in draw(st.lists(names.map(lambda text: f"s{text}"), max_size=6, unique=True)):
        outs = draw(st.lists(names, min_size=1, max_size=2, unique=True))
        ins = {}
        for port in draw(st.lists(names, max_size=3, unique=True)):
            if sources and draw(st.booleans()):
                picked = draw(st.lists(st.sampled_from(sources), min_size=1, max_size=3, unique=True))
                pick = draw(st.sampled_from(["first_non_null", "all_non_null", None]))
                ins[port] = (
                    {"source": picked[0]}
                    if len(picked) == 1
                    else {
                        "source": picked,
                        **({"pickValue": pick} if pick else {"linkMerge": "merge_flattened"}),
                    }
                )
            else:
                ins[port] = {"default": draw(literals)}
        more = {}
        if ins and draw(st.booleans()):
            more["scatter"] = draw(st.sampled_from(sorted(ins)))
        elif ins and draw(st.booleans()):
            more["when"] = f"$(inputs.{draw(st.sampled_from(sorted(ins)))} == true)"
        steps[name] = step(draw(st.sampled_from(["t.cwl", "a/b-c.cwl"])), ins, outs, **more)
        sources += [f"{name}/{one}" for one in outs]
    outputs = {
        f"o{n}": {"type": "Any", "outputSource": one}
        for n, one in enumerate(draw(st.lists(st.sampled_from(sources), max_size=3)) if sources else [])
    }
    return {"cwlVersion": "v1.2", "class": "Workflow", "inputs": inputs, "outputs": outputs, "steps": steps}


@given(documents())
@settings(max_examples=examples(30), deadline=None)
def test_any_document_of_the_subset_comes_back_as_the_same_workflow(read, write, lost, file):
    made = read("cwl", yaml.safe_dump(file).encode())
    assert lost(made, file["steps"]) == set()
    assert read("cwl", write("cwl", made.workflow).data).workflow == made.workflow


@given(workflows())
@settings(max_examples=examples(15), deadline=None)
def test_of_any_workflow_each_node_is_a_step_of_a_document_that_can_be_read(read, write, workflow):
    text = yaml.safe_load(write("cwl", workflow).data)
    main = text["$graph"][0] if "$graph" in text else text
    assert len(main["steps"]) == len(workflow.nodes)
