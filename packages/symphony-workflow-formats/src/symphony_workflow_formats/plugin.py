"""Registers the formats; the module of one is imported when a file of it is read or written."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from symphony_sdk import (
    ExportedWorkflow,
    ImportedWorkflow,
    NodeMapping,
    WorkflowFormat,
    provides_workflow_formats,
)

from symphony_workflow_formats import detection


@provides_workflow_formats
def symphony_workflow_formats() -> Iterable[WorkflowFormat]:
    """The formats of this extension."""
    yield WorkflowFormat(
        "comfyui", "ComfyUI, as its editor saves", ".json", detection.comfyui, _reader("comfyui")
    )
    yield WorkflowFormat(
        "comfyui-api",
        "ComfyUI, as its server is given it",
        ".json",
        detection.comfyui_api,
        _reader("comfyui_api"),
        _writer("comfyui_api"),
    )
    yield WorkflowFormat(
        "wfformat",
        "WfFormat 1.5 of WfCommons",
        ".json",
        detection.wfformat,
        _reader("wfformat_reader"),
        _writer("wfformat_writer"),
    )
    yield WorkflowFormat("n8n", "n8n", ".json", detection.n8n, _reader("n8n"))
    yield WorkflowFormat(
        "cwl",
        "Common Workflow Language 1.2",
        ".cwl",
        detection.cwl,
        _reader("cwl_reader"),
        _writer("cwl_writer"),
    )


def _reader(module: str) -> Callable[..., ImportedWorkflow]:
    def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
        made: ImportedWorkflow = import_module(f"symphony_workflow_formats.{module}").read(
            data, name=name, mapping=mapping
        )
        return made

    return read


def _writer(module: str) -> Callable[[Mapping[str, Any]], ExportedWorkflow]:
    def write(document: Mapping[str, Any]) -> ExportedWorkflow:
        made: ExportedWorkflow = import_module(f"symphony_workflow_formats.{module}").write(document)
        return made

    return write
