"""The section `[marketplace]`: how the extension is shown to those who look for one."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from symphony_sdk.manifest.faults import found, refuse
from symphony_sdk.manifest.fields import SECTION, ShownText, Slug
from symphony_sdk.manifest_record import Pricing

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_HOMEPAGE = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!-~]*)?", re.ASCII)


def _image(text: str) -> str:
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text
    if outside or not text.isprintable() or path.suffix not in _IMAGES:
        raise refuse(
            f"expected the path of an image beside the manifest, found {found(text)}",
            f"Write a relative path with slashes that ends in {', '.join(_IMAGES)}.",
        )
    return text


def _https(text: str) -> str:
    if not _HOMEPAGE.fullmatch(text):
        raise refuse(
            f"expected an https address, found {found(text)}", "Write for example `https://example.org/`."
        )
    return text


class MarketplaceSection(BaseModel):
    """How the extension is shown to those who look for one."""

    model_config = SECTION

    categories: tuple[Slug, ...] = Field(
        default=(), strict=False, description="Where it is listed, the main one first.", examples=[["text"]]
    )
    keywords: tuple[ShownText, ...] = Field(
        default=(),
        strict=False,
        description="Words that a search finds it by.",
        examples=[["words", "count"]],
    )
    screenshots: tuple[Annotated[str, AfterValidator(_image)], ...] = Field(
        default=(),
        strict=False,
        description="Images, as paths relative to the manifest.",
        examples=[["screenshots/report.png"]],
    )
    pricing: Pricing = Field(default="free", description="Whether it costs money.", examples=["free"])
    homepage: Annotated[str, AfterValidator(_https)] | None = Field(
        default=None, description="Where to read more.", examples=["https://example.org/acme-text"]
    )
