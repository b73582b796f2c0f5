"""The template and its file: a JSON document with parameters and a workflow that holds place holders for them.

A template file says `"template": 1`, the version of this format. A change of the format adds 1 to `FORMAT` and a
function to `MIGRATIONS`; a file of a newer format is refused.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version
from symphony_sdk.errors import WorkflowError

from symphony_workflow.json_values import json_fault
from symphony_workflow.templates.faults import TemplateFault, nearest, template_error
from symphony_workflow.templates.parameters import TYPES, Parameter, read_parameter
from symphony_workflow.templates.placeholders import Use, find_uses, wrapper_of

FORMAT = 1
"""The version of the template format that this package writes."""

MAX_BYTES = 16 << 20
"""The size of the largest template file that is read, in bytes."""

MAX_PARAMETERS = 1000
"""How many parameters a template may have."""

ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")
ORIGIN = "template"
"""The key of a workflow's metadata that says which template it was made from."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: Mapping[int, Migration] = {}
"""The migration from each older version of the format to the next."""

_TEXTS = ("title", "description", "author")
_LISTS = ("categories", "keywords")
_KEYS = ("template", "id", "version", *_TEXTS, *_LISTS, "parameters", "workflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A workflow with parameters.

    Args:
        id: The name that programs use, such as `acme.tidy-folder`.
        version: Its version (PEP 440), such as `1.2.0`.
        title: A few words for people; the id where empty.
        description: What it is for.
        categories: Where it is listed, the main one first.
        keywords: Words that a search finds it by.
        author: A person or an organisation.
        parameters: What whoever uses it chooses.
        workflow: The document of a workflow, with place holders.
        extra: Fields of the file that begin with `x-`, `//` or `$`, kept as they are.
    """

    id: str
    version: str
    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    author: str = ""
    parameters: tuple[Parameter, ...] = ()
    workflow: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What names this version of it: `id@version`."""
        return f"{self.id}@{self.version}"

    def uses(self) -> list[Use]:
        """Every place that a parameter's value goes to."""
        return find_uses(self.workflow, {each.name: each for each in self.parameters})[0]


def read_template(
    document: Any, *, migrations: Mapping[int, Migration] = MIGRATIONS
) -> tuple[Template, list[TemplateFault]]:
    """The template of a document and every fault of it; where an error is among them, it cannot be used.

    Args:
        document: What a JSON parser gave; left as it is.
        migrations: The step from each older format to the next.

    Raises:
        WorkflowError: SYM-W091, the format is newer than this version knows.
    """
    if not isinstance(document, dict):
        found = type(document).__name__
        return Template(id="", version=""), [TemplateFault("", f"expected an object, found a {found}")]
    if fault := json_fault(document):
        return Template(id="", version=""), [TemplateFault("", fault)]
    document = _migrated(document, migrations)
    faults = list(_shape_faults(document))
    parameters = []
    fields = document.get("parameters", {})
    if isinstance(fields, dict):
        for name, each in list(fields.items())[:MAX_PARAMETERS]:
            parameter, found_faults = read_parameter(name, each, f"parameters.{name}")
            parameters.append(parameter)
            faults += found_faults
    workflow = document.get("workflow")
    template = Template(
        id=_text(document, "id"),
        version=_text(document, "version"),
        title=_text(document, "title"),
        description=_text(document, "description"),
        categories=_words(document, "categories"),
        keywords=_words(document, "keywords"),
        author=_text(document, "author"),
        parameters=tuple(parameters),
        workflow=workflow if isinstance(workflow, dict) else {},
        extra={key: part for key, part in document.items() if _is_extra(key)},
    )
    return template, faults + list(_use_faults(template))


def from_document(document: Any, *, file: str = "") -> Template:
    """The template of a JSON document.

    Args:
        document: What a JSON parser gave; left as it is.
        file: Where it came from, for errors.

    Raises:
        WorkflowError: SYM-W090, it has faults, all of which are listed; SYM-W091, its format is newer.
    """
    try:
        template, faults = read_template(document)
    except WorkflowError as error:
        raise WorkflowError(error.message, code=error.code, hint=error.hint, file=file) from None
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        head = f"the template {template.reference!r}" if template.id else "the template"
        raise template_error(
            head, errors, code="SYM-W090", hint="`symphony template validate FILE` checks again.", file=file
        )
    return template


def to_document(template: Template) -> dict[str, Any]:
    """The JSON document of a template, keys in a fixed order.

    Args:
        template: Any template.
    """
    document: dict[str, Any] = {"template": FORMAT, "id": template.id, "version": template.version}
    for key in ("title", "description", "categories", "keywords", "author"):
        if value := getattr(template, key):
            document[key] = list(value) if isinstance(value, tuple) else value
    document |= template.extra
    if template.parameters:
        document["parameters"] = {each.name: each.document() for each in template.parameters}
    document["workflow"] = template.workflow
    return document


def loads(text: str | bytes, *, file: str = "") -> Template:
    """Decode a template from JSON.

    Args:
        text: The JSON; bytes are UTF-8.
        file: Where it came from, for errors.

    Raises:
        WorkflowError: SYM-W090, it is too large, not UTF-8, not JSON, or has faults; SYM-W091, its format is newer.
    """
    return from_document(parse(text, file=file), file=file)


def load(path: str | os.PathLike[str]) -> Template:
    """Read a template file.

    Args:
        path: A file of JSON.

    Raises:
        WorkflowError: SYM-W090, it cannot be read, or is no template; SYM-W091, its format is newer.
    """
    file = os.fspath(path)
    return loads(read_bytes(file), file=file)


def dumps(template: Template) -> str:
    """Encode a template as JSON for people.

    Args:
        template: Any template.
    """
    return json.dumps(to_document(template), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def read_bytes(file: str) -> bytes:
    """The bytes of a template file, never more than may be read.

    Args:
        file: Its path.

    Raises:
        WorkflowError: SYM-W090, it cannot be read.
    """
    try:
        with Path(file).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(f"the template cannot be read: {error.strerror}", file) from error


def parse(text: str | bytes, *, file: str = "") -> Any:
    """The document of a template's text.

    Args:
        text: The JSON; bytes are UTF-8.
        file: Where it came from, for errors.

    Raises:
        WorkflowError: SYM-W090, it is too large, not UTF-8, not JSON, or names one key twice.
    """
    if len(text) > MAX_BYTES:
        raise _unreadable(f"the template has {len(text):,} bytes; at most {MAX_BYTES:,} are read", file)
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise WorkflowError(
            f"the template is not JSON: {error.msg[0].lower()}{error.msg[1:]}",
            code="SYM-W090",
            hint="Give a template file in JSON.",
            file=file,
            line=error.lineno,
            column=error.colno,
        ) from error
    except UnicodeDecodeError as error:
        raise _unreadable(f"the template is not UTF-8: {error.reason} at byte {error.start}", file) from error
    except RecursionError as error:
        raise _unreadable("the template nests lists and objects too deeply to be read", file) from error
    except ValueError as error:
        raise _unreadable(f"the template is not JSON: {error}", file) from error


def version_of(text: str) -> Version | None:
    """A version that can be compared; None where it is none.

    Args:
        text: A version (PEP 440; those of semantic versioning with three numbers are such).
    """
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _migrated(document: dict[str, Any], migrations: Mapping[int, Migration]) -> dict[str, Any]:
    version = document.get("template")
    if type(version) is not int:
        return document
    if version > FORMAT:
        raise WorkflowError(
            f"the template is written in format {version}; this version of Symphony reads up to {FORMAT}",
            code="SYM-W091",
            hint="Upgrade symphony-workflow, or ask the template's author for one in the older format.",
        )
    document = dict(document)
    while version < FORMAT and version in migrations:
        document = migrations[version](document)
        version += 1
        document["template"] = version
    return document


def _shape_faults(document: dict[str, Any]) -> Iterator[TemplateFault]:
    for key in document:
        if key not in _KEYS and not _is_extra(key):
            yield TemplateFault(key, "unknown key", nearest(key, _KEYS))
    if document.get("template") != FORMAT or isinstance(document["template"], bool):
        found = f"found {document['template']!r:.60}" if "template" in document else "it is missing"
        yield TemplateFault("template", f"expected {FORMAT}, the version of the format; {found}")
    for key, check, example in (
        ("id", lambda text: ID.fullmatch(text) and len(text) <= 128, "acme.tidy-folder"),
        ("version", version_of, "1.0.0"),
    ):
        value = document.get(key)
        if not isinstance(value, str) or not check(value):
            found = f"found {value!r:.60}" if key in document else "it is missing"
            yield TemplateFault(
                key,
                f"expected {'an id' if key == 'id' else 'a version'}; {found}",
                f"Write for example {example!r}.",
            )
    for key in _TEXTS:
        if not isinstance(document.get(key, ""), str):
            yield TemplateFault(key, f"expected text, found {document[key]!r:.60}")
    for key in _LISTS:
        words = document.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            yield TemplateFault(key, f"expected a list of texts, found {words!r:.60}")
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        yield TemplateFault("parameters", f"expected an object, found {parameters!r:.60}")
    elif len(parameters) > MAX_PARAMETERS:
        yield TemplateFault("parameters", f"there are {len(parameters):,}; at most {MAX_PARAMETERS:,} may be")
    workflow = document.get("workflow")
    if not isinstance(workflow, dict) or wrapper_of(workflow) is not None or "$param" in workflow:
        found = f"found {workflow!r:.60}" if "workflow" in document else "it is missing"
        yield TemplateFault("workflow", f"expected the document of a workflow; {found}")
    elif isinstance(metadata := workflow.get("metadata"), dict) and ORIGIN in metadata:
        yield TemplateFault(
            f"workflow.metadata.{ORIGIN}", "the key is reserved for where a workflow came from", "Remove it."
        )


def _use_faults(template: Template) -> Iterator[TemplateFault]:
    """Place holders that are wrong, or that name what is not there, and parameters that nothing uses."""
    parameters = {parameter.name: parameter for parameter in template.parameters}
    uses, faults = find_uses(template.workflow, parameters)
    yield from faults
    for use in uses:
        parameter = parameters.get(use.name)
        if parameter is None or use.reference != use.name:
            continue
        types = parameter.schema.get("type", list(TYPES))
        types = types if isinstance(types, list) else [types]
        if use.kind == "list" and "array" not in types:
            yield TemplateFault(
                use.path,
                f"{use.name!r} is {parameter.type}, and only a list can be repeated over",
                "",
                use.name,
            )
        if use.kind in ("text", "name") and set(types) <= {"array", "object", "null"}:
            yield TemplateFault(
                use.path,
                f"{use.name!r} is {parameter.type}, which cannot stand inside of text",
                f'Write {{"$param": "{use.name}"}} for the whole value.',
                use.name,
            )
    used = {use.name for use in uses}
    for name in parameters:
        if name not in used:
            yield TemplateFault(
                f"parameters.{name}", "nothing uses the parameter", "Use it, or remove it.", name, "warning"
            )


def _is_extra(key: str) -> bool:
    return key.startswith(("x-", "//", "$"))


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key, "")
    return value if isinstance(value, str) else ""


def _words(document: dict[str, Any], key: str) -> tuple[str, ...]:
    words = document.get(key, ())
    return tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _unreadable(message: str, file: str) -> WorkflowError:
    return WorkflowError(
        message,
        code="SYM-W090",
        hint="Give the path of a template file in JSON, encoded as UTF-8.",
        file=file,
    )
