"""The section `[permissions]`: what the extension may touch. Nothing declared, nothing allowed."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from symphony_sdk.errors import ManifestError
from symphony_sdk.manifest.faults import Fault, refusal
from symphony_sdk.manifest.fields import SECTION, ShownText
from symphony_sdk.permissions import Permission, PermissionType, Scope


class DeclaredPermission(BaseModel):
    """One permission, in the grammar of `symphony_sdk.permissions`."""

    model_config = SECTION

    type: PermissionType = Field(description="What kind of resource.", examples=["file"])
    scope: tuple[Scope, ...] = Field(
        strict=False, description="What may be done to it.", examples=[["read"], ["read", "write"]]
    )
    resource: str = Field(
        description="Which ones, in the grammar of the type.",
        examples=["${project}/**", "api.example.org:443", "environment:ACME_TOKEN", "openai/whisper-*"],
    )
    reason: ShownText = Field(
        description="Why, for the user who is asked.", examples=["reads the files that it measures"]
    )

    @model_validator(mode="after")
    def _is_in_the_grammar(self) -> Self:
        try:
            self.permission(required=True)
        except ManifestError as error:
            raise refusal(Fault((error.details["part"],), error.message, error.hint)) from None
        return self

    def permission(self, *, required: bool) -> Permission:
        """This declaration as the grammar's own type."""
        return Permission(self.type, self.scope, self.resource, self.reason, required)


class PermissionsSection(BaseModel):
    """What the extension may touch."""

    model_config = SECTION

    required: tuple[DeclaredPermission, ...] = Field(
        default=(),
        strict=False,
        description="Without these it cannot work; asked for before it is first started.",
        examples=[[{"type": "file", "scope": ["read"], "resource": "${project}/**", "reason": "reads it"}]],
    )
    optional: tuple[DeclaredPermission, ...] = Field(
        default=(),
        strict=False,
        description="Asked for when first used.",
        examples=[
            [{"type": "network", "scope": ["read"], "resource": "example.org:443", "reason": "asks it"}]
        ],
    )

    def all(self) -> tuple[Permission, ...]:
        """The required ones, then the optional ones, in the order of the manifest."""
        return tuple(
            each.permission(required=declared is self.required)
            for declared in (self.required, self.optional)
            for each in declared
        )
