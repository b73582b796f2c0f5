"""What extensions that run in the host contribute through hooks, remembered so that a listing imports none.

They are asked once after something was installed, edited or switched; then one small file answers.
"""

from __future__ import annotations

# pathlib and typing alone cost as much as everything else here
# ruff: noqa: PTH105, PTH118, PTH122, PTH123
import json
import os

from symphony_host.directories import user_directory
from symphony_host.index import index_file, load_records
from symphony_host.installed import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symphony_host.plugins import PluginManager

FORMAT = 2
"""The version of the file's format."""


def hosted_commands() -> list[list[str]]:
    """The commands of `symphony_cli`: name, target, summary and extension of each, sorted.

    Never raises: an extension that cannot be asked adds nothing, and `symphony doctor` says why.
    """
    return _contributions()["commands"]


def hosted_templates() -> list[list[str]]:
    """The templates of `symphony_workflow_templates`: extension and file of each, sorted. Never raises either."""
    return _contributions()["templates"]


def _contributions() -> dict[str, list[list[str]]]:
    key = _key()
    if not key:
        return {"commands": [], "templates": []}
    file = f"{os.path.splitext(index_file(user_directory('cache')))[0]}-contributions.json"
    try:
        with open(file, "rb") as stream:
            kept = json.load(stream)
        if kept["key"] == key:
            return {name: list(kept[name]) for name in ("commands", "templates")}
    except (OSError, ValueError, LookupError, TypeError):
        pass  # a cache that cannot be used is made again
    found = _asked()
    _write(file, {"key": key, **found})
    return found


def _key() -> list[Any]:
    """All that the contributions depend on; empty where no extension runs in the host."""
    hosted = [
        [record.id, record.version, record.fingerprint()]
        for record in load_records(cache_dir=user_directory("cache"))
        if record.runs == "host" and record.usable
    ]
    if not hosted:
        return []
    config = os.environ.get("SYMPHONY_CONFIG") or f"{user_directory('config')}/config.toml"
    return [FORMAT, hosted, stamp(config), stamp(f"{user_directory('data')}/disabled")]


def _asked() -> dict[str, list[list[str]]]:
    import contextlib
    import logging

    from symphony_sdk.errors import SymphonyError

    from symphony_host.catalogue import load_catalogue
    from symphony_host.configuration import load_settings
    from symphony_host.plugins import PluginManager

    quiet = logging.getLogger("symphony_host.plugins")
    quiet.disabled = True  # `doctor` tells what is broken; a page of help is no place for it
    try:
        settings = load_settings()
        plugins = PluginManager(trusted=settings.trusted)
        for record in load_catalogue(settings).usable():
            if record.runs == "host":
                with contextlib.suppress(SymphonyError):
                    plugins.load(record)
        commands = [
            [name, added.provider.target, added.provider.summary, added.extension]
            for name, added in sorted(plugins.cli_commands().items())
        ]
        return {"commands": commands, "templates": _templates(plugins)}
    except (SymphonyError, OSError):
        return {"commands": [], "templates": []}
    finally:
        quiet.disabled = False


def _templates(plugins: PluginManager) -> list[list[str]]:
    from importlib.util import find_spec

    found = []
    for _, added in sorted(plugins.workflow_templates().items()):
        try:
            spec = find_spec(added.provider.package)
        except (ImportError, ValueError):  # a parent that is not there, a name that is none
            spec = None
        folders = list(spec.submodule_search_locations or ()) if spec else []
        root = folders[0] if folders else added.provider.package
        found.append([added.extension, os.path.join(root, added.provider.path)])
    return found


def _write(file: str, value: dict[str, Any]) -> None:
    temporary = f"{file}.{os.getpid()}"
    try:
        with open(temporary, "x", encoding="utf-8") as stream:
            json.dump(value, stream)
        os.replace(temporary, file)
    except OSError:
        return  # asked again next time
