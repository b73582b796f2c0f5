"""Resources that are names: paths of files, names of models, features of the system."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from symphony_sdk.permissions.globs import Segments, segment_of, segments_cover
from symphony_sdk.permissions.syntax import check_printable, malformed

VARIABLES: Mapping[str, str] = {
    "project": "the folder that the workflow is run in",
    "home": "the user's home directory",
    "data": "the extension's own directory for what it keeps",
    "cache": "the extension's own directory for what it can make again",
    "tmp": "the extension's own directory for temporary files",
}
"""The variables that a path may start with, as in `${project}/src`, and what each stands for."""

FEATURES: Mapping[str, tuple[str, ...]] = {
    "environment": ("read",),
    "process": ("execute",),
    "clipboard": ("read", "write"),
    "notifications": ("write",),
    "gpu": ("execute",),
    "camera": ("read",),
    "microphone": ("read",),
    "hardware": ("read",),
}
"""The features of the system and the scopes that each has; `environment` is written `environment:NAME`."""

_VARIABLE = re.compile(r"\$\{([^}/]*)\}(?=/|\Z)")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?", re.ASCII)
_MODEL_SEGMENT = re.compile(r"[A-Za-z0-9._:@*?-]+", re.ASCII)


class PathPattern(NamedTuple):
    """A path or a pattern of paths, below the root directory or below a variable."""

    variable: str
    segments: Segments

    def covers(self, asked: "PathPattern", roots: Mapping[str, str]) -> bool:
        """Whether each path of `asked` is one of this pattern's.

        Args:
            asked: The narrower pattern, or a path.
            roots: The absolute path that each variable stands for, as far as known.
        """
        if self.variable == asked.variable:
            return segments_cover(self.segments, asked.segments)
        granted_segments = self._from_root(roots)
        asked_segments = asked._from_root(roots)
        if granted_segments is None or asked_segments is None:
            return False
        return segments_cover(granted_segments, asked_segments)

    def _from_root(self, roots: Mapping[str, str]) -> Segments | None:
        if not self.variable:
            return self.segments
        root = _root(roots.get(self.variable, ""))
        # A root's names are text even where they hold a `*`: joining segments needs no escaping.
        return None if root is None or root.variable else root.segments + self.segments


@lru_cache(maxsize=4096)
def path_pattern(resource: str) -> PathPattern:
    """The pattern that a `file` resource stands for.

    Args:
        resource: Such as `${project}/**/*.py` or `/usr/share/dict/words`.

    Raises:
        ManifestError: SYM-M006.
    """
    check_printable(resource)
    if "\\" in resource:
        raise malformed(
            "resource",
            f"the path {resource!r} holds a backslash",
            f"Write `{resource.replace(chr(92), '/')}`: slashes work on every system.",
        )
    variable, below = _split_variable(resource)
    if variable and variable not in VARIABLES:
        raise malformed(
            "resource",
            f"the path {resource!r} starts with an unknown variable",
            f"The variables are {', '.join(f'${{{name}}}' for name in VARIABLES)}.",
        )
    if not variable and not resource.startswith("/"):
        raise malformed(
            "resource",
            f"the path {resource!r} is relative, and it is not said to what",
            "Start it with a variable such as `${project}/`, or with `/`.",
        )
    if "${" in below:
        raise malformed(
            "resource",
            f"the path {resource!r} holds a variable that is not at its start",
            "A variable is a root: write it first, once, and followed by `/`.",
        )
    names = below[1:].split("/") if below not in {"", "/"} else []
    if below == "/" and variable:
        names = [""]
    return PathPattern(variable, _pattern_segments(resource, names))


def path_of(path: str) -> PathPattern | None:
    """A path as an extension gave it, without wildcards; None where it can never be allowed.

    Refused are relative paths, `.` and `..` (also with trailing dots and spaces, which Windows drops),
    empty names, backslashes and NUL. Links are not followed here: who opens the file must resolve
    beneath the granted root.

    Args:
        path: Absolute, or starting with a variable.
    """
    variable, below = _split_variable(path)
    if variable not in VARIABLES and variable:
        return None
    if below in {"", "/"}:
        return PathPattern(variable, ()) if path else None
    names = tuple(below[1:].split("/"))
    if below[0] != "/" or "\0" in path or "\\" in path or any(not name.strip(". ") for name in names):
        return None
    return PathPattern(variable, names)


class ModelPattern(NamedTuple):
    """The name of a model or a pattern of such names."""

    segments: Segments

    def covers(self, asked: "ModelPattern") -> bool:
        """Whether each name of `asked` is one of this pattern's."""
        return segments_cover(self.segments, asked.segments)


