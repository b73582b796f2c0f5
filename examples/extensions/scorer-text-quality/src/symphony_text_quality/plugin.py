"""The scorers: how easy a text is to read, and how well an artifact is described."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from symphony_sdk import Artifact, Context, Rating, Scorer, provides_scorers, scorer

from symphony_text_quality.reading_ease import reading_ease

READ: Final = 1_000_000
"""Characters of a text that are looked at: more of it changes its reading ease no more."""

_UNKNOWN_TYPE: Final = "application/octet-stream"


@scorer(
    "symphony.text-quality.readability",
    accepts=("text/plain", "text/markdown"),
    title="Rate how easy a text is to read",
)
def readability(
    ctx: Context,
    artifact: Artifact,
    target: Annotated[float, msgspec.Meta(gt=0, description="The reading ease that scores 1")] = 60.0,
) -> Rating:
    """Rate how easy an English text is to read, by its Flesch reading ease."""
    ease = reading_ease(ctx.artifacts.get(artifact).decode(errors="replace")[:READ])
    if ease is None:
        return Rating(0.0, "there is no word in it")
    return Rating(min(max(ease / target, 0.0), 1.0), f"reading ease {ease:.0f} of {target:g}")


@scorer("symphony.text-quality.described", title="Rate how well an artifact is described")
def described(ctx: Context, artifact: Artifact) -> Rating:
    """Rate how well an artifact is described: by a name, a media type, metadata and tags."""
    facts = {
        "name": bool(artifact.name),
        "media type": artifact.media_type != _UNKNOWN_TYPE,
        "metadata": bool(artifact.metadata),
        "tag": bool(artifact.tags),
    }
    lacking = [name for name, there in facts.items() if not there]
    return Rating(1 - len(lacking) / len(facts), f"it has no {', no '.join(lacking)}" if lacking else "")


@provides_scorers
def symphony_scorers() -> Iterator[Scorer[..., Any]]:
    """The scorers of this extension."""
    yield readability
    yield described
