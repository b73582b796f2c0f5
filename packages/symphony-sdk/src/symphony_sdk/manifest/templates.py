"""The section `[templates]`: the workflow templates that the extension brings, as files beside its manifest."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from symphony_sdk.manifest.faults import found, refuse
from symphony_sdk.manifest.fields import SECTION


def _template_file(text: str) -> str:
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text
    if outside or not text.isprintable() or path.suffix != ".json":
        raise refuse(
            f"expected the path of a template file beside the manifest, found {found(text)}",
            "Write a relative path with slashes that ends in .json.",
        )
    return text


class TemplatesSection(BaseModel):
    """The workflow templates that it brings. They are listed without running any of its code."""

    model_config = SECTION

    files: tuple[Annotated[str, AfterValidator(_template_file)], ...] = Field(
        default=(),
        strict=False,
        description="Template files, as paths relative to the manifest.",
        examples=[["templates/tidy.json"]],
    )