@lru_cache(maxsize=1024)
def model_pattern(resource: str) -> ModelPattern:
    """The pattern that a `model` resource stands for.

    Args:
        resource: Such as `magika`, `openai/whisper-*` or `**`.

    Raises:
        ManifestError: SYM-M006.
    """
    check_printable(resource)
    names = resource.split("/")
    for name in names:
        if name and not _MODEL_SEGMENT.fullmatch(name):
            raise malformed(
                "resource",
                f"the model name {resource!r} holds a character that no model name has",
                "Use letters, digits, `.`, `_`, `-`, `:`, `@` and `/`, and the wildcards `*`, `?` and `**`.",
            )
    return ModelPattern(_pattern_segments(resource, names))


def model_of(name: str) -> ModelPattern | None:
    """A model name without wildcards; None where no model can have it."""
    names = tuple(name.split("/"))
    if all(
        _MODEL_SEGMENT.fullmatch(part) and part.strip(".") and not set(part) & set("*?") for part in names
    ):
        return ModelPattern(names)
    return None


class Feature(NamedTuple):
    """A feature of the system, with the variable's name for `environment`; a final `*` is any end of it."""

    feature: str
    name: str

    def covers(self, asked: "Feature") -> bool:
        """Whether `asked` is this feature or part of it."""
        if self.feature != asked.feature:
            return False
        if self.name.endswith("*"):
            return asked.name.startswith(self.name[:-1])
        return self.name == asked.name


@lru_cache(maxsize=1024)
def feature_of(resource: str) -> Feature:
    """The feature that a `system` resource names.

    Args:
        resource: Such as `clipboard` or `environment:HF_*`.

    Raises:
        ManifestError: SYM-M006.
    """
    feature, colon, name = resource.partition(":")
    if feature not in FEATURES:
        known = ", ".join("environment:NAME" if name == "environment" else name for name in FEATURES)
        raise malformed("resource", f"the system has no feature {resource!r}", f"The features are {known}.")
    if feature == "environment":
        if not _ENVIRONMENT_NAME.fullmatch(name):
            raise malformed(
                "resource",
                f"{resource!r} does not name an environment variable",
                "Write `environment:NAME`, or `environment:PREFIX_*` for those that start alike.",
            )
    elif colon:
        raise malformed(
            "resource", f"the feature {feature!r} takes no name, found {resource!r}", f"Write `{feature}`."
        )
    return Feature(feature, name)


_root = lru_cache(maxsize=256)(path_of)  # roots are the host's few; paths are the extension's and not kept


def _split_variable(path: str) -> tuple[str, str]:
    found = _VARIABLE.match(path)
    return (found[1] or "?", path[found.end() :]) if found else ("", path)


def _pattern_segments(resource: str, names: list[str]) -> Segments:
    before = ""
    for name in names:
        if not name:
            message = "has an empty name: a slash at its start or end, or two in a row"
        elif not name.strip("."):
            message = f"holds `{name}`, which could lead out of its root"
        elif name.endswith((".", " ")):
            message = f"holds `{name}`: a trailing dot or space is dropped on some systems"
        elif "**" in name and name != "**":
            message = f"holds `{name}`: `**` stands alone between slashes"
        elif name == before == "**":
            message = "holds `**/**`, which says the same as `**`"
        else:
            before = name
            continue
        raise malformed(
            "resource",
            f"the resource {resource!r} {message}",
            "Write the plain names from the root on, once each.",
        )
    return tuple(map(segment_of, names))
