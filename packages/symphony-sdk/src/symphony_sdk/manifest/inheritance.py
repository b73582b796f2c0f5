"""Defaults that a family of extensions shares: a manifest's document laid over that of its base."""

from collections.abc import Callable, Mapping
from typing import Any

from symphony_sdk.errors import ManifestError

Document = Mapping[str, Any]

# Identity, code and trust are each extension's own. A permission that came with a base would be asked for
# under another name than that of the manifest it stands in, and an update of the base would widen it; the
# same goes for `runs`. Screenshots and templates are files of the base's distribution.
NEVER_INHERITED = (
    ("extension", "id"),
    ("extension", "module"),
    ("extension", "runs"),
    ("extension", "inherits"),
    ("permissions",),
    ("templates",),
    ("marketplace", "screenshots"),
)


def resolve(document: Document, lookup: Callable[[str], Document]) -> dict[str, Any]:
    """`document` with what it does not say taken from its base, and from that one's base.

    Tables are merged, anything else of the child replaces the base's. Never inherited are `extension.id`,
    `.module`, `.runs`, the screenshots, the templates, and permissions: what an extension may touch stands in its manifest.

    Args:
        document: A manifest as tomllib gives it, not validated yet.
        lookup: Gives the document of an extension by id; raises LookupError where there is none.

    Raises:
        ManifestError: SYM-M005, naming the chain, where a base is unknown or inherits from its own child.
    """
    chain = [_said(document, "id") or "this extension"]
    documents = [document]
    while (base := _said(documents[-1], "inherits")) is not None:
        chain.append(base)
        if base in chain[:-1]:
            raise ManifestError(
                f"{chain[0]} inherits from itself: {' -> '.join(chain)}",
                code="SYM-M005",
                hint=f"Remove `inherits` from one of {', '.join(dict.fromkeys(chain))}.",
                details={"chain": chain},
            )
        try:
            documents.append(lookup(base))
        except LookupError:
            raise ManifestError(
                f"{chain[-2]} inherits from {base}, which is not installed: {' -> '.join(chain)}",
                code="SYM-M005",
                hint=f"Install the distribution that brings {base}, or remove `inherits`.",
                details={"chain": chain},
            ) from None
    merged: dict[str, Any] = {}
    for ancestor in reversed(documents[1:]):
        merged = _merged(merged, _inheritable(ancestor))
    return _merged(merged, document)


def _said(document: Document, key: str) -> str | None:
    """A text of `[extension]`; None where it is absent or malformed, which validation will tell."""
    section = document.get("extension")
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, str) else None


def _inheritable(document: Document) -> dict[str, Any]:
    kept = dict(document)
    for section, *key in NEVER_INHERITED:
        table = kept.get(section)
        if not key:
            kept.pop(section, None)
        elif isinstance(table, Mapping):
            kept[section] = {name: value for name, value in table.items() if name != key[0]}
    return kept


def _merged(base: Document, child: Document) -> dict[str, Any]:
    merged = dict(base)
    for key, value in child.items():
        below = merged.get(key)
        merged[key] = (
            _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged
