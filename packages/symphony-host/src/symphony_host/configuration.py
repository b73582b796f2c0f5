"""The settings of Symphony and of its extensions, from four layers.

Later layers win: the defaults, the configuration file (TOML), `SYMPHONY_*` variables, and what the command
line says. The settings of an extension are checked against its manifest when it is about to run.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from symphony_host.directories import user_directory

if TYPE_CHECKING:
    from symphony_sdk.errors import ConfigurationError

    from symphony_host.records import ExtensionRecord

LogLevel = Literal["debug", "info", "warning", "error"]
Sandbox = Literal["auto", "full", "fallback", "unverified", "none"]

Source = str | tuple[str, ...]
"""Where a value comes from: a variable, the command line, or a key of the configuration file."""

_PREFIX = "SYMPHONY_"
_EXTENSIONS = "SYMPHONY_EXTENSIONS__"
_OUTSIDE = frozenset(
    {
        "SYMPHONY_CONFIG",
        "SYMPHONY_CONFIG_DIR",
        "SYMPHONY_ARTIFACT_PASSPHRASE",  # a secret is no setting: it would be shown
        "SYMPHONY_ARTIFACT_NEW_PASSPHRASE",
        "SYMPHONY_BUNDLE_PASSPHRASE",
    }
)
_TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class Settings(NamedTuple):
    """The settings to run with.

    Args:
        data_dir: Where runs, artifacts and what extensions keep are.
        cache_dir: Where what can be made again is.
        log_level: The least important lines that the log shows.
        executor: Name of the executor that runs nodes.
        bus_uplink: Name of the bus above the host's own that it joins, such as `nats`; none where empty.
        sandbox: What confines extensions: `full`, `fallback`, or `auto` for the best that the machine offers; with
            `unverified` also what macOS and Windows have, for extensions that are not trusted, too; with `none` they
            run as the user does.
        strict: Whether an error of an extension is raised rather than noted.
        trusted: Ids of extensions outside of the family that may run in the host, or in an unverified sandbox.
        denied: Patterns of ids, such as `acme.*`, that are never used, whatever `symphony enable` says.
        template_folders: Folders of workflow templates, besides the user's own.
        permission_policy: File of the administrator's policy on permissions; none where it is None.
        audit_only: Whether extensions may do what nobody has denied, so that the audit log tells what they need.
        file: The configuration file that was read; None where there is none.
        tables: The tables `[extensions."ID"]` of that file by id.
        variables: The variables `SYMPHONY_EXTENSIONS__ID__SETTING`.
        overrides: What the command line sets of extensions: id, setting, text.
    """

    data_dir: Path
    cache_dir: Path
    log_level: LogLevel = "warning"
    executor: str = "local"
    bus_uplink: str = ""
    sandbox: Sandbox = "auto"
    strict: bool = False
    trusted: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    template_folders: tuple[Path, ...] = ()
    permission_policy: Path | None = None
    audit_only: bool = False
    file: Path | None = None
    tables: Mapping[str, Mapping[str, Any]] = {}
    variables: Mapping[str, str] = {}
    overrides: tuple[tuple[str, str, str], ...] = ()

    def denial(self, extension: str) -> str | None:
        """The pattern that denies an extension; None where none does.

        Args:
            extension: Its id.
        """
        return next((pattern for pattern in self.denied if fnmatchcase(extension, pattern)), None)

    def mentions(self, extension: str) -> bool:
        """Whether any layer says something of an extension's own settings.

        Args:
            extension: Its id.
        """
        prefix = f"{_EXTENSIONS}{_squashed(extension)}__"
        return (
            extension in self.tables
            or any(variable.startswith(prefix) for variable in self.variables)
            or any(owner == extension for owner, _, _ in self.overrides)
        )

    def of_extension(self, record: "ExtensionRecord") -> dict[str, Any]:
        """The settings of an extension, checked, its defaults filled in.

        Args:
            record: The extension.

        Raises:
            ConfigurationError: SYM-C001, with the source of each setting that is unknown, missing or wrong.
            SymphonyError: The extension has no usable manifest.
        """
        from symphony_sdk.errors import ConfigurationError

        manifest = record.manifest
        known: Mapping[str, Mapping[str, Any]] = manifest.config["properties"]
        values: dict[str, Any] = {}
        sources: dict[str, Source] = {}
        for name, value, source in self._said_of(record.id, known):
            values[name], sources[name] = value, source
        try:
            return manifest.validate_config(values)
        except ConfigurationError as error:
            faults = [
                {
                    **fault,
                    "source": _told(sources.get(_setting_of(fault["path"]), record.manifest_file), self.file),
                }
                for fault in error.details["faults"]
            ]
            lines = [f"{fault['source']}: {fault['path']}: {fault['message']}" for fault in faults]
            raise ConfigurationError(
                f"the settings of {record.id} are wrong:\n  " + "\n  ".join(lines),
                hint=error.hint,
                details={"extension": record.id, "faults": faults},
            ) from None

    def _said_of(
        self, extension: str, known: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, Any, Source]]:
        """Name, value and source of what each layer says of an extension, the strongest last."""
        for name, value in self.tables.get(extension, {}).items():
            yield name, value, ("extensions", extension, name)
        prefix = f"{_EXTENSIONS}{_squashed(extension)}__"
        names = {_squashed(name): name for name in known}
        for variable, text in self.variables.items():
            if variable.startswith(prefix):
                rest = variable.removeprefix(prefix)
                name = names.get(rest, rest.lower())
                yield name, _typed(text, known.get(name)), variable
        for owner, name, text in self.overrides:
            if owner == extension:
                yield name, _typed(text, known.get(name)), "the command line"


class _Fault(NamedTuple):
    """What is wrong with one setting."""

    source: Source
    key: str
    message: str
    hint: str = ""


_KNOWN = (
    "data_dir",
    "cache_dir",
    "log_level",
    "executor",
    "bus_uplink",
    "sandbox",
    "strict",
    "trusted",
    "denied",
    "template_folders",
    "permission_policy",
    "audit_only",
)
_CHOICES = {"log_level": get_args(LogLevel), "sandbox": get_args(Sandbox)}


def load_settings(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Sequence[str] = (),
) -> Settings:
    """The settings of this start.

    Args:
        file: The configuration file; it must exist. Otherwise `SYMPHONY_CONFIG` names it, or it is
            `config.toml` in the user's configuration directory, which need not exist.
        environ: The environment.
        overrides: What the command line sets: `SETTING=VALUE`, or `EXTENSION.SETTING=VALUE`.

    Raises:
        ConfigurationError: SYM-C002, the file cannot be read or is not TOML; SYM-C001, settings are unknown or
            wrong: all of them, each with its source.
    """
    faults: list[_Fault] = []
    values: dict[str, Any] = {
        "data_dir": Path(user_directory("data", environ)),
        "cache_dir": Path(user_directory("cache", environ)),
    }
    path, document = _document(file, environ)
    tables = _tables(document.pop("extensions", {}), faults)
    for key, value in document.items():
        _take(values, key, value, (key,), path.parent if path else Path.cwd(), faults)
    variables = {name: text for name, text in sorted(environ.items()) if name.startswith(_PREFIX) and text}
    for name, text in variables.items():
        if not name.startswith(_EXTENSIONS) and name not in _OUTSIDE:
            _take(values, name.removeprefix(_PREFIX).lower(), text, name, Path.cwd(), faults)
    of_extensions = []
    for override in overrides:
        key, equals, text = override.partition("=")
        extension, dot, setting = key.strip().rpartition(".")
        if not equals or not key.strip():
            faults.append(_Fault("the command line", override, "expected SETTING=VALUE"))
        elif dot:
            of_extensions.append((extension, setting, text))
        else:
            _take(values, setting.replace("-", "_"), text, "the command line", Path.cwd(), faults)
    if faults:
        raise _error(faults, path)
    return Settings(
        **values,
        file=path,
        tables=tables,
        variables={name: text for name, text in variables.items() if name.startswith(_EXTENSIONS)},
        overrides=tuple(of_extensions),
    )


def _document(file: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get("SYMPHONY_CONFIG", "").strip()
    asked_for = file is not None or bool(named)
    path = (file or Path(named or f"{user_directory('config', environ)}/config.toml")).expanduser().absolute()
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        if not asked_for:
            return None, {}
        raise _file_error(path, "the configuration file is not there") from error
    except OSError as error:
        raise _file_error(path, f"the configuration file cannot be read: {error.strerror}") from error
    import tomllib

    try:
        return path, tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _file_error(path, "the configuration file is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        text = str(error)[: place.start()] if place else str(error)
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        raise _file_error(path, f"the configuration file is not TOML: {text}", line, column) from error


def _tables(section: Any, faults: list[_Fault]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(section, dict):
        faults.append(_Fault(("extensions",), "extensions", "expected a table of tables"))
        return {}
    for name, table in section.items():
        if not isinstance(table, dict):
            message = f"expected a table, found {table!r}"
        elif "." not in name:
            message = "expected the id of an extension, which has a dot"
        else:
            continue
        hint = 'Quote the id: [extensions."publisher.name"].'
        faults.append(_Fault(("extensions", name), f"extensions.{name}", message, hint))
    return section


def _take(
    values: dict[str, Any], key: str, value: Any, source: Source, base: Path, faults: list[_Fault]
) -> None:
    """Put a setting into `values`, or what is wrong with it into `faults`."""
    text = value.strip() if isinstance(value, str) else None
    if key not in _KNOWN:
        near = get_close_matches(key, _KNOWN, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"The settings are {', '.join(_KNOWN)}."
        faults.append(_Fault(source, key, "unknown setting", hint))
    elif key in ("trusted", "denied", "template_folders"):
        if text is not None:
            value = [part.strip() for part in text.split(",") if part.strip()]
        folders = key == "template_folders"
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            values[key] = tuple(base / Path(part).expanduser() if folders else part for part in value)
        else:
            what = "folders" if folders else "ids of extensions"
            faults.append(_Fault(source, key, f"expected {what}, found {value!r}"))
    elif key in ("strict", "audit_only"):
        if text is not None:
            value = _TRUTH.get(text.lower(), value)
        if isinstance(value, bool):
            values[key] = value
        else:
            faults.append(_Fault(source, key, f"expected true or false, found {value!r}"))
    elif key == "bus_uplink" and text is not None:
        values[key] = text
    elif not text:
        faults.append(_Fault(source, key, f"expected text, found {value!r}"))
    elif key in _CHOICES:
        if text.lower() in _CHOICES[key]:
            values[key] = text.lower()
        else:
            near = get_close_matches(text.lower(), _CHOICES[key], n=1)
            hint = f"Did you mean `{near[0]}`?" if near else ""
            choices = ", ".join(_CHOICES[key])
            faults.append(_Fault(source, key, f"expected one of {choices}, found {value!r}", hint))
    elif key == "executor":
        values[key] = text
    else:
        values[key] = base / Path(text).expanduser()


def _typed(text: str, setting: Mapping[str, Any] | None) -> Any:
    """The value that `text` stands for in a setting; the text itself where it stands for none."""
    if setting is None or setting["type"] == "string":
        return text
    import tomllib

    try:
        document = tomllib.loads(f"value = {text}")
    except ValueError:
        return text
    return document["value"] if len(document) == 1 else text


def _setting_of(path: str) -> str:
    return path.partition("[")[0]


def _squashed(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _told(source: Source, file: Path | None) -> str:
    """The name of a source; of a key in the file its line and column."""
    if isinstance(source, str):
        return source
    from symphony_sdk.manifest.locator import locate

    try:
        position = locate(file.read_text("utf-8-sig"), source) if file else None
    except (OSError, ValueError):  # changed or gone since it was read
        position = None
    return ":".join(map(str, (file, *(position or ()))))


def _error(faults: Sequence[_Fault], file: Path | None) -> "ConfigurationError":
    from symphony_sdk.errors import ConfigurationError

    faults = [fault._replace(source=_told(fault.source, file)) for fault in faults]
    lines = [f"{fault.source}: {fault.key}: {fault.message}" for fault in faults]
    return ConfigurationError(
        lines[0] if len(lines) == 1 else "settings are wrong:\n  " + "\n  ".join(lines),
        hint=" ".join(dict.fromkeys(fault.hint for fault in faults if fault.hint)),
        details={"faults": [fault._asdict() for fault in faults]},
    )


def _file_error(path: Path, message: str, line: int = 0, column: int = 0) -> "ConfigurationError":
    from symphony_sdk.errors import ConfigurationError

    return ConfigurationError(
        message,
        code="SYM-C002",
        hint="Mend the file, or name another with --config.",
        file=str(path),
        line=line,
        column=column,
    )
