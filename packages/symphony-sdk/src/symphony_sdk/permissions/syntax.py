"""The error for a permission that cannot be read, and the rule for text that a user is shown."""

from symphony_sdk.errors import ManifestError


def malformed(part: str, message: str, hint: str) -> ManifestError:
    """The error for one part of a permission.

    Args:
        part: `type`, `scope` or `resource`.
        message: What was found and what was expected.
        hint: What to write instead.
    """
    return ManifestError(message, code="SYM-M006", hint=hint, details={"part": part})


def check_printable(resource: str) -> None:
    """Refuse characters that a permission prompt would not show as they are.

    Args:
        resource: The text that the user will be asked about.

    Raises:
        ManifestError: SYM-M006, for control, format (bidirectional, zero-width) and unassigned characters.
    """
    if not resource.isprintable():
        hidden = next(character for character in resource if not character.isprintable())
        raise malformed(
            "resource",
            f"the resource {resource!r} holds the invisible character U+{ord(hidden):04X}",
            "Write it without control, zero-width and bidirectional characters.",
        )
