import io
import sys
from contextlib import redirect_stdout

import pytest
from symphony_host.plugins import PluginManager, Provided
from symphony_host.trust import FAMILY, refusal_in_host
from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.events import RunCancelled
from symphony_sdk.messages import MESSAGES
from symphony_sdk.providers import Executor, PitComponent, WorkflowTemplate
from symphony_sdk.testing import recording_context

EXECUTOR = """
from symphony_sdk import Executor, provides_executors

@provides_executors
def symphony_executors():
    yield Executor("{name}", lambda services: None)
"""
EVENT = RunCancelled(run="r", sequence=1, at=0.0)


@pytest.fixture
def load(site):
    """Installs extensions from the source of their modules and loads them; gives the plugin manager."""

    def load(*, strict=False, trusted=None, **sources):
        for name, source in sources.items():
            root = site.add(name, more='runs = "host"\n', files={"plugin.py": source})
            (root / "__init__.py").write_text("")
        found = site.discover()
        manager = PluginManager(trusted=found if trusted is None else trusted, strict=strict)
        for record in found.values():
            try:
                manager.load(record)
            except ExtensionError:
                if strict:
                    raise
        return manager

    return load


def codes(manager):
    return {extension: [fault.code for fault in faults] for extension, faults in manager.faults.items()}


def test_providers_are_collected_with_the_name_of_who_brought_them(load):
    manager = load(
        one=EXECUTOR.format(name="one"),
        pit=(
            "from symphony_sdk import PitComponent, hookimpl\n"
            "@hookimpl\n"
            "def symphony_pit_components():\n"
            "    return [PitComponent('artifact_store', lambda services: 'store')]\n"
        ),
    )
    assert manager.loaded == ("acme.one", "acme.pit")
    (name, provided), *_ = manager.executors().items()
    assert (name, provided.extension, type(provided.provider)) == ("one", "acme.one", Executor)
    store = manager.pit_components()["artifact_store"]
    assert isinstance(store, Provided)
    assert isinstance(store.provider, PitComponent)
    assert store.provider.create(None) == "store"
    assert manager.faults == {}


def test_every_kind_of_provider_is_collected_by_its_key(load):
    manager = load(
        all=(
            "import msgspec\n"
            "from symphony_sdk import *\n"
            "def make(services): ...\n"
            "@message('acme.greeting')\n"
            "class Greeting(msgspec.Struct): ...\n"
            "@hookimpl\n"
            "def symphony_transports(): yield Transport('pigeon', make)\n"
            "@hookimpl\n"
            "def symphony_bus_uplinks(): yield BusUplink('broker', make)\n"
            "@hookimpl\n"
            "def symphony_observers(): yield Observer('spy', make)\n"
            "@hookimpl\n"
            "def symphony_editors(): yield Editor('ed', make)\n"
            "@hookimpl\n"
            "def symphony_conductors(): yield Conductor('rules', make)\n"
            "@hookimpl\n"
            "def symphony_data_access(): yield DataAccess('web', make)\n"
            "@hookimpl\n"
            "def symphony_commands(): yield FrontendCommand('acme.greet', 'Greet', make)\n"
            "@hookimpl\n"
            "def symphony_cli(): yield CliCommand('greet', 'Greet', 'acme_all.cli:greet')\n"
            "@hookimpl\n"
            "def symphony_message_types(): yield Greeting\n"
            "@hookimpl\n"
            "def symphony_workflow_templates(): yield WorkflowTemplate('tidy', 'Tidy', 'acme_all', 'tidy.json')\n"
        )
    )
    assert manager.faults == {}
    keys = {
        "transports": "pigeon",
        "observers": "spy",
        "bus_uplinks": "broker",
        "editors": "ed",
        "conductors": "rules",
        "data_access": "web",
        "commands": "acme.greet",
        "cli_commands": "greet",
        "message_types": "acme.greeting/1",
        "workflow_templates": "acme.all/tidy",
    }
    assert {kind: list(getattr(manager, kind)()) for kind in keys} == {
        kind: [key] for kind, key in keys.items()
    }
    assert isinstance(manager.workflow_templates()["acme.all/tidy"].provider, WorkflowTemplate)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("raise RuntimeError('no')", "SYM-E016"),
        ("import sys; sys.exit(3)", "SYM-E016"),
        ("import acme_not_there", "SYM-E016"),
        ("def broken(:", "SYM-E016"),
        (
            "from symphony_sdk import hookimpl\n@hookimpl\ndef symphony_executor(): ...\n",
            "SYM-E019",
        ),
        (
            "from symphony_sdk import hookimpl\n@hookimpl\ndef symphony_executors(services): ...\n",
            "SYM-E019",
        ),
    ],
    ids=["raises", "exits", "imports", "syntax", "name", "signature"],
)
def test_a_broken_module_fails_for_itself_alone(load, source, code):
    manager = load(bad=source, good=EXECUTOR.format(name="good"))
    assert codes(manager) == {"acme.bad": [code]}
    assert list(manager.executors()) == ["good"]
    assert manager.faults["acme.bad"][0].hint


