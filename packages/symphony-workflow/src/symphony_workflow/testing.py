"""Hypothesis strategies for whole workflows, for the tests of whatever reads, writes, draws or runs them.

```python
@given(workflows())
@settings(max_examples=examples(60))
def test_any_workflow_comes_back(workflow):
    assert loads(dumps(workflow)) == workflow
```

Needs hypothesis, which only tests install. What is drawn is what a file can hold, whether or not it makes sense:
edges may lead in circles, and nodes may use what there is not.
"""

import os
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from symphony_workflow.model import (
    INPUTS,
    ApprovalNode,
    BranchNode,
    CachePolicy,
    Case,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Edge,
    Expression,
    InstrumentNode,
    JoinNode,
    LoopNode,
    MapNode,
    Metadata,
    Node,
    OperatorNode,
    Resources,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)


def examples(usual: int) -> int:
    """How many examples of a property to try: `usual`, or what the variable FUZZ_EXAMPLES says.

    Args:
        usual: The number for everyday runs.
    """
    return int(os.environ.get("FUZZ_EXAMPLES", usual))


def texts(longest: int = 12) -> SearchStrategy[str]:
    """Any text that UTF-8 can hold: control characters, right-to-left and combining ones among it.

    Args:
        longest: Characters of the longest one.
    """
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=longest)


def json_values() -> SearchStrategy[Any]:
    """Any JSON value that a workflow can hold, those that look like an expression of the file among them."""
    return _JSON


def expressions() -> SearchStrategy[Expression]:
    """Any expression that a file can hold; most are no CEL."""
    return st.builds(Expression, _conditions)


def node_ids() -> SearchStrategy[str]:
    """Any id of a node."""
    return _node_ids


def port_names() -> SearchStrategy[str]:
    """Any name of a port."""
    return _port_names


@st.composite
def nodes(draw: DrawFn, id: str, local: tuple[str, ...] = ()) -> Node:
    """Any node of any kind.

    Args:
        draw: Given by hypothesis.
        id: Its id.
        local: The ids of the workflows of its file.
    """
    kind = draw(_kinds)
    fields = draw(_FIELDS[kind])
    if local and fields.get("uses", "").startswith("#"):
        fields["uses"] = f"#{draw(st.sampled_from(local))}"
    return kind(id=id, **fields)


@st.composite
def workflows(draw: DrawFn, *, acyclic: bool = False, nested: bool = True, most: int = 5) -> Workflow:
    """Any workflow that a file can hold.

    Args:
        draw: Given by hypothesis.
        acyclic: Whether edges lead only from earlier nodes to later ones, never to nodes that there are not.
        nested: Whether it may have workflows of its own.
        most: The most nodes of one workflow.
    """
    inner: list[Workflow] = []
    if nested and draw(st.integers(0, 2)) == 2:
        inner = [
            draw(workflows(acyclic=acyclic, nested=False, most=2)) for _ in range(draw(st.integers(1, 2)))
        ]
    inner = list({one.id: one for one in inner}.values())
    ids = draw(st.lists(_node_ids, unique=True, max_size=most))
    edges = draw(st.lists(_edge(ids, acyclic=acyclic), max_size=2 * most)) if ids or not acyclic else ()
    return Workflow(
        id=draw(_workflow_ids),
        name=draw(texts()),
        nodes=tuple(draw(nodes(id, tuple(one.id for one in inner))) for id in ids),
        edges=tuple(edges),
        inputs=tuple(draw(_input(name)) for name in draw(_named)),
        outputs=tuple(WorkflowOutput(name, draw(_node_ids), draw(_port_names)) for name in draw(_named)),
        metadata=draw(_metadata),
        workflows=tuple(inner),
        extra=draw(_extras),
    )


# Every name that a file knows somewhere: an unknown field has another one.
_KNOWN = frozenset({"kind", "control", "from", "to", "schema"}).union(
    field.name
    for part in (Workflow, WorkflowInput, *get_args(Node), *get_args(Edge))
    for field in fields(part)
)

