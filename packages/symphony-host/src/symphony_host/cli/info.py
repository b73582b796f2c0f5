"""`symphony info`."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from symphony_sdk.errors import ExtensionError, SymphonyError

from symphony_host.cli.session import settings_of
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell
from symphony_host.cli.survey import Surveyed, kind_of, survey
from symphony_host.cli.text import clean, columns, size
from symphony_host.configuration import Settings

if TYPE_CHECKING:
    from symphony_isolation.way import Way
    from symphony_sdk.contributions import OperationSpec, PortSpec
    from symphony_sdk.ports import ExtensionHealth


@click.command()
@click.argument("name")
@json_option
@debug_option
@pass_shell
def info(shell: Shell, name: str) -> None:
    """Tell all about the extension or the operation NAME: what it may do, its settings, its ports, its state.

    \b
    Example:
      symphony info symphony.files
      symphony info symphony.files.walk
    """
    settings = settings_of(shell)
    found = survey(settings)
    extensions = [each for each in found if each.record.id == name]
    if extensions:
        running = asyncio.run(_running(settings, name))
        for each in extensions:
            sandbox = _sandbox(settings, each) if each.record.runs == "worker" else None
            _print_extension(shell, each, sandbox, running)
        return
    owned = [each for each in found if name.startswith(f"{each.record.id}.")]
    operation = _operation(owned, name)
    if operation is None and any(each.operations is None and each.state == "resolved" for each in owned):
        found = survey(settings, ask=True)
        operation = _operation(found, name)
    if operation is None:
        raise _unknown(name, found)
    _print_operation(shell, operation)


def _operation(found: Iterable[Surveyed], name: str) -> "OperationSpec | None":
    return next((spec for each in found for spec in each.operations or () if spec.id == name), None)


def _unknown(name: str, found: list[Surveyed]) -> SymphonyError:
    from difflib import get_close_matches

    broken = [each for each in found if name.startswith(f"{each.record.id}.") and each.problems]
    if broken:
        each = broken[0]
        return ExtensionError(
            f"the operation {name!r} cannot be known: {each.record.id} is {each.state}: {each.reason}",
            code="SYM-E013",
            hint=each.problems[0].hint or "`symphony doctor` tells more.",
        )
    names = [each.record.id for each in found]
    names += [spec.id for each in found for spec in each.operations or ()]
    near = get_close_matches(name, names, n=1)
    return ExtensionError(
        f"nothing that is installed has the name {name!r}",
        code="SYM-E028",
        hint=f"Did you mean {near[0]!r}?" if near else "`symphony list --operations` shows what there is.",
    )


async def _running(settings: Settings, extension: str) -> "dict[int, ExtensionHealth]":
    """How the extension is in each host of the user that runs, by process."""
    from symphony_host.host_mailbox import Command, running_hosts

    found = {}
    for host in running_hosts(settings.data_dir / "hosts"):
        with suppress(ExtensionError):  # one that does not answer has nothing to show
            answer = await host.ask(Command("health", extension))
            if answer is not None and answer.health is not None:
                found[host.process] = answer.health
    return found


def _sandbox(settings: Settings, each: Surveyed) -> dict[str, Any]:
    """The sandbox that an extension runs in here, or why there is none."""
    from symphony_isolation.sandbox import MEANING, backend, choose, probe, unenforced

    from symphony_host.trust import sandbox_of

    missing = {layer.name: layer.reason for layer in probe().layers if not layer.works}
    told = {"backend": backend(), "missing": missing, "unenforced": unenforced("unverified")}
    try:
        tier = choose(sandbox_of(each.record, settings.sandbox, settings.trusted))
    except SymphonyError as error:
        return {"tier": None, "means": error.message, **told}
    return {"tier": tier, "means": MEANING[tier], **told}


def _print_extension(
    shell: Shell,
    each: Surveyed,
    sandbox: dict[str, Any] | None,
    running: "Mapping[int, ExtensionHealth]",
) -> None:
    record = each.record
    way = _way(each)
    if shell.json:
        shell.print_json(
            {
                **record.to_index(),
                "state": each.state,
                "reason": each.reason,
                "problems": [error.payload() for error in each.problems],
                "operations": each.operations,
                "addons": each.addons,
                "start": way and way._asdict(),
                "sandbox": sandbox,
                "running": {str(process): health for process, health in running.items()},
            }
        )
        return
    click.secho(f"{clean(record.id)} {clean(record.version)}", bold=True)
    facts = [
        ("summary", record.summary),
        ("kind", record.kind),
        ("state", f"{each.state}: {each.reason}" if each.reason else each.state),
        ("distribution", f"{record.distribution} {record.version}{' (editable)' if record.editable else ''}"),
        ("licence", record.license),
        ("authors", record.authors),
        ("runs in", {"worker": "a process of its own", "host": "the host"}.get(record.runs, "")),
        ("starts", _start(way)),
        ("sandbox", f"{sandbox['tier'] or 'refused'}: {sandbox['means']}" if sandbox else ""),
        ("manifest", record.manifest_file),
    ]
    _echo(columns([fact for fact in facts if fact[1]], indent=2))
    if record.requires:
        rows = [
            (need.id, need.range, f"found {need.found}" if need.found else "not installed")
            for need in record.requires
        ]
        _section("requires", columns(rows, indent=2))
    if record.document is not None:
        _print_manifest(each)
    if sandbox and sandbox["missing"]:
        _section(
            "layers of the sandbox that this machine does not offer",
            columns([*sandbox["missing"].items()], indent=2),
        )
    if sandbox and sandbox["unenforced"]:
        _section(f"what {sandbox['backend']} lets through", [f"  {what}" for what in sandbox["unenforced"]])
    _section("operations", _operations(each))
    if each.addons:
        _section("addons", columns([(addon.id, addon.title) for addon in each.addons], indent=2))
    _section(
        "in use",
        columns([(f"process {process}", *_health(now)) for process, now in running.items()], indent=2),
    )
    for error in each.problems:
        click.echo()
        _echo(error_lines(error))


def _health(now: "ExtensionHealth") -> tuple[str, ...]:
    """How an extension is, in a few cells."""
    silent = ", ".join(f"{place} is {pulse}" for place, pulse in now.silent.items())
    if now.alive:
        well = now.problem or silent or ("well" if now.answered is not None else "does not answer")
    else:
        well = "at rest"
    workers = f"{len(now.pids)} worker{'' if len(now.pids) == 1 else 's'}"
    crash = f"crashed last: {now.exits[-1].text}" if now.exits else ""
    return clean(well), workers, f"{now.calls + now.waiting} calls", f"{now.restarts} restarts", clean(crash)


def _way(each: Surveyed) -> "Way | None":
    if each.record.runs != "worker":
        return None
    from symphony_isolation.way import way_of

    return way_of(sys.executable)


def _start(way: "Way | None") -> str:
    if way is None:
        return ""
    text = {
        "warm": "warm, forked from a process that is ready",
        "cold": "cold, with an interpreter of its own",
    }
    return f"{text[way.kind]}: {way.reason}" if way.reason else text[way.kind]


def _print_manifest(each: Surveyed) -> None:
    manifest = each.record.manifest
    rows = [
        (
            f"{permission.type} {','.join(permission.scope)}",
            permission.resource,
            "required" if permission.required else "optional",
            permission.reason,
        )
        for permission in manifest.permissions
    ]
    _section("permissions", columns(rows, indent=2) or ["  none: it may touch nothing"])
    limits = manifest.resources
    _section(
        "resources, at most",
        columns(
            [
                ("memory", size(limits.memory) if limits.memory else "no bound"),
                ("cores", f"{limits.cpu:g}"),
                ("gpus", f"{limits.gpu:g}"),
                ("processes", str(limits.processes)),
                ("threads", str(limits.threads)),
                ("disk", size(limits.disk)),
                ("workers", str(limits.workers) if limits.workers else "as its operations allow"),
                ("time to start", f"{limits.load_timeout:g} s"),
            ],
            indent=2,
        ),
    )
    settings: Mapping[str, Mapping[str, Any]] = manifest.config.get("properties", {})
    if settings:
        rows = [
            (
                name,
                _type(schema),
                f"default {_json(schema['default'])}" if "default" in schema else "",
                str(schema.get("description", "")),
            )
            for name, schema in settings.items()
        ]
        _section("settings", columns(rows, indent=2))


def _operations(each: Surveyed) -> list[str]:
    if each.operations is None and not each.works_for_nodes:
        return []
    if each.operations is None:
        return ["  not known before its first start: `symphony list --operations` starts it"]
    return columns(
        [(spec.id, kind_of(spec), spec.title or spec.description) for spec in each.operations], indent=2
    )


def _print_operation(shell: Shell, operation: "OperationSpec") -> None:
    if shell.json:
        shell.print_json(operation)
        return
    click.secho(clean(operation.id), bold=True)
    facts = [
        ("kind", kind_of(operation)),
        ("title", operation.title),
        ("description", operation.description),
        ("version", str(operation.version)),
        ("rates", "" if operation.scores is None else ", ".join(operation.scores) or "every artifact"),
        (
            "retried",
            "yes, running it twice is as good as once" if operation.idempotent else "never after a crash",
        ),
    ]
    _echo(columns([fact for fact in facts if fact[1]], indent=2))
    _section("inputs", columns([_port(port) for port in operation.inputs], indent=2) or ["  none"])
    _section(
        "outputs",
        columns([_port(port)[:2] + _port(port)[3:] for port in operation.outputs], indent=2) or ["  none"],
    )


def _port(port: "PortSpec") -> tuple[str, ...]:
    default = "required" if port.required else f"default {_json(port.default)}"
    return (port.name, _type(port.schema), default, port.description)


def _type(schema: Mapping[str, Any]) -> str:
    from symphony_workflow import describe

    return describe(schema)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _section(heading: str, lines: list[str]) -> None:
    if lines:
        click.echo()
        click.secho(heading, bold=True)
        _echo(lines)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
