import types

import pytest
from symphony_sdk.errors import ExtensionError
from symphony_sdk.loading import load_extension, plugin_manager, prepare

GOOD = """
from symphony_sdk import Addon, Context, Instrument, hookimpl, on_load, operator
from symphony_sdk import provides_addons, provides_instruments, provides_operators

@operator("acme.text.shout")
def shout(ctx: Context, text: str) -> str:
    "Shout."
    return text.upper()

class Mood(Instrument):
    "Mood."
    id = "acme.text.mood"
    def infer(self, ctx: Context, text: str) -> float:
        return 0.0

@provides_operators
def operators():
    yield shout

@provides_instruments
def instruments():
    return [Mood()]

@provides_addons
def addons():
    yield Addon("acme.text.viewer", title="Viewer", package="symphony_sdk")

@on_load
def prepare(ctx: Context) -> None: ...

@hookimpl
def symphony_unload(): ...
"""


def test_everything_that_an_extension_contributes_is_collected(make_module):
    contributions = load_extension("acme.text", make_module("acme_good", GOOD))
    assert list(contributions.operations) == ["acme.text.shout", "acme.text.mood"]
    assert [addon.spec.id for addon in contributions.addons] == ["acme.text.viewer"]
    assert contributions.hooks == (
        "symphony_addons",
        "symphony_instruments",
        "symphony_load",
        "symphony_operators",
        "symphony_unload",
    )
    assert {step: len(hooks) for step, hooks in contributions.lifecycle.items()} == {
        "load": 1,
        "activate": 0,
        "deactivate": 0,
        "unload": 1,
    }


@pytest.mark.parametrize(
    ("source", "code", "message", "hint"),
    [
        ("raise RuntimeError('boom')", "SYM-E016", "raised RuntimeError: boom", "symphony disable"),
        ("import sys; sys.exit(3)", "SYM-E016", "called sys.exit", "symphony disable"),
        ("import nothing_like_this", "SYM-E016", "raised ModuleNotFoundError", "Mend the module"),
        ("def broken(:", "SYM-E016", "raised SyntaxError", "Mend the module"),
        (
            "from symphony_sdk import hookimpl\n@hookimpl\ndef symphony_operator(): ...",
            "SYM-E019",
            "implements 'symphony_operator', which is no hook",
            "Did you mean 'symphony_operators'?",
        ),
        (
            "from symphony_sdk import hookimpl\n@hookimpl\ndef zzz(): ...",
            "SYM-E019",
            "implements 'zzz', which is no hook",
            "documentation",
        ),
        (
            "from symphony_sdk import hookimpl\n@hookimpl\ndef symphony_load(context): ...",
            "SYM-E019",
            "wrong signature",
            "Take only the arguments",
        ),
        (
            "from symphony_sdk import provides_operators\n@provides_operators\ndef f(): return 3",
            "SYM-E018",
            "symphony_operators of the extension 'acme.text' returned int",
            "iterable of Operator",
        ),
        (
            "from symphony_sdk import provides_operators\ndef g(ctx): ...\n@provides_operators\ndef f(): yield g",
            "SYM-E018",
            "contributed <function g",
            "Decorate the function with @operator.",
        ),
        (
            (
                "from symphony_sdk import *\nclass I(Instrument): id='acme.text.i'\n"
                "@provides_instruments\ndef f(): yield I"
            ),
            "SYM-E018",
            "contributed <class",
            "write I()",
        ),
        (
            (
                "from symphony_sdk import *\nclass I(Instrument): id='acme.text.i'\n"
                "@provides_instruments\ndef f(): yield I()"
            ),
            "SYM-E010",
            "the instrument I defines no `infer`",
            "def infer(self, ctx: Context",
        ),
        (
            (
                "from symphony_sdk import *\n@operator('acme.text.a')\ndef a(ctx: Context) -> None: ...\n"
                "@provides_operators\ndef f(): return [a, a]"
            ),
            "SYM-E017",
            "contributes 'acme.text.a' twice",
            "id of its own",
        ),
        (
            (
                "from symphony_sdk import *\n@operator('other.text.a')\ndef a(ctx: Context) -> None: ...\n"
                "@provides_operators\ndef f(): return [a]"
            ),
            "SYM-E011",
            "outside of its own namespace",
            "`acme.text.`",
        ),
        (
            (
                "from symphony_sdk import *\n@provides_addons\ndef f():\n"
                "    yield Addon('acme.text.a', title='A', package='nothing_like_this')"
            ),
            "SYM-E012",
            "'nothing_like_this', which is not installed",
            "import name",
        ),
        (
            (
                "from symphony_sdk import *\n@provides_addons\ndef f():\n"
                "    yield Addon('acme.text.a', title='A', package='symphony_sdk',"
                " panels=[PanelSpec('p', 'P', '../errors.py')])"
            ),
            "SYM-E012",
            "'../errors.py', which is no file of the package",
            "by its path inside the package",
        ),
        (
            (
                "from symphony_sdk import *\n@provides_addons\ndef f():\n"
                "    yield Addon('acme.text.a', title='A', package='symphony_sdk',"
                " panels=[PanelSpec('p', 'P', 'errors.py')] * 2)"
            ),
            "SYM-E012",
            "two panels with the id 'p'",
            "id of its own",
        ),
    ],
)
def test_a_broken_extension_is_refused_with_its_place_and_mend(make_module, source, code, message, hint):
    with pytest.raises(ExtensionError) as caught:
        load_extension("acme.text", make_module("acme_broken", source))
    assert caught.value.code == code
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_import_that_fails_names_the_line_that_failed(make_module):
    module = make_module("acme_broken_at", "x = 1\ny = 2\nraise RuntimeError('here')\n")
    with pytest.raises(ExtensionError) as caught:
        load_extension("acme.text", module)
    assert caught.value.file.endswith("acme_broken_at.py")
    assert caught.value.line == 3
    assert "RuntimeError: here" in caught.value.traceback


@pytest.mark.parametrize("module", ["acme_nowhere", "acme_nowhere.plugin"])
def test_a_module_that_is_not_there_is_told_from_one_that_fails(module):
    with pytest.raises(ExtensionError) as caught:
        load_extension("acme.text", module)
    assert caught.value.code == "SYM-E015"
    assert "`module`" in caught.value.hint


def test_what_was_prepared_is_the_plugin_manager_of_one_extension_alone():
    prepare()
    modules = [types.ModuleType(name) for name in ("acme_one", "acme_two")]
    first, second = (plugin_manager(module.__name__, module) for module in modules)
    assert [first.get_plugins(), second.get_plugins()] == [{modules[0]}, {modules[1]}]
    assert vars(first.hook).keys() == vars(second.hook).keys() >= {"symphony_operators", "symphony_health"}