_node_ids = st.builds("{}{}".format, st.sampled_from("abZ_"), st.text("b3_-", max_size=4)) | st.just(
    "n" * 128
)
_port_names = st.builds("{}{}".format, st.sampled_from("aZ_"), st.text("b3_", max_size=4))
_workflow_ids = st.builds("{}{}".format, st.sampled_from("aZ_7"), st.text("b3_.-", max_size=4))
_operation_ids = st.builds(
    "acme.{}.{}".format, st.sampled_from(["a", "b-2"]), st.sampled_from(["x", "y9", "z-"])
)
_conditions = texts().filter(bool) | st.sampled_from(["count > 3", "size(files) == 0 || inputs.force"])
_seconds = st.floats(0.001, 1e6) | st.integers(1, 10**6).map(float)
_amounts = st.floats(0, 1e9) | st.integers(0, 1000).map(float)

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts()
)
_keys = texts() | st.sampled_from(["$expr", "$literal"])
_JSON = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=2),
    max_leaves=4,
)
_free = st.dictionaries(texts(), _JSON, max_size=2)
_extras: SearchStrategy[dict[str, Any]] = st.just({}) | st.dictionaries(
    (texts() | st.sampled_from(["x-colour", "//", "$comment", "tiemout"])).filter(
        lambda key: key not in _KNOWN
    ),
    _JSON,
    max_size=2,
)
_params = st.dictionaries(_port_names, _JSON | expressions(), max_size=3)
_retries = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 1000),
    delay=st.floats(0, 86_400),
    factor=st.floats(1, 100),
    limit=st.floats(0, 31_536_000),
    jitter=st.floats(0, 1),
    on=st.lists(st.sampled_from(["SYM-T014", "SYM-R", "ACME-7", "é"]), max_size=2).map(tuple),
)
_resources = st.builds(
    Resources,
    cpu=_amounts,
    memory=st.integers(0, 2**63 - 1),
    gpu=_amounts,
    custom=st.dictionaries(texts().filter(bool), _amounts, max_size=2),
)
_caches = st.builds(
    CachePolicy,
    use=st.sampled_from(["auto", "never"]),
    ttl=st.none() | _amounts,
    ignore=st.lists(_port_names, max_size=2).map(tuple),
)

_optional = {"params": _params, "label": texts(), "metadata": _free, "extra": _extras}
_called = {
    "version": st.integers(1, 2**31),
    "retry": _retries,
    "timeout": _seconds,
    "idle_timeout": _seconds,
    "resources": _resources,
    "cache": _caches,
}


def _fields_of(
    needed: dict[str, SearchStrategy[Any]], **optional: SearchStrategy[Any]
) -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(needed, optional={**_optional, **optional})


_local = _workflow_ids.map("#{}".format)
_FIELDS: dict[Callable[..., Node], SearchStrategy[dict[str, Any]]] = {
    InstrumentNode: _fields_of({"uses": _operation_ids}, **_called),
    OperatorNode: _fields_of({"uses": _operation_ids}, **_called),
    MapNode: _fields_of(
        {"uses": _operation_ids | _local, "over": _port_names},
        **_called,
        concurrency=st.integers(1, 10_000),
        max_items=st.none() | st.integers(1, 2**53),
        on_error=st.sampled_from(["fail", "collect"]),
    ),
    BranchNode: _fields_of({"condition": _conditions}),
    SwitchNode: _fields_of(
        {"cases": st.lists(st.builds(Case, _port_names, _conditions), max_size=3).map(tuple)}
    ),
    JoinNode: _fields_of({}, wait=st.sampled_from(["all", "any"]) | st.integers(1, 10_000)),
    LoopNode: _fields_of(
        {
            "uses": _operation_ids | _local,
            "until": _conditions,
            "max_iterations": st.integers(1, 2**53),
        },
        **_called,
        carry=st.dictionaries(_port_names, _port_names, max_size=2),
        on_limit=st.sampled_from(["fail", "complete"]),
    ),
    SubworkflowNode: _fields_of({"uses": _local}, timeout=_seconds),
    ApprovalNode: _fields_of(
        {"prompt": texts()},
        approvers=st.lists(texts(), max_size=2).map(tuple),
        timeout=_seconds,
        on_timeout=st.sampled_from(["fail", "approve", "reject"]),
    ),
}
_kinds: SearchStrategy[Callable[..., Node]] = st.sampled_from(list(_FIELDS))
_notes = st.fixed_dictionaries({}, optional={"metadata": _free, "extra": _extras})
_edge_kinds = st.sampled_from([DataEdge, ControlEdge, ConditionalEdge])
_named = st.lists(_port_names, unique=True, max_size=3)


@st.composite
def _edge(draw: DrawFn, ids: list[str], *, acyclic: bool) -> Edge:
    kind = draw(_edge_kinds)
    places = st.integers(0, len(ids) - 1 if acyclic else len(ids))  # one more: a node that there is not
    ends = [draw(places), draw(places)]
    if acyclic:
        ends.sort()
        if ends[0] == ends[1]:  # only an input can lead there
            return DataEdge(INPUTS, draw(_port_names), ids[ends[1]], draw(_port_names), **draw(_notes))
    source, target = (ids[place] if place < len(ids) else draw(_node_ids) for place in ends)
    if kind is DataEdge:
        source = draw(st.sampled_from([source, INPUTS]))
        return DataEdge(source, draw(_port_names), target, draw(_port_names), **draw(_notes))
    if kind is ControlEdge:
        return ControlEdge(source, target, **draw(_notes))
    return ConditionalEdge(source, target, draw(_conditions), **draw(_notes))


@st.composite
def _input(draw: DrawFn, name: str) -> WorkflowInput:
    required = draw(st.booleans())
    default = None if required else draw(_JSON)
    return WorkflowInput(name, draw(_free), required, default, draw(texts()), draw(_extras))


_metadata = st.builds(
    Metadata,
    texts(),
    texts(),
    texts(),
    st.lists(texts(), max_size=3).map(tuple),
    st.dictionaries(
        texts().filter(lambda key: key not in {"author", "created", "modified", "tags"}), _JSON, max_size=2
    ),
)
