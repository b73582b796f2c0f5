"""The whole of a `symphony.toml`, and what crosses its sections."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from symphony_sdk.manifest.config import ConfigSection
from symphony_sdk.manifest.extension import ExtensionSection
from symphony_sdk.manifest.faults import Fault, refusal
from symphony_sdk.manifest.fields import SECTION
from symphony_sdk.manifest.marketplace import MarketplaceSection
from symphony_sdk.manifest.permissions import PermissionsSection
from symphony_sdk.manifest.requires import RequiresSection
from symphony_sdk.manifest.resources import ResourcesSection
from symphony_sdk.manifest.templates import TemplatesSection
from symphony_sdk.manifest_record import (
    ExtensionRequirement,
    ManifestRecord,
    Marketplace,
    Requires,
    Resources,
)
from symphony_sdk.permissions import PermissionSet

SCHEMA = 1
"""The version of the manifest's schema that this Symphony reads."""


class Manifest(BaseModel):
    """What an extension says of itself, checked: its `symphony.toml`."""

    model_config = SECTION

    schema_version: int = Field(
        alias="schema",
        ge=SCHEMA,
        le=SCHEMA,
        description="The version of this schema, always 1.",
        examples=[1],
    )
    extension: ExtensionSection = Field(description="What it is and where its code is.")
    requires: RequiresSection = Field(default=RequiresSection(), description="What it needs around it.")
    permissions: PermissionsSection = Field(
        default=PermissionsSection(), description="What it may touch. Nothing declared, nothing allowed."
    )
    resources: ResourcesSection = Field(
        default=ResourcesSection(), description="The most that its worker may use."
    )
    config: ConfigSection = Field(default=ConfigSection(), description="Its settings.")
    templates: TemplatesSection = Field(
        default=TemplatesSection(), description="The workflow templates that it brings."
    )
    marketplace: MarketplaceSection = Field(
        default=MarketplaceSection(), description="How it is shown to those who look for one."
    )

    @model_validator(mode="after")
    def _relations_make_sense(self) -> Self:
        faults = list(self._relation_faults())
        if faults:
            raise refusal(*faults)
        return self

    def record(self) -> ManifestRecord:
        """All of this manifest in a type that needs no pydantic."""
        extension, requires, resources, shop = self.extension, self.requires, self.resources, self.marketplace
        return ManifestRecord(
            id=extension.id,
            kind=extension.kind,
            module=extension.module,
            runs=extension.runs,
            inherits=extension.inherits or "",
            requires=Requires(
                requires.symphony,
                tuple(
                    ExtensionRequirement(each.id, each.version, each.optional) for each in requires.extensions
                ),
                requires.after,
            ),
            permissions=self.permissions.all(),
            resources=Resources(
                resources.memory,
                resources.cpu,
                resources.gpu,
                resources.processes,
                resources.load_timeout,
                resources.workers or 0,
                resources.threads,
                resources.disk,
            ),
            config=self.config.json_schema(),
            marketplace=Marketplace(
                shop.categories, shop.keywords, shop.screenshots, shop.pricing, shop.homepage or ""
            ),
            templates=self.templates.files,
        )

    def to_index(self) -> dict[str, Any]:
        """This manifest as JSON-able values; `ManifestRecord.from_index` reads them back."""
        return self.record().to_index()

    def permission_set(self, roots: Mapping[str, str] | None = None) -> PermissionSet:
        """All permissions, required and optional.

        Args:
            roots: The absolute path that each variable of a path stands for here.
        """
        return PermissionSet(self.permissions.all(), roots or {})

    def config_defaults(self) -> dict[str, Any]:
        """The default of each setting that has one."""
        return self.record().config_defaults()

    def validate_config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings to run with: `values`, and the defaults where they say nothing.

        Args:
            values: What the user has set, by name.

        Raises:
            ConfigurationError: SYM-C001, listing every setting that is unknown, missing or wrong.
        """
        return self.record().validate_config(values)

    def _relation_faults(self) -> Iterator[Fault]:
        own = self.extension.id
        seen: set[str] = set()
        for index, requirement in enumerate(self.requires.extensions):
            path = ("requires", "extensions", index, "id")
            if requirement.id == own:
                yield Fault(path, f"{own} cannot require itself", "Remove it.")
            elif requirement.id in seen:
                yield Fault(
                    path, f"{requirement.id} is required twice", "Join the two: a range may have commas."
                )
            seen.add(requirement.id)
        for index, earlier in enumerate(self.requires.after):
            if earlier == own:
                yield Fault(("requires", "after", index), f"{own} cannot load after itself", "Remove it.")