def test_a_misspelt_hook_is_told_with_the_one_that_was_meant(load):
    manager = load(bad="from symphony_sdk import hookimpl\n@hookimpl\ndef symphony_executor(): ...\n")
    assert "symphony_executors" in manager.faults["acme.bad"][0].hint


def test_a_module_that_is_missing_is_told(site):
    root = site.add("text", more='runs = "host"\n')
    (root / "__init__.py").write_text("")
    with pytest.raises(ExtensionError) as raised:
        PluginManager(trusted=["acme.text"]).load(site.discover()["acme.text"])
    assert raised.value.code == "SYM-E015"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise RuntimeError('no')", "SYM-E014"),
        ("raise SystemExit(1)", "SYM-E014"),
        ("yield 'text'", "SYM-E018"),
        ("return 7", "SYM-E018"),
        ("yield Executor('half', None); raise RuntimeError('later')", "SYM-E014"),
    ],
)
def test_a_hook_that_fails_hides_no_other_result(load, body, code):
    source = f"from symphony_sdk import Executor, hookimpl\n@hookimpl\ndef symphony_executors(): {body}\n"
    manager = load(bad=source, good=EXECUTOR.format(name="good"))
    assert list(manager.executors()) == ["good"]
    assert codes(manager) == {"acme.bad": [code]}


def test_hooks_hand_out_once(load):
    source = (
        "from symphony_sdk import Executor, hookimpl\nCALLS = []\n@hookimpl\ndef symphony_executors():\n"
        "    CALLS.append(1)\n    yield Executor('one', None)\n"
    )
    manager = load(one=source)
    assert manager.executors() is manager.executors()
    assert sys.modules["acme_one.plugin"].CALLS == [1]


def test_two_providers_of_one_name_are_both_refused_and_both_named(load):
    manager = load(
        one=EXECUTOR.format(name="same"),
        two=EXECUTOR.format(name="same"),
        three=EXECUTOR.format(name="three"),
    )
    assert list(manager.executors()) == ["three"]
    assert codes(manager) == {"acme.one": ["SYM-E017"], "acme.two": ["SYM-E017"]}
    for faults in manager.faults.values():
        assert "acme.one and acme.two" in faults[0].message


MESSAGE = """
import msgspec
from symphony_sdk import hookimpl, message

{before}
class Greeting(msgspec.Struct): ...

@hookimpl
def symphony_message_types(): yield {given}
"""


@pytest.fixture
def registered(monkeypatch):
    """The registry of messages, which is as it was afterwards."""
    kept = dict(MESSAGES)
    yield MESSAGES
    MESSAGES.clear()
    MESSAGES.update(kept)


@pytest.mark.parametrize(
    ("before", "given"),
    [
        ("", "Greeting"),
        ("", "dict"),
        ("", "7"),
        ("@message('acme.bad.greeting')", "Greeting()"),
        ("@message('acme.bad.greeting')", "type('Child', (Greeting,), {})"),
    ],
    ids=["undecorated", "no struct", "no class", "instance", "undecorated child"],
)
def test_what_is_no_message_type_is_a_fault_of_its_extension_alone(load, registered, before, given):
    good = MESSAGE.format(before="@message('acme.good.greeting')", given="Greeting")
    manager = load(bad=MESSAGE.format(before=before, given=given), good=good)
    assert list(manager.message_types()) == ["acme.good.greeting/1"]
    assert codes(manager) == {"acme.bad": ["SYM-E018"]}


