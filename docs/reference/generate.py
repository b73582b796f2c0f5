"""Writes what the code says of itself into the pages of the reference: `uv run python docs/reference/generate.py`.

A page holds prose and, between `<!-- generated: NAME -->` and `<!-- end -->`, what the function of that name
below makes of the code. A test fails when a page is not what this script would write. The JSON Schema of workflow files,
which the package symphony-workflow publishes, is written too.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import msgspec
import symphony_sdk
from rendering import arguments, description, docstring, fields, json_type, meanings, summary, table, toml
from symphony_host.cli.commands import COMMANDS
from symphony_host.cli.exits import EXPLAINED
from symphony_host.cli.root import root
from symphony_host.configuration import Settings
from symphony_ipc import framing, handshake, window
from symphony_ipc.envelope import DATA_KINDS, Envelope, Kind
from symphony_ipc.jsonrpc import LINE_LIMIT
from symphony_ipc.schema import family_messages
from symphony_sdk import events, markers, messages, ports, testing
from symphony_sdk.error_codes import CATALOGUE
from symphony_sdk.extension import context, files, http, models, signature
from symphony_sdk.hookspecs import ExtensionHooks, HostHooks
from symphony_sdk.manifest import Manifest
from symphony_sdk.permissions import FEATURES, VARIABLES
from symphony_sdk.testing import fakes
from symphony_sdk.testing.contracts.artifact_catalogue import ArtifactCatalogueContract
from symphony_sdk.testing.contracts.artifact_contract import ArtifactContract
from symphony_sdk.testing.contracts.artifact_scores import ArtifactScoresContract
from symphony_sdk.testing.contracts.artifact_search import ArtifactSearchContract
from symphony_sdk.testing.contracts.artifact_store import ArtifactStoreContract
from symphony_sdk.testing.contracts.artifact_tier import ArtifactTierContract
from symphony_sdk.testing.contracts.artifact_tiering import ArtifactTieringContract
from symphony_sdk.testing.contracts.bus import BusContract
from symphony_sdk.testing.contracts.dag_tracker import DagTrackerContract
from symphony_sdk.testing.contracts.transport import TransportContract
from symphony_workflow import SCHEMA
from symphony_workflow.document_schema import document_schema
from symphony_workflow.templates import FORMAT, Template
from symphony_workflow.templates.parameters import KEYWORDS

PAGES = Path(__file__).parent
SCHEMA_FILE = (
    PAGES.parents[1] / f"packages/symphony-workflow/src/symphony_workflow/schemas/workflow-{SCHEMA}.json"
)
_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_PARTS = {
    "X": "Internal",
    "M": "Manifest",
    "E": "Extension",
    "C": "Configuration",
    "W": "Workflow",
    "R": "Run",
    "A": "Artifact",
    "P": "Permission",
    "T": "Transport",
    "O": "Port",
}
# The heading that each table of a manifest has, by the name of its model.
_TABLES = {
    "Manifest": "Top level",
    "ExtensionSection": "`[extension]`",
    "RequiresSection": "`[requires]`",
    "ExtensionRequirementSection": "`[[requires.extensions]]`",
    "PermissionsSection": "`[permissions]`",
    "DeclaredPermission": "`[[permissions.required]]` and `[[permissions.optional]]`",
    "ResourcesSection": "`[resources]`",
    "ConfigSection": "`[config]`",
    "Setting": "`[config.properties.NAME]`",
    "TemplatesSection": "`[templates]`",
    "MarketplaceSection": "`[marketplace]`",
}
# What of `Settings` is not a setting, but where the settings came from.
NO_SETTINGS = ("file", "tables", "variables", "overrides")


# The heading above it names what mkdocstrings documents.
_OPTIONS = "    options:\n      heading_level: 4\n      show_root_heading: false\n"


def error_codes() -> Iterator[str]:
    """Every code of the catalogue, part by part."""
    for letter, part in _PARTS.items():
        yield f"## {part}: SYM-{letter}\n"
        for code, entry in CATALOGUE.items():
            if code[4] == letter:
                yield f"### {code}\n\n**{entry.title}.** {entry.explanation}\n"


def hooks_of_workers() -> Iterator[str]:
    """The hooks that a worker calls."""
    return _hooks(ExtensionHooks)


def hooks_of_the_host() -> Iterator[str]:
    """The hooks that the host calls."""
    return _hooks(HostHooks)


def manifest() -> Iterator[str]:
    """One table for each table of `symphony.toml`."""
    schema = Manifest.model_json_schema(by_alias=True)
    tables = {"Manifest": schema, **schema["$defs"]}
    for name, heading in _TABLES.items():
        model = tables[name]
        yield f"## {heading}\n"
        if name != "Manifest":
            yield f"{model['description']}\n"
        rows = []
        for key, field in model["properties"].items():
            examples = field.get("examples", [])
            rows.append(
                (
                    f"`{key}`",
                    json_type(field, _TABLES),
                    _default(field, key in model.get("required", ())),
                    ", ".join(f"`{toml(example)}`" for example in examples),
                    field.get("description", ""),
                )
            )
        yield table(("key", "value", "default", "for example", "meaning"), rows)


def permission_variables() -> Iterator[str]:
    """The variables that a path may start with."""
    yield table(("variable", "stands for"), [(f"`${{{name}}}`", text) for name, text in VARIABLES.items()])


def permission_features() -> Iterator[str]:
    """The features of the system."""
    rows = [
        (f"`{name}:NAME`" if name == "environment" else f"`{name}`", ", ".join(scopes))
        for name, scopes in FEATURES.items()
    ]
    yield table(("feature", "scopes"), rows)


def command_line() -> Iterator[str]:
    """Every command with its arguments, options and help."""
    for entry in COMMANDS.values():
        module, _, attribute = entry.target.partition(":")
        yield from _command(getattr(import_module(module), attribute), f"symphony {entry.name}")


def exit_codes() -> Iterator[str]:
    """The exit codes that all commands share."""
    yield table(("exit code", "means"), [(str(code), text) for code, text in EXPLAINED])


def settings() -> Iterator[str]:
    """The settings that a file, the environment or the command line can change."""
    described = arguments(Settings)
    rows = []
    for name in Settings._fields:
        if name not in NO_SETTINGS:
            known = name in Settings._field_defaults
            default = f"`{toml(Settings._field_defaults[name])}`" if known else "the platform's own"
            rows.append((f"`{name}`", f"`SYMPHONY_{name.upper()}`", default, described[name]))
    yield table(("setting", "variable", "default", "meaning"), rows)


def workflow_file() -> Iterator[str]:
    """One table for each part of a workflow file."""
    schema = document_schema()
    parts = {"Workflow": schema, **schema["$defs"]}
    names = {
        name: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Fields")).capitalize() for name in parts
    }
    for name, part in parts.items():
        if "properties" not in part:
            continue
        yield f"## {names[name]}\n\n{part.get('description', '')}\n"
        rows = [
            (
                f"`{key}`",
                json_type(field, names),
                "yes" if key in part.get("required", ()) else "",
                description(field),
            )
            for key, field in part["properties"].items()
        ]
        yield table(("key", "value", "required", "meaning"), rows)


def schema_text() -> str:
    """The JSON Schema of workflow files, as the package publishes it."""
    return json.dumps(document_schema(), indent=2) + "\n"


def event_types() -> Iterator[str]:
    """Each event of a run, by the name that it has in JSON."""
    for event in get_args(events.RunEvent):
        yield f"## {event.__struct_config__.tag}\n\n{summary(event)}\n\n{fields(event)}"


def message_types() -> Iterator[str]:
    """Each message of the family, by the name that it has on the wire."""
    for name, struct in family_messages().items():
        yield f"## {name}\n\n`{struct.__name__}`. {summary(struct)}\n\n{fields(struct)}"


def envelope_fields() -> Iterator[str]:
    """What is around every message."""
    yield fields(Envelope)


def envelope_kinds() -> Iterator[str]:
    """What an envelope can be."""
    rows = [
        (str(kind.value), f"`{kind.name}`", about) for kind, about in zip(Kind, meanings(Kind), strict=True)
    ]
    yield table(("number", "kind", "meaning"), rows)


def hello_fields() -> Iterator[str]:
    """What the connecting end says."""
    yield fields(handshake.Hello)


def welcome_fields() -> Iterator[str]:
    """What the accepting end says."""
    yield fields(handshake.Welcome)


def protocol_limits() -> Iterator[str]:
    """How much of everything a peer may send."""
    rows = [
        ("a frame before the handshake is over", _size(handshake.HANDSHAKE_LIMIT)),
        ("the handshake", f"{handshake.HANDSHAKE_TIMEOUT:g} s"),
        (f"a frame that is {_listed(DATA_KINDS)}", _size(framing.DATA_LIMIT)),
        ("any other frame, and what is around the payload of one of those", _size(framing.CONTROL_LIMIT)),
        ("a message, encoded", f"{_size(messages.MESSAGE_LIMIT)}, or what its type says"),
        ("requests without their final answer", f"{window.WINDOW_REQUESTS:,}"),
        ("bytes of payload in them", _size(window.WINDOW_BYTES)),
        ("a line of JSON-RPC", _size(LINE_LIMIT)),
    ]
    yield table(("what", "at most"), rows)


def sdk() -> Iterator[str]:
    """Every public name of `symphony_sdk`, and the types that these hand out."""
    for name in symphony_sdk.__all__:
        if name not in ("__version__", "hookimpl"):
            yield _documented(name, getattr(symphony_sdk, name))
    used = (
        files.Files,
        http.Http,
        http.Response,
        context.Artifacts,
        models.Models,
        models.ModelOutputs,
        context.Log,
    )
    for kind in (*used, signature.Signature):
        yield _documented(kind.__name__, kind)


def port_types() -> Iterator[str]:
    """Every public name of `symphony_sdk.ports`."""
    for name in ports.__all__:
        yield _documented(name, getattr(ports, name))


def testing_kit() -> Iterator[str]:
    """What authors test with."""
    for module in (testing, fakes):
        for name in module.__all__:
            yield _documented(name, getattr(module, name))
    for contract in (
        ArtifactContract,
        ArtifactStoreContract,
        ArtifactCatalogueContract,
        ArtifactTierContract,
        ArtifactTieringContract,
        ArtifactScoresContract,
        ArtifactSearchContract,
        BusContract,
        DagTrackerContract,
        TransportContract,
    ):
        yield _documented(contract.__name__, contract)


def template_file() -> Iterator[str]:
    """What stands in a template file and in one of its parameters."""
    yield "## Top level\n"
    yield table(("key", "meaning"), [(f"`{key}`", text) for key, text in _template_keys().items()])
    yield "## `parameters`\n"
    yield "The JSON Schema of the values that a parameter takes, and two keys of templates:\n"
    rows = [(f"`{key}`", takes or "any value") for key, takes in KEYWORDS.items()]
    yield table(("key", "value"), [*rows, ("`default`", "any value that fits"), ("`group`", "text")])


def _template_keys() -> dict[str, str]:
    about = arguments(Template)
    keys = {"template": f"The version of this format, always {FORMAT}."}
    return keys | {key: text for key, text in about.items() if key != "extra"}


GENERATED: Mapping[str, Callable[[], Iterable[str]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        error_codes,
        hooks_of_workers,
        hooks_of_the_host,
        manifest,
        permission_variables,
        permission_features,
        command_line,
        exit_codes,
        settings,
        workflow_file,
        template_file,
        event_types,
        message_types,
        envelope_fields,
        envelope_kinds,
        hello_fields,
        welcome_fields,
        protocol_limits,
        sdk,
        port_types,
        testing_kit,
    )
}
"""What stands between the marks, by their name."""


def renewed(page: str) -> str:
    """A page with its generated parts made anew.

    Args:
        page: Its text.
    """
    return _BLOCK.sub(
        lambda block: f"{block[1]}\n" + "\n".join(GENERATED[block[2]]()).rstrip() + f"\n\n{block[3]}", page
    )


def _hooks(specification: type) -> Iterator[str]:
    for name, function in vars(specification).items():
        if name.startswith("symphony_"):
            taken = ", ".join(list(inspect.signature(function).parameters)[1:])
            yield f"### {name}\n"
            yield f"`{name}({taken})`, marked with `{_marker_of(name)}`\n"
            yield "\n".join(docstring(function))


def _marker_of(hook: str) -> str:
    """The typed marker of a hook; the general one where it has none."""
    for name, marker in vars(markers).items():
        if inspect.isfunction(marker) and marker.__module__ == markers.__name__:

            def marked() -> None: ...

            marker(marked)
            if getattr(marked, f"{markers.PROJECT}_impl", {}).get("specname") == hook:
                return name
    return "hookimpl"


def _command(command: click.Command, path: str) -> Iterator[str]:
    ctx = click.Context(command, info_name=path, parent=click.Context(root, **root.context_settings))
    yield f"{'##' if path.count(' ') == 1 else '###'} {path}\n"
    yield f"```text\n{' '.join([path, *command.collect_usage_pieces(ctx)])}\n```\n"
    text = inspect.cleandoc(command.help or "")
    prose, _, example = text.partition("\b\nExample:")
    yield f"{prose.strip()}\n"
    if example:
        yield f"```console\n{re.sub(r'^ +', '$ ', example.strip(chr(10)), flags=re.MULTILINE)}\n```\n"
    options = [
        (f"`{', '.join([*each.opts, *each.secondary_opts])}`", _metavar(each, ctx), each.help or "")
        for each in command.get_params(ctx)
        if isinstance(each, click.Option)
    ]
    yield table(("option", "value", "meaning"), options)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None:
                yield from _command(child, f"{path} {name}")


def _metavar(option: click.Option, ctx: click.Context) -> str:
    return "" if option.is_flag else f"`{option.make_metavar(ctx)}`"


def _documented(name: str, value: Any) -> str:
    """A data type as a table; what has behaviour or a signature through mkdocstrings."""
    if inspect.isclass(value) and issubclass(value, msgspec.Struct) and not _methods(value):
        return f"### {name}\n\n{summary(value)}\n\n{fields(value)}"
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"### {name}\n\n::: {value.__module__}.{value.__qualname__}\n{_OPTIONS}"
    if get_origin(value) is Literal:
        return f"### {name}\n\nOne of {', '.join(f'`{choice}`' for choice in get_args(value))}.\n"
    return f"### {name}\n\n`{name} = {_written(value)}`\n"


def _written(alias: Any) -> str:
    """A type alias as it is written."""
    return re.sub(
        r"<class '([^']+)'>|(?:[^\W\d]\w*\.)+(\w+)",
        lambda name: (name[1] or name[0]).rpartition(".")[2],
        str(alias),
    )


def _methods(struct: type) -> bool:
    return any(inspect.isfunction(value) for name, value in vars(struct).items() if not name.startswith("_"))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def _listed(kinds: Iterable[Kind]) -> str:
    *others, last = (kind.name for kind in sorted(kinds))
    return f"{', '.join(others)} or {last}"


def _default(field: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    return "" if value in (None, []) or isinstance(value, dict) else f"`{toml(value)}`"


if __name__ == "__main__":
    if SCHEMA_FILE.parent.is_dir():  # a copy of this folder alone has no packages beside it
        SCHEMA_FILE.write_text(schema_text(), "utf-8")
    for file in sorted(PAGES.glob("*.md")):
        file.write_text(renewed(file.read_text("utf-8")), "utf-8")
