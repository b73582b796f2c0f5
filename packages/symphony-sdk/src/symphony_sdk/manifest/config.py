"""The section `[config]`: the settings of the extension, in a subset of JSON Schema."""

import re
from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, model_validator
from pydantic_core import SchemaError

from symphony_sdk import config_schema
from symphony_sdk.manifest.faults import Fault, found, refusal, refuse
from symphony_sdk.manifest.fields import SECTION, ShownText

_BELONGS_TO = {
    "minimum": ("integer", "number"),
    "maximum": ("integer", "number"),
    "minLength": ("string",),
    "maxLength": ("string",),
    "pattern": ("string",),
    "format": ("string",),
    "items": ("array",),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise refuse(f"expected a number, found {found(value)}", "Write for example `1`.")
    return value


def _expression(text: str) -> str:
    try:
        config_schema.matches(text, "")
    except SchemaError as error:
        reason = str(error).rpartition("\n")[2].strip().removeprefix("error: ")
        raise refuse(
            f"expected a regular expression, found {found(text)}: {reason}",
            "Write it without look-around and back-references, so that it can be matched in linear time.",
        ) from None
    return text


Number = Annotated[int | float, PlainValidator(_number, json_schema_input_type=int | float)]


class Setting(BaseModel):
    """One setting, or what each element of an array must be."""

    model_config = SECTION

    type: Literal["boolean", "integer", "number", "string", "array"] = Field(
        description="What its value is.", examples=["string"]
    )
    title: ShownText | None = Field(
        default=None, description="Its label in the settings form.", examples=["Language"]
    )
    description: ShownText | None = Field(
        default=None, description="What it does.", examples=["The language of the texts."]
    )
    default: Any = Field(
        default=None, description="Its value where the user sets none; must fit the rest.", examples=["en"]
    )
    enum: tuple[Any, ...] | None = Field(
        default=None, strict=False, min_length=1, description="All that it may be.", examples=[["en", "de"]]
    )
    minimum: Number | None = Field(default=None, description="The least it may be.", examples=[1])
    maximum: Number | None = Field(default=None, description="The most it may be.", examples=[10])
    min_length: int | None = Field(
        default=None, alias="minLength", ge=0, description="The fewest characters it may have.", examples=[1]
    )
    max_length: int | None = Field(
        default=None, alias="maxLength", ge=0, description="The most characters it may have.", examples=[80]
    )
    pattern: Annotated[str, AfterValidator(_expression)] | None = Field(
        default=None, description="A regular expression that is found in it.", examples=["^[a-z]+$"]
    )
    format: Literal["secret"] | None = Field(
        default=None,
        description="`secret`: kept in the system's keyring, never shown and never logged.",
        examples=["secret"],
    )
    items: "Setting | None" = Field(
        default=None, description="What each element of an array is.", examples=[{"type": "string"}]
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = list(self._misplaced()) or list(self._contradictions())
        if faults:
            raise refusal(*faults)
        return self

    def json_schema(self) -> dict[str, Any]:
        """This setting in JSON Schema, with what the manifest says of it and no more."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def _misplaced(self) -> Iterator[Fault]:
        said = {Setting.model_fields[name].alias or name for name in self.model_fields_set}
        for key in sorted(said & _BELONGS_TO.keys()):
            if self.type not in _BELONGS_TO[key]:
                kinds = " or ".join(_BELONGS_TO[key])
                yield Fault((key,), f"belongs to a setting of type {kinds}, this one is of type {self.type}")
        if self.type == "array" and self.items is None:
            yield Fault(
                ("items",),
                "is missing: an array says what its elements are",
                'Add `items = { type = "string" }`.',
            )
        if self.format == "secret":
            for key in sorted(said & {"default", "enum"}):
                yield Fault(
                    (key,), "a secret in a manifest is no secret", "Remove it: the user sets the value."
                )
        if self.items is not None and {"default", "format"} & self.items.model_fields_set:
            for key in sorted({"default", "format"} & self.items.model_fields_set):
                yield Fault(
                    ("items", key),
                    "belongs to a whole setting, not to the elements of an array",
                    "Remove it.",
                )

    def _contradictions(self) -> Iterator[Fault]:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            yield Fault(("minimum",), f"is above the maximum: {self.minimum} > {self.maximum}")
        if self.min_length is not None and self.max_length is not None and self.min_length > self.max_length:
            yield Fault(("minLength",), f"is above maxLength: {self.min_length} > {self.max_length}")
        schema = {
            Setting.model_fields[name].alias or name: getattr(self, name) for name in self.model_fields_set
        }
        if self.items is not None:
            schema["items"] = self.items.json_schema()
        choices = schema.pop("enum", ())
        for index, choice in enumerate(choices):
            for fault in config_schema.faults_of(schema, choice):
                yield Fault(("enum", index, *fault.path), fault.message)
        if "default" in schema:
            if choices:
                schema["enum"] = choices
            for fault in config_schema.faults_of(schema, self.default):
                yield Fault(
                    ("default", *fault.path),
                    fault.message,
                    "A default must be a value that a user could set.",
                )


class ConfigSection(BaseModel):
    """The settings of the extension: they become its validation, its settings form and its documentation."""

    model_config = SECTION

    type: Literal["object"] = Field(default="object", description="Always `object`.", examples=["object"])
    title: ShownText | None = Field(
        default=None, description="The heading of the settings form.", examples=["Text"]
    )
    description: ShownText | None = Field(
        default=None, description="The text below that heading.", examples=["How texts are measured."]
    )
    properties: dict[str, Setting] = Field(
        default={},
        description="The settings by name.",
        examples=[{"language": {"type": "string", "default": "en"}}],
    )
    required: tuple[str, ...] = Field(
        default=(), strict=False, description="Those that the user must set.", examples=[["token"]]
    )

    @model_validator(mode="after")
    def _names_are_sound(self) -> Self:
        faults = [
            Fault(
                ("properties", name),
                "is no name of a setting",
                "Write lower-case letters, digits and underscores, a letter first: code reads it by name.",
            )
            for name in self.properties
            if not _NAME.fullmatch(name)
        ]
        faults += [
            Fault(("required", index), f"the setting {name!r} is not among the properties")
            for index, name in enumerate(self.required)
            if name not in self.properties
        ]
        if faults:
            raise refusal(*faults)
        return self

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of all settings."""
        schema = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"properties"})
        properties = {name: setting.json_schema() for name, setting in self.properties.items()}
        return {"type": "object", **schema, "properties": properties, "additionalProperties": False}
