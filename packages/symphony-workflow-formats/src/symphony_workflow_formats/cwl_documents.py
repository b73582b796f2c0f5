"""The parts of a CWL document in one spelling: lists and maps, short and long forms, local and packed ids."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow_formats.shapes import as_list, as_object, as_text, wrong_shape

VERSIONS = ("v1.0", "v1.1", "v1.2")


def processes_of(file: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The workflow that a document is about, and the processes that it packs, by id.

    Args:
        file: The document.

    Raises:
        WorkflowError: SYM-W102, it is no workflow, or of a version that is not read.
    """
    if file.get("cwlVersion") not in VERSIONS:
        raise wrong_shape("cwlVersion", f"one of {', '.join(VERSIONS)}", file.get("cwlVersion"))
    if "$graph" not in file:
        return _workflow(file), {}
    packed: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(as_list(file["$graph"], "$graph")):
        process = as_object(one, f"$graph[{number}]")
        id = local_id(as_text(process.get("id"), f"$graph[{number}].id"))
        if id in packed:
            raise wrong_shape(f"$graph[{number}].id", "an id that no other process has", id)
        packed[id] = process
    workflows = [id for id, one in packed.items() if one.get("class") == "Workflow"]
    if "main" not in packed and len(workflows) != 1:
        raise wrong_shape("$graph", "a process with the id `main`", list(packed)[:5])
    return _workflow(packed.get("main") or packed[workflows[0]]), packed


def _workflow(process: Mapping[str, Any]) -> dict[str, Any]:
    if process.get("class") != "Workflow":
        raise WorkflowError(
            f"the CWL document is a {process.get('class')}; a Workflow was expected",
            code="SYM-W102",
            hint="Give the file of the workflow that runs it as a step.",
            details={"place": "class"},
        )
    return dict(process)


def entries(parent: Mapping[str, Any], key: str, place: str, short: str) -> dict[str, dict[str, Any]]:
    """The parts of a list or map of things with ids, by local id.

    Args:
        parent: What holds it.
        key: Its key.
        place: Where `parent` stands.
        short: The field that stands for all of a part in a map, such as `source`.

    Raises:
        WorkflowError: SYM-W102, it is neither, or an id stands twice.
    """
    value = parent.get(key) or {}
    found: dict[str, dict[str, Any]] = {}
    if isinstance(value, dict):
        parts = [(id, one if isinstance(one, dict) else {short: one}) for id, one in value.items()]
        if short == "type":  # a map may spell a type out, as an object of its own
            parts = [(id, {short: one} if _is_type(one) else one) for id, one in parts]
    else:
        listed = [as_object(one, f"{place}.{key}[]") for one in as_list(value, f"{place}.{key}")]
        parts = [(as_text(one.get("id"), f"{place}.{key}[].id"), one) for one in listed]
    for id, one in parts:
        name = local_id(id)
        if name in found:
            raise wrong_shape(f"{place}.{key}", "ids that differ", name)
        found[name] = {key: value for key, value in one.items() if key != "id"}
    return found


def named(value: Any, key: str) -> list[dict[str, Any]]:
    """The objects of a list, or of a map by the field that names them, such as requirements by `class`.

    Args:
        value: The list or map; nothing else is looked at.
        key: The field that the keys of the map are.
    """
    if isinstance(value, dict):
        return [{key: name, **(one if isinstance(one, dict) else {})} for name, one in value.items()]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def local_id(id: str) -> str:
    """The last part of an id: `#main/count/number` gives `number`.

    Args:
        id: An id.
    """
    return id.rpartition("#")[2].rpartition("/")[2]


def source_of(reference: str, workflow_id: str) -> tuple[str, str]:
    """The step and the output that a reference names; the step is empty for an input of the workflow.

    Args:
        reference: The reference, such as `count/number` or `#main/count/number`.
        workflow_id: The local id of the workflow that it stands in.
    """
    parts = reference.rpartition("#")[2].split("/")
    if len(parts) > 1 and "#" in reference and parts[0] == workflow_id:
        parts = parts[1:]
    return ("/".join(parts[:-1]), parts[-1])


def texts(value: Any, place: str) -> list[str]:
    """A text or a list of them, as a list.

    Args:
        value: The text or list; None for no text.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is neither.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [as_text(one, place) for one in as_list(value, place)]


def _is_type(value: Mapping[str, Any]) -> bool:
    """Whether an object is a type: an array, enum or record rather than a parameter that has one."""
    return value.get("type") in ("array", "enum", "record") and not value.keys().isdisjoint(
        {"items", "symbols", "fields"}
    )
