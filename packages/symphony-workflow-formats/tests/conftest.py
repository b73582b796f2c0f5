"""Reads and writes with the formats as the hook hands them out, and gathers what is said of each node of a file."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from symphony_sdk import ExportedWorkflow, WorkflowFormat
from symphony_workflow import Workflow, from_document, to_document, validate
from symphony_workflow_formats.plugin import symphony_workflow_formats

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def formats() -> dict[str, WorkflowFormat]:
    return {format.name: format for format in symphony_workflow_formats()}


@pytest.fixture(scope="session")
def sample() -> Callable[[str], bytes]:
    return lambda name: (SAMPLES / name).read_bytes()


@pytest.fixture(scope="session")
def read(formats: dict[str, WorkflowFormat]) -> Callable[..., SimpleNamespace]:
    """Import bytes or a value of JSON: the workflow, its nodes by id, the notes, the document."""

    def read(format: str, file: Any, *, name: str = "sample", mapping: Any = None) -> SimpleNamespace:
        data = file if isinstance(file, bytes) else json.dumps(file).encode()
        made = formats[format].read(data, name=name, mapping=mapping or {})
        workflow = from_document(made.document)
        assert to_document(workflow) == made.document
        for note in made.notes:
            assert note.node
            assert note.what
            assert note.why
            assert note.instead
        return SimpleNamespace(
            workflow=workflow,
            nodes={node.id: node for node in workflow.nodes},
            edges=[
                (f"{edge.source}.{edge.source_port}", f"{edge.target}.{edge.target_port}")
                for edge in workflow.edges
                if edge.kind == "data"
            ],
            notes=made.notes,
            document=made.document,
        )

    return read


@pytest.fixture(scope="session")
def write(formats: dict[str, WorkflowFormat]) -> Callable[[str, Workflow], ExportedWorkflow]:
    def write(format: str, workflow: Workflow) -> ExportedWorkflow:
        writer = formats[format].write
        assert writer is not None
        return writer(to_document(workflow))

    return write


@pytest.fixture(scope="session")
def lost() -> Callable[[SimpleNamespace, Iterable[str]], set[str]]:
    """Those of some texts that neither the workflow nor a note holds as a value."""

    def texts(value: Any) -> Iterable[str]:
        if isinstance(value, dict):
            for one in value.values():
                yield from texts(one)
        elif isinstance(value, list):
            for one in value:
                yield from texts(one)
        else:
            yield str(value)

    def lost(made: SimpleNamespace, names: Iterable[str]) -> set[str]:
        return set(names) - set(texts(made.document)) - {note.node for note in made.notes}

    return lost


@pytest.fixture(scope="session")
def graph_faults() -> Callable[[Workflow], list[str]]:
    """The codes of the errors that a workflow has whatever operations there are."""
    return lambda workflow: [one.code for one in validate(workflow) if one.severity == "error"]
