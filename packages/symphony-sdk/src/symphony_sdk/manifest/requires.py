"""The section `[requires]`: what the extension needs around it."""

from pydantic import BaseModel, Field

from symphony_sdk.manifest.fields import SECTION, ExtensionId, VersionRange


class ExtensionRequirementSection(BaseModel):
    """Another extension that is needed."""

    model_config = SECTION

    id: ExtensionId = Field(description="Its id.", examples=["acme.base"])
    version: VersionRange = Field(
        default="*", description="The versions that will do (PEP 440).", examples=[">=1.2", "*"]
    )
    optional: bool = Field(
        default=False, description="Whether the extension works without it.", examples=[True]
    )


class RequiresSection(BaseModel):
    """What the extension needs around it."""

    model_config = SECTION

    symphony: VersionRange = Field(
        default="*", description="The versions of Symphony that will do (PEP 440).", examples=[">=1.0,<2"]
    )
    extensions: tuple[ExtensionRequirementSection, ...] = Field(
        default=(),
        strict=False,
        description="Other extensions that load before this one.",
        examples=[[{"id": "acme.base", "version": ">=1.2"}]],
    )
    after: tuple[ExtensionId, ...] = Field(
        default=(),
        strict=False,
        description="Extensions that load before this one where they are installed; order only.",
        examples=[["acme.metrics"]],
    )
