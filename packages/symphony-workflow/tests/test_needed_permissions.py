from symphony_sdk.permissions import Permission
from symphony_workflow import (
    BranchNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
    Workflow,
    required_permissions,
)

READ = Permission("file", ("read",), "${project}/**", "reads it")
ASK = Permission("network", ("read",), "example.org:443", "looks it up", required=False)
WRITE = Permission("file", ("write",), "${project}/out/**", "writes it")


def test_a_workflow_needs_what_the_extensions_of_its_nodes_declare():
    inner = Workflow(id="inner", nodes=(OperatorNode(id="ask", uses="acme.web.get"),))
    workflow = Workflow(
        id="x",
        nodes=(
            OperatorNode(id="walk", uses="acme.files.walk"),
            MapNode(id="all", uses="acme.files.read", over="path"),
            BranchNode(id="way", condition="true"),
            SubworkflowNode(id="in", uses="#inner"),
            OperatorNode(id="none", uses="other.thing.do"),
        ),
        workflows=(inner,),
    )
    needed = required_permissions(
        workflow, {"acme.files": (READ,), "acme.web": (ASK, WRITE), "acme.unused": (READ,)}
    )
    assert needed == [
        ("acme.files", READ, ("walk", "all")),
        ("acme.web", WRITE, ("#inner/ask",)),
        ("acme.web", ASK, ("#inner/ask",)),
    ]
    assert required_permissions(workflow, {}) == []
