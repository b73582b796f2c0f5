"""What to say where an operating system does not have what a transport is made of."""

import sys

from symphony_sdk.errors import TransportError


def not_here(what: str, instead: str) -> TransportError:
    """The error for a transport of another system.

    Args:
        what: What is missing here, such as `named pipes`.
        instead: Scheme of a transport that this system has.
    """
    return TransportError(
        f"{sys.platform} has no {what} that an event loop of Python can use",
        code="SYM-T030",
        hint=f"Use the transport `{instead}` here.",
    )
