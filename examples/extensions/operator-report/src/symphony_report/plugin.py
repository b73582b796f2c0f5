"""The operator: draws a report and stores it as artifacts."""

from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import msgspec
from symphony_sdk import ArtifactRef, Context, Operator, operator, provides_operators

from symphony_report.figures import FileMetrics, Summary, summarize
from symphony_report.page import render_page


class Report(TypedDict):
    """What drawing a report gives."""

    html: Annotated[ArtifactRef, msgspec.Meta(description="The page")]
    data: Annotated[ArtifactRef, msgspec.Meta(description="Figures and measures as JSON")]
    summary: Annotated[Summary, msgspec.Meta(description="The figures")]


@operator("symphony.report.render", title="Draw a report")
def render(
    ctx: Context,
    files: Annotated[list[FileMetrics], msgspec.Meta(description="The measured files")],
    title: Annotated[str, msgspec.Meta(description="Heading of the page")] = "Code atlas",
) -> Report:
    """Draw measured files as one self-contained HTML page, and keep the same figures as JSON."""
    summary = summarize(files)
    ctx.progress(0.5, "drawing")
    data = msgspec.json.format(msgspec.json.encode({"title": title, "summary": summary, "files": files}))
    return {
        "html": ctx.artifacts.put(
            render_page(title, summary).encode(), name="code-atlas.html", media_type="text/html"
        ),
        "data": ctx.artifacts.put(data, name="code-atlas.json", media_type="application/json"),
        "summary": summary,
    }


@provides_operators
def symphony_operators() -> Iterator[Operator[..., Any]]:
    """The operators of this extension."""
    yield render