@pytest.mark.parametrize(
    ("decorator", "told"),
    [
        ("@message('acme.good.greeting')", "'acme.good.greeting/1' is already acme_good.plugin.Greeting"),
        ("@message('worker.call')", "'worker.call/1' is already symphony_sdk.messages.CallOperation"),
        ("@message('greeting')", "names no message"),
        ("@message('acme.worse.other')\nclass Other: ...\n", "cannot be a message"),
    ],
    ids=["of another extension", "of the family", "no name", "no struct"],
)
def test_a_message_that_cannot_be_registered_keeps_its_extension_out_alone(load, registered, decorator, told):
    good = MESSAGE.format(before="@message('acme.good.greeting')", given="Greeting")
    manager = load(good=good, worse=MESSAGE.format(before=decorator, given="Greeting"))
    assert list(manager.message_types()) == ["acme.good.greeting/1"]
    assert codes(manager) == {"acme.worse": ["SYM-E016"]}
    assert told in manager.faults["acme.worse"][0].message
    assert registered["acme.good.greeting/1"] is sys.modules["acme_good.plugin"].Greeting


def test_an_extension_that_is_not_trusted_is_never_imported(load):
    manager = load(trusted=(), bad="raise RuntimeError('imported')")
    assert codes(manager) == {"acme.bad": ["SYM-E027"]}
    assert "acme_bad" not in sys.modules


def test_the_family_is_trusted(site):
    site.add("text", metadata="Metadata-Version: 2.4\nName: pit-dag-tracker\nVersion: 1\n")
    assert "pit-dag-tracker" in FAMILY
    assert refusal_in_host(site.discover()["acme.text"], ()) is None


def test_what_an_import_prints_goes_to_the_log(load, caplog):
    out = io.StringIO()
    with redirect_stdout(out):
        load(loud="print('buy my course')")
    assert out.getvalue() == ""
    assert "acme.loud printed while it was imported: buy my course" in caplog.text


OBSERVER = """
from symphony_sdk import observes_events
SEEN = []

@observes_events
def symphony_event(event):
    SEEN.append(event)
    {body}
"""


@pytest.mark.parametrize("body", ["raise RuntimeError('no')", "raise SystemExit"])
def test_an_observer_that_raises_harms_no_other_and_is_noted_once(load, body):
    manager = load(bad=OBSERVER.format(body=body), good=OBSERVER.format(body=""))
    manager.publish(EVENT)
    manager.publish(EVENT)
    assert sys.modules["acme_good.plugin"].SEEN == [EVENT, EVENT]
    assert codes(manager) == {"acme.bad": ["SYM-E014"]}


LIFE = """
from symphony_sdk import Context, hookimpl
STEPS = []

@hookimpl
def symphony_load(ctx: Context) -> None:
    STEPS.append(("load", ctx.config))

@hookimpl
def symphony_unload() -> None:
    raise RuntimeError("stuck")
"""


def test_the_hooks_of_its_life_are_run_with_its_context(load):
    manager = load(life=LIFE)
    context = recording_context(config={"a": 1})
    manager.run("acme.life", "load", context)
    manager.run("acme.life", "activate", context)
    assert sys.modules["acme_life.plugin"].STEPS == [("load", {"a": 1})]
    with pytest.raises(SymphonyError, match="stuck") as raised:
        manager.run("acme.life", "unload", context)
    assert manager.faults["acme.life"] == [raised.value]


def test_an_unloaded_extension_provides_nothing_any_more(load):
    manager = load(one=EXECUTOR.format(name="one"))
    assert list(manager.executors()) == ["one"]
    manager.unload("acme.one")
    assert (dict(manager.executors()), manager.loaded) == ({}, ())
    with pytest.raises(ExtensionError, match="not loaded"):
        manager.run("acme.one", "load", recording_context())


def test_loading_twice_does_nothing(load, site):
    manager = load(one=EXECUTOR.format(name="one"))
    collected = manager.executors()
    manager.load(site.discover()["acme.one"])
    assert manager.executors() is collected


def test_strict_raises_what_is_otherwise_noted(load):
    manager = load(strict=True, bad=OBSERVER.format(body="raise RuntimeError('no')"))
    with pytest.raises(SymphonyError, match="raised RuntimeError: no"):
        manager.publish(EVENT)
    assert codes(manager) == {"acme.bad": ["SYM-E014"]}
