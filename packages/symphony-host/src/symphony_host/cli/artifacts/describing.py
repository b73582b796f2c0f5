"""Tells people what is known of an artifact."""

from typing import TYPE_CHECKING

from symphony_host.cli.text import clean, moment, size

if TYPE_CHECKING:
    from symphony_sdk.ports import ArtifactInfo, Lineage, Relation

_IS = {"derived-from": "derived from", "produced-by": "produced by", "replaces": "replaces"}
_INVERSE = {"derived-from": "source of", "replaces": "replaced by"}

_SHORT = 15


def short_id(id: str) -> str:
    """The first characters of an id, which are enough to name the artifact in all but the largest stores.

    Args:
        id: The whole id.
    """
    return id if len(id) <= _SHORT else id[:_SHORT]


def source(lineage: "Lineage") -> str:
    """The extension that made an artifact, with its version as far as it is known.

    Args:
        lineage: Where the artifact comes from.
    """
    return f"{lineage.extension} {lineage.version}".rstrip()


def quality(value: float | None) -> str:
    """How good an artifact is, or how good one scorer finds it; nothing where nobody scored it.

    Args:
        value: From 0 to 1.
    """
    return "" if value is None else f"{value:.2f}"


def facts(info: "ArtifactInfo") -> dict[str, str]:
    """All that is known of an artifact, in words, by what it is; facts that there are none of are left out.

    Args:
        info: What is known.
    """
    ref, lineage = info.ref, info.lineage
    found = {
        "artifact": ref.id,
        "name": ref.name,
        "version": str(info.version or ""),
        "size": f"{size(ref.size)} ({ref.size:,} bytes)",
        "type": ref.media_type,
        "stored": moment(info.created),
        "run": lineage.run,
        "node": lineage.node,
        "extension": source(lineage),
        "made from": ", ".join(map(short_id, lineage.inputs)),
        "quality": quality(info.quality),
        "tags": ", ".join(info.tags),
        "pinned": "yes" if info.pinned else "",
        "held for": "; ".join(f"{hold.reason} (since {moment(hold.created)})" for hold in info.holds),
        "removed": moment(info.removed) if info.removed else "",
        **{f"metadata {name}": value for name, value in sorted(info.metadata.items())},
    }
    return {name: text for name, text in found.items() if text}


def titled(info: "ArtifactInfo") -> str:
    """An artifact on one line: its id, its name, its version where it is not the first, and its size.

    Args:
        info: What is known of it.
    """
    version = f"version {info.version}, " if info.version > 1 else ""
    removed = ", removed" if info.removed else ""
    name = f"{clean(info.ref.name)} " if info.ref.name else ""
    return f"{info.ref.id} {name}({version}{size(info.ref.size)}{removed})"


def related(relation: "Relation", to: str) -> tuple[str, str]:
    """What an artifact is to the other end of a relation, and that other end.

    Args:
        relation: The relation.
        to: Id of the artifact.
    """
    if relation.subject == to:
        return _IS[relation.kind], relation.object
    return _INVERSE[relation.kind], relation.subject
