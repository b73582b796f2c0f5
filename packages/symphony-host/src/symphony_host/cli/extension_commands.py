"""The commands that host-run extensions add through `symphony_cli`, remembered so that `--help` imports none.

They are asked once after something was installed, edited or switched; then one small file answers.
"""

# pathlib alone costs as much as everything else here
# ruff: noqa: PTH105, PTH122, PTH123
import json
import os
from typing import Any

from symphony_host.cli.commands import COMMANDS, CommandEntry
from symphony_host.directories import user_directory
from symphony_host.index import index_file, load_records
from symphony_host.installed import stamp


def extension_commands() -> dict[str, CommandEntry]:
    """The added commands by name, sorted; a name that Symphony uses itself is not given away.

    Never raises: an extension that cannot be asked adds nothing, and `symphony doctor` says why.
    """
    key = _key()
    if not key:
        return {}
    file = f"{os.path.splitext(index_file(user_directory('cache')))[0]}-commands.json"
    try:
        with open(file, "rb") as stream:
            kept = json.load(stream)
        if kept["key"] == key:
            return {name: CommandEntry(name, *rest) for name, *rest in kept["commands"]}
    except (OSError, ValueError, LookupError, TypeError):
        pass  # a cache that cannot be used is made again
    found = _asked()
    _write(file, {"key": key, "commands": list(found.values())})
    return found


def _key() -> list[Any]:
    """All that the commands depend on; empty where no extension runs in the host."""
    hosted = [
        [record.id, record.version, record.fingerprint()]
        for record in load_records(cache_dir=user_directory("cache"))
        if record.runs == "host" and record.usable
    ]
    if not hosted:
        return []
    config = os.environ.get("SYMPHONY_CONFIG") or f"{user_directory('config')}/config.toml"
    return [hosted, stamp(config), stamp(f"{user_directory('data')}/disabled")]


def _asked() -> dict[str, CommandEntry]:
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
        return {
            name: CommandEntry(name, added.provider.target, added.provider.summary, f"From {added.extension}")
            for name, added in sorted(plugins.cli_commands().items())
            if name not in COMMANDS
        }
    except (SymphonyError, OSError):
        return {}
    finally:
        quiet.disabled = False


def _write(file: str, value: dict[str, Any]) -> None:
    temporary = f"{file}.{os.getpid()}"
    try:
        with open(temporary, "x", encoding="utf-8") as stream:
            json.dump(value, stream)
        os.replace(temporary, file)
    except OSError:
        return  # asked again next time
