"""Operations and a workflow that several test modules use."""

import pytest
from hypothesis import HealthCheck, settings
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_workflow import Workflow, WorkflowBuilder

# How long an example takes is the machine's affair: no verdict depends on it.
settings.register_profile("symphony", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("symphony")

STRING = {"type": "string"}
STRINGS = {"type": "array", "items": STRING}


@pytest.fixture
def operations() -> dict[str, OperationSpec]:
    """Operations such as a code atlas needs."""
    specs = (
        OperationSpec(
            "symphony.files.walk",
            "operator",
            inputs=(PortSpec("path", STRING), PortSpec("include", STRINGS, required=False)),
            outputs=(PortSpec("files", STRINGS), PortSpec("count", {"type": "integer"})),
        ),
        OperationSpec(
            "symphony.filetype.classify",
            "instrument",
            inputs=(PortSpec("path", STRING),),
            outputs=(PortSpec("result", STRING),),
        ),
        OperationSpec(
            "symphony.report.html",
            "operator",
            inputs=(
                PortSpec("rows", STRINGS),
                PortSpec("title", STRING, required=False),
                PortSpec("share", {"type": "number"}, required=False),
            ),
            outputs=(PortSpec("path", STRING),),
        ),
    )
    return {spec.id: spec for spec in specs}


@pytest.fixture
def atlas() -> Workflow:
    """A workflow of every kind of node and edge, without a fault."""
    wf = WorkflowBuilder("code-atlas", name="Code Atlas")
    walk = wf.operator("walk", uses="symphony.files.walk", path=wf.input("path", str), include=["*.py"])
    kinds = wf.map("kinds", uses="symphony.filetype.classify", over="path", path=walk.out.files)
    first = wf.instrument("first", uses="symphony.filetype.classify", path="README.md").timeout(5)
    big = wf.branch("big", condition="count > 100", value=kinds.out.results, count=walk.out.count)
    report = wf.operator("report", uses="symphony.report.html", title=first.out.result)
    big.out.then >> report.in_.rows
    walk.then(first).then(report, when="result != ''")
    wf.output("report", report.out.path)
    return wf.build()
