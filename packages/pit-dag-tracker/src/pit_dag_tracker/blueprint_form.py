"""The form in which blueprints are kept with a run, so that it is resumed without its workflow's document.

That form is a copy of what the document says, made because it is read in a fraction of the time. It is believed only
where its stamp is right: a digest of all its bytes, of the request that it was made from, and of how this version
writes it. A form that was damaged, or that another version wrote, is made anew from the document.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from functools import partial
from hashlib import sha256
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, get_type_hints

import msgspec
from symphony_sdk.values import DECODING_ERRORS
from symphony_workflow.bulk import collector_paused, from_columns
from symphony_workflow.model import (
    CachePolicy,
    Case,
    Node,
    Resources,
    RetryPolicy,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.node_documents import NODE_KINDS

from pit_dag_tracker.blueprints import UNREAD, Blueprint, Blueprints, Nodes, Rules

AT_ONCE = 256
"""Nodes of a kind that are made together."""

FORMAT = 1
"""Raised whenever what is written, or what it means, changes."""


class _Lists(msgspec.Struct, frozen=True, array_like=True):
    """A list of lists of numbers: how long each is, and all numbers one after the other."""

    lengths: list[int]
    numbers: list[int]


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """One field of many nodes: its different values, and which of them each node has where there are several."""

    values: msgspec.Raw
    which: list[int]


class _Nodes(msgspec.Struct, frozen=True, array_like=True):
    """All nodes of one kind: their numbers, none where they are all nodes, and their fields that a run reads."""

    kind: str
    numbers: list[int]
    columns: dict[str, _Column]


class _Form(msgspec.Struct, frozen=True, array_like=True):
    """A blueprint as it is written; `sources` has only those that differ from the parents."""

    id: str
    inputs: list[tuple[str, bool, Any]]
    outputs: list[tuple[str, str, str]]
    names: list[str]
    nodes: list[_Nodes]
    parents: _Lists
    children: _Lists
    order: list[int]
    priority: list[int]
    shapes: list[tuple[tuple[str, str], ...]]
    shape: list[int]
    sources: dict[int, list[int]]
    fixed: dict[int, dict[str, bytes]]
    given: dict[int, list[tuple[str, str]]]
    rules: dict[int, tuple[dict[str, str], list[int], list[tuple[int, str]]]]
    repeating: list[int]
    eager: list[int]
    examples: list[int]


_FORMS = msgspec.msgpack.Decoder(tuple[_Form, dict[str, _Form]])
_HINTS = {name: get_type_hints(kind) for name, kind in NODE_KINDS.items()}
_READ: dict[str, dict[str, tuple[Field[Any], Callable[[bytes], list[Any]]]]] = {
    name: {
        field.name: (field, msgspec.msgpack.Decoder(list[_HINTS[name][field.name]]).decode)  # type: ignore[misc]
        for field in fields(kind)
        if field.name not in UNREAD and field.name != "id"
    }
    for name, kind in NODE_KINDS.items()
}
_LAYOUT = repr(
    [
        (
            FORMAT,
            [(one.name, str(one.type), one.default) for one in fields(kind) if one.default is not MISSING],
        )
        for kind in (*NODE_KINDS.values(), CachePolicy, RetryPolicy, Resources, Case)
    ]
).encode()
"""Another one where the fields of nodes are others, or have other defaults."""
_NAMES = {kind: name for name, kind in NODE_KINDS.items()}


def encode_blueprints(blueprints: Blueprints, request: bytes) -> bytes:
    """The form of some blueprints, which begins with its stamp.

    Args:
        blueprints: The workflows of a run.
        request: The encoded request of the run.
    """
    inner = {name: _form(one) for name, one in blueprints.inner.items()}
    data = msgspec.msgpack.encode((_form(blueprints.top), inner))
    return _stamp(data, request) + data


def decode_blueprints(data: bytes, request: bytes) -> Blueprints | None:
    """The blueprints that a form holds; None where it is damaged, of another request, or of another version.

    Args:
        data: What [encode_blueprints][pit_dag_tracker.blueprint_form.encode_blueprints] gave.
        request: The encoded request of the run.
    """
    size = sha256().digest_size
    form = memoryview(data)[size:]
    if data[:size] != _stamp(form, request):
        return None
    try:
        with collector_paused():
            top, inner = _FORMS.decode(form)
            return Blueprints(_blueprint(top), {name: _blueprint(one) for name, one in inner.items()})
    except DECODING_ERRORS:  # the same layout, but not what its fields are read as
        return None


def _stamp(data: bytes | memoryview, request: bytes) -> bytes:
    digest = sha256(_LAYOUT)
    digest.update(sha256(request).digest())
    digest.update(data)
    return digest.digest()


# -- writing ------------------------------------------------------------------------------------------


def _form(one: Blueprint) -> _Form:
    shapes = {ports: place for place, ports in enumerate(dict.fromkeys(one.ports))}
    return _Form(
        one.id,
        [(each.name, each.required, each.default) for each in one.inputs],
        [(each.name, each.node, each.port) for each in one.outputs],
        one.names,
        [*_columns([one.nodes[number] for number in range(len(one.names))])],
        _flat(one.parents),
        _flat(one.children),
        one.order,
        one.priority,
        [*shapes],
        [shapes[ports] for ports in one.ports],
        {
            number: [*sources]
            for number, (sources, parents) in enumerate(zip(one.sources, one.parents, strict=True))
            if sources is not parents
        },
        one.fixed,
        one.given,
        {number: (each.computed, each.controls, each.conditions) for number, each in one.rules.items()},
        one.repeating,
        one.eager,
        one.examples,
    )


def _columns(nodes: Sequence[Node]) -> Iterator[_Nodes]:
    numbers: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        numbers.setdefault(_NAMES[type(node)], []).append(number)
    for kind, named in numbers.items():
        columns = {name: _column([getattr(nodes[number], name) for number in named]) for name in _READ[kind]}
        yield _Nodes(kind, named if len(numbers) > 1 else [], columns)


def _column(values: list[Any]) -> _Column:
    first = values[0]
    if all(value is first for value in values):
        return _Column(msgspec.Raw(msgspec.msgpack.encode([first])), [])
    encoded = [msgspec.msgpack.encode(value) for value in values]
    places = {value: place for place, value in enumerate(dict.fromkeys(encoded))}
    different = dict(zip(encoded, values, strict=True))
    return _Column(
        msgspec.Raw(msgspec.msgpack.encode([different[value] for value in places])),
        [places[value] for value in encoded] if len(places) > 1 else [],
    )


def _flat(lists: Sequence[Sequence[int]]) -> _Lists:
    return _Lists([len(one) for one in lists], [*chain.from_iterable(lists)])


# -- reading ------------------------------------------------------------------------------------------


def _blueprint(form: _Form) -> Blueprint:
    numbers = list(range(len(form.names)))  # each a single object, however often it is named
    parents = _lists(form.parents, numbers)
    sources: list[Sequence[int]] = [*parents]
    for number, named in form.sources.items():
        sources[number] = [numbers[one] for one in named]
    return Blueprint(
        form.id,
        tuple(
            [
                WorkflowInput(name, required=required, default=default)
                for name, required, default in form.inputs
            ]
        ),
        tuple([WorkflowOutput(*each) for each in form.outputs]),
        form.names,
        dict(zip(form.names, numbers, strict=True)),
        Nodes(make=partial(_made, [_Kind(some, form.names) for some in form.nodes])),
        parents,
        _lists(form.children, numbers),
        [*map(numbers.__getitem__, form.order)],
        form.priority,
        [*map(form.shapes.__getitem__, form.shape)],
        sources,
        form.fixed,
        form.given,
        {number: Rules(*each) for number, each in form.rules.items()},
        form.repeating,
        form.eager,
        form.examples,
    )


class _Kind:
    """The nodes of one kind, as their fields."""

    def __init__(self, some: _Nodes, names: Sequence[str]) -> None:
        self.numbers: Sequence[int] = some.numbers or range(len(names))
        self._kind = NODE_KINDS[some.kind]
        self._names = names
        self._columns = {
            name: (
                [_own(field, value) for value in read(some.columns[name].values)],
                some.columns[name].which,
            )
            for name, (field, read) in _READ[some.kind].items()
        }

    def made(self, start: int, end: int) -> list[Node]:
        """Some of them."""
        columns: dict[str, Iterable[Any]] = {name: repeat(value) for name, value in UNREAD.items()}
        columns["id"] = [self._names[number] for number in self.numbers[start:end]]
        for name, (values, which) in self._columns.items():
            columns[name] = map(values.__getitem__, which[start:end]) if which else repeat(values[0])
        count = len(self.numbers[start:end])
        return from_columns(
            self._kind, count, {field.name: columns[field.name] for field in fields(self._kind)}
        )


def _made(kinds: Sequence[_Kind], number: int) -> Iterator[tuple[int, Node]]:
    """A node, and those beside it, which are likely to be asked for next and cost little more."""
    for kind in kinds:
        place = bisect_left(kind.numbers, number)
        if place < len(kind.numbers) and kind.numbers[place] == number:
            start = place - place % AT_ONCE
            end = start + AT_ONCE
            yield from zip(kind.numbers[start:end], kind.made(start, end), strict=True)


def _own(field: Field[Any], value: Any) -> Any:
    """The field's own default where a value is equal to it: whoever asks whether it is the default compares by `is`."""
    return field.default if field.default is not MISSING and value == field.default else value


def _lists(flat: _Lists, numbers: Sequence[int]) -> list[list[int]]:
    named = [*map(numbers.__getitem__, flat.numbers)]
    return [named[start:end] for start, end in pairwise(accumulate(flat.lengths, initial=0))]
