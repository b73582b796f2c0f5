import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import get_args

import click
import pytest
import symphony_sdk
from pydantic import BaseModel
from symphony_host.cli.commands import COMMANDS
from symphony_host.cli.root import root
from symphony_host.configuration import Settings
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.handshake import Hello, Welcome
from symphony_ipc.schema import family_messages
from symphony_sdk import manifest, ports, testing
from symphony_sdk.error_codes import CATALOGUE
from symphony_sdk.events import RunEvent
from symphony_sdk.hookspecs import ExtensionHooks, HostHooks
from symphony_sdk.permissions import FEATURES, PERMISSION_TYPES, VARIABLES
from symphony_sdk.testing import Contract, contracts, fakes
from symphony_workflow import json_schema

MANIFEST_HEADINGS = {
    manifest.Manifest: "Top level",
    manifest.ExtensionSection: "`[extension]`",
    manifest.RequiresSection: "`[requires]`",
    manifest.ExtensionRequirementSection: "`[[requires.extensions]]`",
    manifest.PermissionsSection: "`[permissions]`",
    manifest.DeclaredPermission: "`[[permissions.required]]` and `[[permissions.optional]]`",
    manifest.ResourcesSection: "`[resources]`",
    manifest.ConfigSection: "`[config]`",
    manifest.Setting: "`[config.properties.NAME]`",
    manifest.TemplatesSection: "`[templates]`",
    manifest.MarketplaceSection: "`[marketplace]`",
}

Wanted = tuple[str, str, str]
"""A page, a heading on it, and how a line below that heading begins; any line where it is empty."""


def wanted() -> Iterator[Wanted]:
    """Everything that a user can meet and must find documented."""
    for hooks in (ExtensionHooks, HostHooks):
        for name in vars(hooks):
            if name.startswith("symphony_"):
                yield "hooks.md", name, ""
    for model, heading in MANIFEST_HEADINGS.items():
        for name, field in model.model_fields.items():
            yield "manifest.md", heading, f"| `{field.alias or name}` |"
    for entry in COMMANDS.values():
        module, _, attribute = entry.target.partition(":")
        yield from wanted_of_command(getattr(import_module(module), attribute), f"symphony {entry.name}")
    for code, entry in CATALOGUE.items():
        yield "error-codes.md", code, f"**{entry.title}.**"
    for name in set(Settings._fields) - {"file", "tables", "variables", "overrides"}:
        yield "settings.md", "Settings", f"| `{name}` | `SYMPHONY_{name.upper()}` |"
    for page, module in (("ports.md", ports), ("testing.md", testing), ("testing.md", fakes)):
        for name in module.__all__:
            yield page, name, ""
    for module in iter_modules(contracts.__path__, f"{contracts.__name__}."):
        import_module(module.name)
    for contract in Contract.__subclasses__():
        if contract.__module__.startswith("symphony_sdk."):
            yield "testing.md", contract.__name__, ""
    for name in set(symphony_sdk.__all__) - {"hookimpl", "__version__"}:
        yield "sdk.md", name, ""
    for event in get_args(RunEvent):
        yield "events.md", event.__struct_config__.tag, ""
    for name in family_messages():
        yield "messages.md", name, ""
    for kind in Kind:
        yield "protocol.md", "Kinds", f"| {kind.value} | `{kind.name}` |"
    for heading, struct in (("Envelope", Envelope), ("HELLO", Hello), ("WELCOME", Welcome)):
        for name in struct.__struct_fields__:
            yield "protocol.md", heading, f"| `{name}` |"
    for kind in PERMISSION_TYPES:
        yield "permissions.md", "Permissions", f"| `{kind}` |"
    for variable in VARIABLES:
        yield "permissions.md", "Variables of paths", f"| `${{{variable}}}` |"
    for feature in FEATURES:
        yield "permissions.md", "Features of the system", f"| `{feature}"
    for name, part in json_schema()["$defs"].items():
        heading = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Fields")).capitalize()
        for key in part.get("properties", ()):
            yield "workflow-file.md", heading, f"| `{key}` |"


def wanted_of_command(command: click.Command, path: str) -> Iterator[Wanted]:
    context = click.Context(command, info_name=path, parent=click.Context(root, **root.context_settings))
    yield "command-line.md", path, ""
    for option in command.get_params(context):
        if isinstance(option, click.Option):
            yield "command-line.md", path, f"| `{', '.join([*option.opts, *option.secondary_opts])}` |"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from wanted_of_command(child, f"{path} {name}")


