"""Prompts for ComfyUI's server are read, and written back as they were."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    BranchNode,
    ControlEdge,
    DataEdge,
    Expression,
    OperatorNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.testing import examples


def entry(kind, title="", **inputs):
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}


PROMPT = {
    "3": entry("KSampler", seed=5, steps=20, model=["4", 0], positive=["6", 0], latent_image=["5", 0]),
    "4": entry("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "5": entry("EmptyLatentImage", width=512, height=512, batch_size=1),
    "6": entry("CLIPTextEncode", "Wanted", text="a red fox", clip=["4", 1]),
    "8:1": entry("VAEDecode", samples=["3", 0], vae=["4", 2]),
}


def test_a_prompt_becomes_nodes_and_edges(read, graph_faults):
    made = read("comfyui-api", PROMPT)
    assert ("CheckpointLoaderSimple-4.output_1", "CLIPTextEncode-6.clip") in made.edges
    assert made.nodes["KSampler-3"].params == {"seed": 5, "steps": 20}
    assert made.nodes["CLIPTextEncode-6"].label == "Wanted"
    assert graph_faults(made.workflow) == []


def test_a_prompt_comes_back_as_it_was(read, write):
    made = write("comfyui-api", read("comfyui-api", PROMPT).workflow)
    assert json.loads(made.data) == PROMPT
    assert made.notes == ()


def test_a_prompt_as_it_is_posted_keeps_what_is_around_it(read):
    made = read("comfyui-api", {"client_id": "abc", "prompt": PROMPT})
    assert len(made.nodes) == 5
    assert made.workflow.metadata.extra["comfyui"] == {"client_id": "abc"}


def test_nan_that_some_programs_write_becomes_a_text_with_a_note(read):
    made = read("comfyui-api", b'{"1": {"class_type": "A", "inputs": {"x": NaN}, "is_changed": [NaN]}}')
    assert made.nodes["A-1"].params == {"x": "NaN"}
    assert any(note.node == "$workflow" and "NaN" in note.what for note in made.notes)


def test_a_link_to_a_missing_node_is_noted(read):
    made = read("comfyui-api", {"1": entry("A", x=["9", 0], y=[1, 2, 3], z=["text", "more"])})
    assert made.nodes["A-1"].params == {"y": [1, 2, 3], "z": ["text", "more"]}
    assert [note.node for note in made.notes if "no such node" in note.why] == ["1"]


def test_what_the_editor_saves_becomes_what_the_server_is_given(read, write):
    ui = {
        "last_node_id": 2,
        "last_link_id": 1,
        "version": 0.4,
        "nodes": [
            {
                "id": 1,
                "type": "VAELoader",
                "widgets_values": ["v.pt"],
                "outputs": [{"name": "VAE", "type": "VAE"}],
            },
            {"id": 2, "type": "VAEDecode", "title": "Decode it", "inputs": [{"name": "vae", "type": "VAE"}]},
        ],
        "links": [[1, 1, 0, 2, 0, "VAE"]],
    }
    made = write("comfyui-api", read("comfyui", ui).workflow)
    assert json.loads(made.data) == {
        "1": entry("VAELoader", vae_name="v.pt"),
        "2": entry("VAEDecode", "Decode it", vae=["1", 0]),
    }


def test_what_comfyui_has_not_is_noted_node_by_node_and_left_out(write):
    comfy = {"comfyui": {"class_type": "A", "id": "1"}}
    workflow = Workflow(
        id="mixed",
        nodes=(
            OperatorNode(
                id="a", uses="comfyui.node.a", metadata=comfy, params={"x": Expression("1 + 1"), "y": 2}
            ),
            OperatorNode(id="b", uses="acme.text.b"),
            BranchNode(id="c", condition="value"),
            OperatorNode(id="d", uses="comfyui.node.d", metadata={"comfyui": {"class_type": "D"}}),
        ),
        edges=(
            DataEdge("$inputs", "path", "a", "p"),
            ControlEdge("b", "a"),
            DataEdge("b", "out", "a", "q"),
            DataEdge("a", "strange", "d", "r"),
        ),
        inputs=(WorkflowInput("path"),),
        outputs=(WorkflowOutput("o", "a", "out"),),
    )
    made = write("comfyui-api", workflow)
    assert json.loads(made.data) == {"1": entry("A", y=2), "d": entry("D")}
    assert sorted(note.node for note in made.notes) == ["$workflow", "a", "a", "a", "a", "b", "c", "d"]


def test_a_workflow_without_a_node_of_comfyui_is_not_written(write):
    with pytest.raises(WorkflowError) as caught:
        write("comfyui-api", Workflow(id="w", nodes=(OperatorNode(id="b", uses="acme.text.b"),)))
    assert caught.value.code == "SYM-W103"


@pytest.mark.parametrize("file", [{"1": 2}, {"1": {"inputs": {}}}, {"1": entry("A") | {"inputs": [1]}}, []])
def test_a_part_of_another_kind_is_refused(read, file):
    with pytest.raises(WorkflowError) as caught:
        read("comfyui-api", file)
    assert caught.value.code == "SYM-W102"


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.none() | st.booleans() | st.integers(-9, 9) | names | st.lists(st.integers(0, 9), max_size=1)


@st.composite
def prompts(draw):
    ids = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    links = st.tuples(st.sampled_from(ids), st.integers(0, 3)).map(list)
    return {
        id: entry(draw(names.filter(bool)), **draw(st.dictionaries(names, values | links, max_size=4)))
        for id in ids
    }


@given(prompts())
@settings(max_examples=examples(30), deadline=None)
def test_any_prompt_comes_back_as_it_was(read, write, lost, prompt):
    made = read("comfyui-api", prompt)
    assert lost(made, prompt) == set()
    assert json.loads(write("comfyui-api", made.workflow).data) == prompt
