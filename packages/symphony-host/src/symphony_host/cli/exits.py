"""The exit codes of `symphony`, the same for every command."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from symphony_sdk.errors import SymphonyError

OK: Final = 0
"""It did what was asked."""
FAILED: Final = 1
"""A run, a validation or a verification failed, or what was named does not exist."""
USAGE: Final = 2
"""The command line is wrong."""
ENVIRONMENT: Final = 3
"""The environment or an extension is in the way; `symphony doctor` says how to mend it."""
INTERRUPTED: Final = 130
"""Ctrl-C; a run goes on with `symphony resume`."""
UNREAD: Final = 141
"""Nobody reads any more what is watched, as after `| head`; the code of a program that SIGPIPE ended."""

EXPLAINED = (
    (OK, "it did what was asked"),
    (FAILED, "a run, a validation or a verification failed, or what was named does not exist"),
    (USAGE, "the command line is wrong"),
    (ENVIRONMENT, "the environment or an extension is in the way: see `symphony doctor`"),
    (INTERRUPTED, "interrupted; `symphony resume RUN` goes on with a run"),
    (UNREAD, "nobody reads any more what is watched, as after `| head`"),
)
"""Each exit code in words."""

_UNKNOWN_NAME = ("SYM-E013", "SYM-E028", "SYM-P009")
_NOT_VERIFIED = "SYM-P041"


def exit_code(error: "SymphonyError") -> int:
    """The exit code that an error ends the command with.

    Args:
        error: What was raised.
    """
    from symphony_sdk.errors import ArtifactError, RunError, WorkflowError

    if error.code == "SYM-C040":
        return USAGE
    if error.code in (*_UNKNOWN_NAME, _NOT_VERIFIED) or isinstance(
        error, ArtifactError | RunError | WorkflowError
    ):
        return FAILED
    return ENVIRONMENT
