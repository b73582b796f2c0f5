"""What ComfyUI's editor saves becomes a workflow, with its virtual nodes resolved and nothing forgotten."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk import NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow.testing import examples


def node(id, type, inputs=(), outputs=(), values=None, **more):
    """A node: inputs as `name:TYPE` (`name!:TYPE` for a widget), outputs as `NAME:TYPE`."""
    found = {
        "id": id,
        "type": type,
        "pos": [10 * id, 0],
        "size": [200, 100],
        "flags": {},
        "order": id,
        "mode": 0,
    }
    found["inputs"] = []
    for one in inputs:
        name, kind = one.split(":")
        slot = {"name": name.rstrip("!"), "type": kind, "link": None}
        if name.endswith("!"):
            slot["widget"] = {"name": name.rstrip("!")}
        found["inputs"].append(slot)
    found["outputs"] = [
        {"name": one.split(":")[0], "type": one.split(":")[1], "links": [], "slot_index": number}
        for number, one in enumerate(outputs)
    ]
    found["properties"] = {"Node name for S&R": type}
    if values is not None:
        found["widgets_values"] = values
    return {**found, **more}


def graph(nodes, links, **more):
    return {
        "last_node_id": 99,
        "last_link_id": 99,
        "nodes": nodes,
        "links": [[number, *link, "X"] for number, link in enumerate(links, 1)],
        "groups": [],
        "config": {},
        "extra": {"ds": {"scale": 1.0, "offset": [0, 0]}},
        "version": 0.4,
        **more,
    }


KSAMPLER = ("model:MODEL", "positive:CONDITIONING", "negative:CONDITIONING", "latent_image:LATENT")


def portrait(**more):
    """The graph that everybody begins with: a text becomes a picture."""
    return graph(
        [
            node(
                4,
                "CheckpointLoaderSimple",
                outputs=["MODEL:MODEL", "CLIP:CLIP", "VAE:VAE"],
                values=["sd15.safetensors"],
            ),
            node(
                6,
                "CLIPTextEncode",
                ["clip:CLIP"],
                ["CONDITIONING:CONDITIONING"],
                ["a red fox"],
                title="Wanted",
            ),
            node(7, "CLIPTextEncode", ["clip:CLIP"], ["CONDITIONING:CONDITIONING"], ["blurred"]),
            node(5, "EmptyLatentImage", [], ["LATENT:LATENT"], [512, 768, 1]),
            node(
                3,
                "KSampler",
                KSAMPLER,
                ["LATENT:LATENT"],
                [1125899906842624, "randomize", 20, 8, "euler", "normal", 1],
            ),
            node(8, "VAEDecode", ["samples:LATENT", "vae:VAE"], ["IMAGE:IMAGE"]),
            node(9, "SaveImage", ["images:IMAGE"], [], ["fox"]),
        ],
        [
            (4, 0, 3, 0),
            (4, 1, 6, 0),
            (4, 1, 7, 0),
            (6, 0, 3, 1),
            (7, 0, 3, 2),
            (5, 0, 3, 3),
            (3, 0, 8, 0),
            (4, 2, 8, 1),
            (8, 0, 9, 0),
        ],
        **more,
    )


def test_nodes_links_and_values_become_nodes_edges_and_params(read, graph_faults):
    made = read("comfyui", portrait())
    assert made.nodes["KSampler-3"].uses == "comfyui.node.k-sampler"
    assert made.nodes["KSampler-3"].params == {
        "seed": 1125899906842624,
        "steps": 20,
        "cfg": 8,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1,
    }
    assert made.nodes["CLIPTextEncode-6"].label == "Wanted"
    assert ("CheckpointLoaderSimple-4.VAE", "VAEDecode-8.vae") in made.edges
    assert len(made.edges) == 9
    assert graph_faults(made.workflow) == []


def test_each_type_without_an_operation_is_a_placeholder_with_a_note_and_all_its_data(read):
    file = portrait()
    made = read("comfyui", file)
    assert {note.node for note in made.notes} == {"3", "4", "5", "6", "7", "8", "9"}
    for one in file["nodes"]:
        (kept,) = (each for each in made.nodes.values() if each.metadata["comfyui"]["id"] == one["id"])
        assert kept.metadata["comfyui"] == one
        assert kept.metadata["placeholder"] == f"comfyui: {one['type']}"


def test_a_mapped_type_uses_its_operation_with_its_ports_renamed_and_needs_no_note(read):
    mapping = {
        "KSampler": NodeMapping(
            "acme.image.sample", "instrument", inputs={"latent_image": "start"}, outputs={"LATENT": "image"}
        )
    }
    made = read("comfyui", portrait(), mapping=mapping)
    assert made.nodes["KSampler-3"].uses == "acme.image.sample"
    assert made.nodes["KSampler-3"].kind == "instrument"
    assert ("EmptyLatentImage-5.LATENT", "KSampler-3.start") in made.edges
    assert ("KSampler-3.image", "VAEDecode-8.samples") in made.edges
    assert "3" not in {note.node for note in made.notes}


def test_a_mapping_to_what_is_no_operation_is_refused(read):
    with pytest.raises(WorkflowError, match="no id of an operation") as caught:
        read("comfyui", portrait(), mapping={"KSampler": NodeMapping("Sample!")})
    assert caught.value.code == "SYM-W104"


def test_links_as_objects_of_version_1_are_the_same_graph(read):
    old = portrait()
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    new = {
        **{key: value for key, value in old.items() if key not in ("last_node_id", "last_link_id")},
        "version": 1,
        "state": {"lastNodeId": 9, "lastLinkId": 9, "lastGroupid": 0, "lastRerouteId": 1},
        "links": [dict(zip(keys, link, strict=True)) for link in old["links"]],
        "reroutes": [{"id": 1, "pos": [0, 0], "linkIds": [1]}],
    }
    assert read("comfyui", new).workflow.edges == read("comfyui", old).workflow.edges
    assert read("comfyui", new).workflow.metadata.extra["comfyui"]["reroutes"] == new["reroutes"]


def test_reroutes_setters_and_getters_are_passed_through_and_primitives_give_their_value(read, lost):
    made = read(
        "comfyui",
        graph(
            [
                node(1, "VAELoader", [], ["VAE:VAE"], ["vae.pt"]),
                node(2, "Reroute", [":*"], [":VAE"]),
                node(3, "SetNode", ["VAE:VAE"], ["*:*"], ["the vae"]),
                node(4, "GetNode", [], ["VAE:VAE"], ["the vae"]),
                node(5, "VAEDecode", ["samples:LATENT", "vae:VAE"], ["IMAGE:IMAGE"]),
                node(6, "PrimitiveNode", [], ["INT:INT"], [640, "fixed"]),
                node(7, "EmptyLatentImage", ["width!:INT"], ["LATENT:LATENT"], [512, 512, 1]),
                node(8, "MarkdownNote", [], [], ["Read me"]),
            ],
            [(1, 0, 2, 0), (2, 0, 3, 0), (4, 0, 5, 1), (6, 0, 7, 0), (7, 0, 5, 0)],
        ),
    )
    assert set(made.nodes) == {"VAELoader-1", "VAEDecode-5", "EmptyLatentImage-7"}
    assert ("VAELoader-1.VAE", "VAEDecode-5.vae") in made.edges
    (edge,) = (edge for edge in made.workflow.edges if edge.target_port == "vae")
    assert edge.metadata == {"comfyui": {"through": ["4", "2"]}}
    assert made.nodes["EmptyLatentImage-7"].params == {"width": 640, "height": 512, "batch_size": 1}
    assert lost(made, map(str, range(1, 9))) == set()
    assert "Read me" in str(made.document["metadata"])


def test_a_muted_node_is_left_out_with_a_note_for_it_and_for_what_it_fed(read, lost):
    file = portrait()
    file["nodes"][3]["mode"] = 2
    made = read("comfyui", file)
    assert "EmptyLatentImage-5" not in made.nodes
    assert {note.becomes for note in made.notes if "node 5 is muted" in note.why} == {"KSampler-3"}
    assert lost(made, ["5", "512"]) == set()


def test_a_bypassed_node_hands_on_the_input_of_the_same_type(read):
    lora = node(
        10, "LoraLoader", ["model:MODEL", "clip:CLIP"], ["MODEL:MODEL", "CLIP:CLIP"], ["x", 1, 1], mode=4
    )
    file = portrait()
    file["nodes"].append(lora)
    file["links"] = [
        [n, *link, "X"]
        for n, link in enumerate([(4, 0, 10, 0), (4, 1, 10, 1), (10, 0, 3, 0), (10, 1, 6, 0)], 1)
    ]
    made = read("comfyui", file)
    assert made.edges == [
        ("CheckpointLoaderSimple-4.MODEL", "KSampler-3.model"),
        ("CheckpointLoaderSimple-4.CLIP", "CLIPTextEncode-6.clip"),
    ]


def test_a_bypassed_node_without_such_an_input_leaves_the_link_open_with_a_note(read):
    file = portrait()
    file["nodes"][0]["mode"] = 4
    made = read("comfyui", file)
    open_ends = [note for note in made.notes if "no input of the type" in note.why]
    assert {note.becomes for note in open_ends} == {
        "KSampler-3",
        "CLIPTextEncode-6",
        "CLIPTextEncode-7",
        "VAEDecode-8",
    }


def test_values_that_nobody_names_stay_in_the_metadata_with_a_note(read):
    made = read("comfyui", graph([node(1, "Acme Magic ✨ (v2)", [], ["out:X"], [1, "two"])], []))
    (made_node,) = made.nodes.values()
    assert made_node.uses == "comfyui.node.acme-magic-v2"
    assert made_node.params == {}
    assert any("2 values" in note.what for note in made.notes)


def test_widgets_that_the_node_lists_name_its_values(read):
    made = read(
        "comfyui",
        graph([node(1, "Acme", ["in:X", "mode!:COMBO", "seed!:INT"], [], ["fast", 7, "fixed"])], []),
    )
    assert made.nodes["Acme-1"].params == {"mode": "fast", "seed": 7}


def test_values_saved_by_name_are_taken_by_name(read):
    made = read("comfyui", graph([node(1, "VHS_Combine", [], [], {"frame_rate": 8, "loop": 0})], []))
    assert made.nodes["VHS_Combine-1"].params == {"frame_rate": 8, "loop": 0}


def subgraph(id, name, inner, links, inputs=("text",), outputs=("IMAGE",)):
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": id,
        "version": 1,
        "name": name,
        "inputNode": {"id": -10, "bounding": [0, 0, 1, 1]},
        "outputNode": {"id": -20, "bounding": [0, 0, 1, 1]},
        "inputs": [{"id": f"i-{one}", "name": one, "type": "X", "linkIds": []} for one in inputs],
        "outputs": [{"id": f"o-{one}", "name": one, "type": "X", "linkIds": []} for one in outputs],
        "widgets": [],
        "nodes": inner,
        "links": [
            {**dict(zip(keys, (n, *link), strict=True)), "type": "X"} for n, link in enumerate(links, 1)
        ],
    }


def test_subgraphs_become_workflows_of_the_file_used_as_often_as_they_are_placed(read, graph_faults, lost):
    inner = subgraph(
        "aaaa-1",
        "Draw",
        [
            node(1, "CLIPTextEncode", ["clip:CLIP", "text!:STRING"], ["C:C"], [""]),
            node(2, "Paint", ["c:C"], ["I:I"]),
        ],
        [(-10, 0, 1, 1), (1, 0, 2, 0), (2, 0, -20, 0)],
    )
    outer = subgraph(
        "bbbb-2", "Twice", [node(5, "aaaa-1", ["text:S"], ["IMAGE:I"])], [(-10, 0, 5, 0), (5, 0, -20, 0)]
    )
    file = graph(
        [
            node(11, "bbbb-2", ["text:STRING"], ["IMAGE:IMAGE"]),
            node(12, "aaaa-1", ["text:STRING"], ["IMAGE:IMAGE"]),
            node(13, "Text", [], ["S:STRING"], {"value": "fox"}),
            node(14, "SaveImage", ["images:IMAGE"], [], ["x"]),
        ],
        [(13, 0, 11, 0), (13, 0, 12, 0), (11, 0, 14, 0)],
        definitions={"subgraphs": [inner, outer]},
    )
    made = read("comfyui", file)
    assert [(one.id, one.name) for one in made.workflow.workflows] == [("draw", "Draw"), ("twice", "Twice")]
    assert made.nodes["Twice-11"].uses == "#twice"
    assert made.nodes["Draw-12"].uses == "#draw"
    assert ("Twice-11.IMAGE", "SaveImage-14.images") in made.edges
    draw = made.workflow.workflows[0]
    assert [(one.name, one.node, one.port) for one in draw.outputs] == [("IMAGE", "Paint-2", "I")]
    assert next((e.source, e.source_port, e.target_port) for e in draw.edges) == ("$inputs", "text", "text")
    assert graph_faults(made.workflow) == []
    assert lost(made, ["11", "12", "13", "14", "1", "2", "5"]) == set()
    assert {"aaaa-1:1", "aaaa-1:2"} <= {note.node for note in made.notes}


def test_a_subgraph_that_holds_itself_is_told_by_validation_and_ends_the_import_for_nobody(read):
    inner = subgraph("a", "A", [node(1, "a", ["text:S"], ["IMAGE:I"])], [(-10, 0, 1, 0), (1, 0, -20, 0)])
    made = read(
        "comfyui", graph([node(1, "a", ["text:S"], ["IMAGE:I"])], [], definitions={"subgraphs": [inner]})
    )
    assert made.workflow.workflows[0].nodes[0].uses == "#a"


def test_subgraphs_nested_deeper_than_anybody_draws_are_refused(read):
    chain = [
        subgraph(f"s{n}", f"S{n}", [node(1, f"s{n + 1}", ["text:S"], ["IMAGE:I"])], []) for n in range(400)
    ]
    with pytest.raises(WorkflowError, match="subgraphs in each other") as caught:
        read("comfyui", graph([node(1, "s0")], [], definitions={"subgraphs": chain}))
    assert caught.value.code == "SYM-W102"


def test_links_that_lead_nowhere_are_noted(read):
    made = read("comfyui", graph([node(1, "A", ["x:X"], ["Y:Y"])], [(1, 0, 77, 0), (66, 0, 1, 0)]))
    assert made.edges == []
    assert {note.why for note in made.notes} >= {"there is no such node", "the file has no node 66"}


def test_a_circle_of_reroutes_is_noted_and_ends(read):
    nodes = [node(1, "Reroute", [":*"], [":*"]), node(2, "Reroute", [":*"], [":*"]), node(3, "A", ["x:X"])]
    made = read("comfyui", graph(nodes, [(1, 0, 2, 0), (2, 0, 1, 0), (2, 0, 3, 0)]))
    assert any("circle" in note.why for note in made.notes)


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ({"nodes": 3, "links": []}, "graph.nodes"),
        ({"nodes": [{"id": 1}], "links": []}, "type"),
        ({"nodes": [{"id": None, "type": "A"}], "links": []}, "id"),
        ({"nodes": [{"id": 1, "type": "A"}, {"id": 1, "type": "B"}], "links": []}, "id"),
        ({"nodes": [], "links": [[1, 2]]}, "links"),
        ({"nodes": [], "links": [[1, 2, "x", 4, 5, "X"]]}, "links"),
        ({"nodes": [], "links": [], "definitions": [1]}, "definitions"),
        ([], "the file"),
    ],
)
def test_a_part_of_another_kind_is_named_by_its_place(read, file, place):
    with pytest.raises(WorkflowError, match=place) as caught:
        read("comfyui", file)
    assert caught.value.code == "SYM-W102"


def test_a_graph_of_two_hundred_nodes_keeps_its_order_and_every_node(read, graph_faults, lost):
    nodes = [node(1, "LoadImage", [], ["IMAGE:IMAGE", "MASK:MASK"], ["in.png", "image"])]
    nodes += [
        node(n, "ImageScale", ["image:IMAGE"], ["IMAGE:IMAGE"], ["lanczos", n, n, "disabled"])
        for n in range(2, 200)
    ]
    nodes += [node(200, "SaveImage", ["images:IMAGE"], [], ["out"])]
    made = read("comfyui", graph(nodes, [(n, 0, n + 1, 0) for n in range(1, 200)]))
    assert len(made.nodes) == 200
    assert len(made.edges) == 199
    assert graph_faults(made.workflow) == []
    assert lost(made, map(str, range(1, 201))) == set()


kinds = st.sampled_from(
    ["KSampler", "Reroute", "PrimitiveNode", "Note", "SetNode", "GetNode", "Übung 3", "日本", "A"]
)


@st.composite
def graphs(draw):
    ids = draw(st.lists(st.integers(0, 60), unique=True, max_size=12))
    nodes = [
        node(
            id,
            draw(kinds),
            ["a:X", "b!:Y"],
            ["X:X", "Y:Y"],
            draw(st.none() | st.lists(st.integers(-9, 9), max_size=3)),
            mode=draw(st.sampled_from([0, 0, 2, 4])),
        )
        for id in ids
    ]
    ends = st.sampled_from(ids or [1])
    links = draw(st.lists(st.tuples(ends, st.integers(0, 2), ends, st.integers(0, 2)), max_size=20))
    return graph(nodes, links)


@given(graphs())
@settings(max_examples=examples(30), deadline=None)
def test_no_node_is_ever_lost(read, lost, file):
    assert lost(read("comfyui", file), (str(one["id"]) for one in file["nodes"])) == set()