def undocumented(reference: Path) -> set[Wanted]:
    """What the pages of a folder leave out."""
    lines: dict[tuple[str, str], list[str]] = {}
    for page in reference.glob("*.md"):
        heading = ""
        for line in page.read_text("utf-8").splitlines():
            if line.startswith("#"):
                heading = line.lstrip("#").strip()
            lines.setdefault((page.name, heading), []).append(line)
    return {
        (page, heading, start)
        for page, heading, start in wanted()
        if not any(line.startswith(start) for line in lines.get((page, heading), ()))
    }


def test_everything_that_a_user_can_meet_is_documented(docs):
    assert undocumented(docs / "reference") == set()


def test_every_key_in_a_table_has_a_meaning(docs):
    for name in (
        "protocol.md",
        "manifest.md",
        "workflow-file.md",
        "settings.md",
        "command-line.md",
        "events.md",
    ):
        rows = [
            line for line in (docs / "reference" / name).read_text("utf-8").splitlines() if line[:3] == "| `"
        ]
        constants = ("| `kind` |", "| `control` |")  # their value says it all
        empty = [row for row in rows if row.endswith("|  |") and not row.startswith(constants)]
        assert rows, name
        assert not empty, name


def test_every_model_of_the_manifest_has_a_table():
    found = set()

    def walk(model: type[BaseModel]) -> None:
        if model not in found:
            found.add(model)
            for field in model.model_fields.values():
                for inner in re.findall(r"symphony_sdk\.manifest\.\w+\.(\w+)", str(field.annotation)):
                    walk(getattr(manifest, inner))

    walk(manifest.Manifest)

    assert found == MANIFEST_HEADINGS.keys()


@pytest.mark.parametrize(
    ("removed", "missing"),
    [
        ("### symphony_event\n", ("hooks.md", "symphony_event", "")),
        ("| `memory` |", ("manifest.md", "`[resources]`", "| `memory` |")),
        ("## symphony doctor\n", ("command-line.md", "symphony doctor", "")),
        ("| `--load` |", ("command-line.md", "symphony doctor", "| `--load` |")),
        ("### SYM-W013\n", ("error-codes.md", "SYM-W013", "**Unknown node type.**")),
        ("| `strict` | `SYMPHONY_STRICT` |", ("settings.md", "Settings", "| `strict` | `SYMPHONY_STRICT` |")),
        ("### PitPort\n", ("ports.md", "PitPort", "")),
        ("### operator\n", ("sdk.md", "operator", "")),
        ("## node-failed\n", ("events.md", "node-failed", "")),
        ("| `gpu` |", ("permissions.md", "Features of the system", "| `gpu")),
    ],
)
def test_what_is_taken_out_of_the_reference_is_missed(docs, tmp_path, removed, missing):
    copy = Path(shutil.copytree(docs / "reference", tmp_path / "reference"))
    page = copy / missing[0]
    text = page.read_text("utf-8")
    assert removed in text

    page.write_text(text.replace(removed, ""), "utf-8")

    assert missing in undocumented(copy)


def test_the_reference_is_what_the_code_says_today(docs, tmp_path):
    copy = Path(shutil.copytree(docs / "reference", tmp_path / "reference"))
    script = copy / "generate.py"

    subprocess.run([sys.executable, str(script)], check=True, env=os.environ | {"PYTHONPATH": ""})

    stale = [
        page.name
        for page in sorted(copy.glob("*.md"))
        if page.read_text("utf-8") != (docs / "reference" / page.name).read_text("utf-8")
    ]
    assert not stale, "run `uv run python docs/reference/generate.py` and commit what it writes"


def test_a_page_that_was_edited_between_the_marks_is_made_anew(docs, tmp_path):
    copy = Path(shutil.copytree(docs / "reference", tmp_path / "reference"))
    page = copy / "error-codes.md"
    good = page.read_text("utf-8")
    page.write_text(good.replace("### SYM-M001", "### SYM-M999"), "utf-8")

    subprocess.run([sys.executable, str(copy / "generate.py")], check=True)

    assert page.read_text("utf-8") == good
