"""The editor's messages: xi's names and shapes, and every value of every type there and back."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.editor import (
    EDITS,
    PLAIN_EDITS,
    TO_CORE,
    TO_FRONT_END,
    Edit,
    Plain,
    announcements,
    calls,
    commands,
    edits,
    updates,
)
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.messages import MESSAGES
from symphony_sdk.ports import TextEditingPort
from symphony_sdk.testing import message_strategy

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
raw = json_values.map(lambda value: msgspec.Raw(json.dumps(value).encode()))
gestures = (
    message_strategy(edits.Select).map(lambda found: edits.Selecting(select=found))
    | message_strategy(edits.SelectExtend).map(lambda found: edits.Selecting(select_extend=found))
    | st.sampled_from(["drag", "point_select", "toggle_sel"])
)
places = st.integers(0, 2**40)
BY_HAND = {  # types whose fields hold JSON that nobody decodes, or exclude each other
    edits.Gesture: st.builds(edits.Gesture, line=places, col=places, ty=gestures),
    commands.ModifyUserConfig: st.builds(
        commands.ModifyUserConfig,
        domain=st.just("general") | message_strategy(commands.SyntaxDomain),
        changes=raw,
    ),
    commands.Plugin: st.builds(
        commands.Plugin,
        command=st.sampled_from(["start", "stop", "plugin_rpc"]),
        view_id=st.text(),
        plugin=st.text(),
        notification=st.just(msgspec.UNSET) | raw,
    ),
    announcements.ThemeChanged: st.builds(announcements.ThemeChanged, name=st.text(), theme=raw),
    announcements.ConfigChanged: st.builds(announcements.ConfigChanged, view_id=st.text(), changes=raw),
    announcements.UpdateCmds: st.builds(
        announcements.UpdateCmds, view_id=st.text(), plugin=st.text(), cmds=raw
    ),
    updates.Update: st.builds(
        updates.Update,
        view_id=st.text(),
        update=st.builds(
            updates.Changes,
            ops=message_strategy(tuple[updates.Op, ...]),
            pristine=st.booleans(),
            annotations=st.tuples(
                st.builds(
                    updates.Annotation,
                    type=st.text(),
                    ranges=st.just(((0, 1, 2, 3),)),
                    n=places,
                    payloads=st.just(msgspec.UNSET) | raw,
                )
            ),
            rev=st.none() | places,
        ),
    ),
}


def values(kind):
    return BY_HAND[kind] if kind in BY_HAND else message_strategy(kind)


def plain(value):
    return json.loads(msgspec.json.encode(value))


@st.composite
def edit_commands(draw):
    method = draw(st.sampled_from(sorted(EDITS)) | st.sampled_from(sorted(PLAIN_EDITS)))
    return method, draw(values(EDITS[method])) if method in EDITS else Plain(method)


TYPED = [
    (m, kind) for table in (TO_CORE, TO_FRONT_END, EDITS) for m, kind in table.items() if kind is not Edit
]


@pytest.mark.parametrize(("method", "kind"), TYPED, ids=[method for method, _ in TYPED])
def test_every_message_comes_back_from_json(method, kind):
    @settings(max_examples=15)
    @given(values(kind))
    def check(value):
        assert plain(msgspec.json.decode(msgspec.json.encode(value), type=kind)) == plain(value)

    check()


@given(st.text(), edit_commands())
def test_every_edit_comes_back_inside_of_its_envelope(view, named):
    method, command = named
    edit = msgspec.json.decode(msgspec.json.encode(Edit.of(view, command, method)), type=Edit)
    assert (edit.view_id, edit.method) == (view, method)
    assert plain(edit.command()) == plain(command)


EXACT = [
    (
        Edit.of("view-id-1", edits.Insert("x")),
        {"view_id": "view-id-1", "method": "insert", "params": {"chars": "x"}},
    ),
    (Edit.of("v", Plain("move_up")), {"view_id": "v", "method": "move_up", "params": []}),
    (Edit.of("v", edits.Scroll(0, 18)), {"view_id": "v", "method": "scroll", "params": [0, 18]}),
    (Edit.of("v", edits.Click(42, 31, 0, 1)), {"view_id": "v", "method": "click", "params": [42, 31, 0, 1]}),
    (
        Edit.of("v", edits.Gesture(1, 2, edits.Selecting(select=edits.Select("word", True)))),
        {
            "view_id": "v",
            "method": "gesture",
            "params": {"line": 1, "col": 2, "ty": {"select": {"granularity": "word", "multi": True}}},
        },
    ),
    (
        Edit.of("v", edits.Gesture(1, 2, "drag")),
        {"view_id": "v", "method": "gesture", "params": {"line": 1, "col": 2, "ty": "drag"}},
    ),
    (
        Edit.of("v", edits.FindNext(wrap_around=True), "find_previous"),
        {"view_id": "v", "method": "find_previous", "params": {"wrap_around": True}},
    ),
    (commands.NewView(), {}),
    (commands.NewView("/tmp/a"), {"file_path": "/tmp/a"}),
    (
        commands.ModifyUserConfig(commands.SyntaxDomain(syntax="rust"), msgspec.Raw(b'{"tab_size":2}')),
        {"domain": {"syntax": "rust"}, "changes": {"tab_size": 2}},
    ),
    (
        updates.Update(
            "view-id-1",
            updates.Changes(
                (
                    updates.Copy(2, ln=1),
                    updates.Skip(1),
                    updates.Ins(1, (updates.Line("é\n", 3, (2,), (0, 2, 0)),)),
                    updates.Invalidate(4),
                ),
                pristine=True,
                annotations=(updates.Annotation("selection", ((0, 0, 0, 1),), 1),),
            ),
        ),
        {
            "view_id": "view-id-1",
            "update": {
                "ops": [
                    {"op": "copy", "n": 2, "ln": 1},
                    {"op": "skip", "n": 1},
                    {
                        "op": "ins",
                        "n": 1,
                        "lines": [{"text": "é\n", "ln": 3, "cursor": [2], "styles": [0, 2, 0]}],
                    },
                    {"op": "invalidate", "n": 4},
                ],
                "pristine": True,
                "annotations": [{"type": "selection", "ranges": [[0, 0, 0, 1]], "n": 1}],
            },
        },
    ),
    ((announcements.WidthRequest(0, ("a", "b")),), [{"id": 0, "strings": ["a", "b"]}]),
]


@pytest.mark.parametrize(("value", "expected"), EXACT)
def test_messages_have_the_shape_that_xi_gives_them(value, expected):
    assert plain(value) == expected


def test_parameters_beyond_those_known_are_ignored():
    edit = msgspec.json.decode(
        b'{"view_id":"v","method":"insert","params":{"chars":"a","x":1},"y":2}', type=Edit
    )
    assert edit.command() == edits.Insert("a")


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("explode", b"[]", "there is no edit 'explode'"),
        ("insert", b"[]", "the parameters of the edit insert are wrong"),
        ("insert", b'{"chars":1}', "parameters"),
        ("scroll", b'["a",1]', "parameters"),
        ("goto_line", b'{"line":-1}', "parameters"),
        ("gesture", b'{"line":1,"col":1,"ty":{}}', "one of `select` and `select_extend`"),
        ("gesture", b'{"line":1,"col":1,"ty":"fly"}', "parameters"),
        ("insert", b"[" * 100_000, "parameters"),
    ],
)
def test_an_edit_that_is_none_is_malformed(method, params, message):
    with pytest.raises(MalformedMessage, match=message):
        Edit("v", method, msgspec.Raw(params)).command()


def test_an_update_without_a_line_is_refused():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"op":"copy","n":0}', type=updates.Op)


def test_every_call_of_the_port_has_a_message():
    names = {"cursors" if name == "set_cursors" else name for name in vars(TextEditingPort) if name[0] != "_"}
    registered = {
        name.removeprefix("editor.").removesuffix("/1") for name in MESSAGES if name.startswith("editor.")
    }
    assert registered - names == {"buffer", "content", "watch", "update"}
    assert names - registered == {"updates"}
    assert calls.WatchBuffer("b").buffer == "b"
