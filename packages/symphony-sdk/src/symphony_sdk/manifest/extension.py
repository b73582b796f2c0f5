"""The section `[extension]`: what it is and where its code is."""

from pydantic import BaseModel, Field

from symphony_sdk.manifest.fields import SECTION, ExtensionId, ModuleName
from symphony_sdk.manifest_record import Kind, Runs


class ExtensionSection(BaseModel):
    """What the extension is. Its name, version, licence and authors are those of its distribution."""

    model_config = SECTION

    id: ExtensionId = Field(
        description="Its id, unique in the marketplace: publisher, dot, name.", examples=["acme.text"]
    )
    kind: Kind = Field(
        description="What it is, which decides the hooks it may implement.", examples=["operator"]
    )
    module: ModuleName = Field(
        description="The module with its hooks. The host never imports it unless `runs` says so.",
        examples=["acme_text.plugin"],
    )
    runs: Runs = Field(
        default="worker",
        description="Where the module is imported: in a locked-down process of its own, or in the host, "
        "which only extensions that the user trusts by name may ask for.",
        examples=["worker"],
    )
    inherits: ExtensionId | None = Field(
        default=None,
        description="The extension whose manifest gives the defaults of this one. Never inherited are "
        "permissions, screenshots, templates and everything of this section but `kind`.",
        examples=["acme.base"],
    )
