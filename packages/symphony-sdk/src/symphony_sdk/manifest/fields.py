"""What the sections share: they are frozen and strict, and their texts are of a few checked kinds."""

import keyword
import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict

from symphony_sdk.manifest.faults import found, refuse

SECTION = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_ID = re.compile(rf"{_NAME}\.{_NAME}", re.ASCII)
_SLUG = re.compile(_NAME, re.ASCII)
_LONGEST_NAME = 100
_LONGEST_TEXT = 500


def _extension_id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise refuse(
            f"expected an id of the form publisher.name, found {found(text)}",
            "Write two names of lower-case letters, digits and hyphens with a dot between: `acme.text`.",
        )
    return text


def _module_name(text: str) -> str:
    parts = text.split(".")
    if not text.isascii() or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise refuse(
            f"expected the dotted name of a module, found {found(text)}",
            "Write it as an import does, such as `acme_text.plugin`.",
        )
    return text


def _version_range(text: str) -> str:
    if text == "*":
        return text
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        empty = not len(SpecifierSet(text))
    except InvalidSpecifier:
        empty = True
    if empty:
        raise refuse(
            f"expected a range of versions, found {found(text)}",
            "Write a comparison such as `>=1.0,<2` (PEP 440), or `*` for any version.",
        )
    return text


def _shown_text(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST_TEXT or not text.isprintable():
        raise refuse(
            f"expected a line of text for the user, found {found(text)}",
            f"Write 1 to {_LONGEST_TEXT} characters without line breaks and invisible ones.",
        )
    return text


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise refuse(
            f"expected a short name, found {found(text)}", "Write lower-case letters, digits and hyphens."
        )
    return text


ExtensionId = Annotated[str, AfterValidator(_extension_id)]
ModuleName = Annotated[str, AfterValidator(_module_name)]
VersionRange = Annotated[str, AfterValidator(_version_range)]
ShownText = Annotated[str, AfterValidator(_shown_text)]
Slug = Annotated[str, AfterValidator(_slug)]
