"""Opens what a command works with: the settings, the installed extensions, the whole host."""

import logging
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from symphony_sdk.errors import RunError

from symphony_host.configuration import Settings, load_settings

if TYPE_CHECKING:
    from symphony_core import SymphonyCore

    from symphony_host.cli.shell import Shell
    from symphony_host.composition import Host


SEARCHED = 10_000
"""How many of the newest runs are looked through for an id that is not given whole."""


def settings_of(shell: "Shell", *overrides: str) -> Settings:
    """The settings of this call.

    Args:
        shell: What was asked of this call.
        overrides: What the command line sets: `SETTING=VALUE`.

    Raises:
        ConfigurationError: Settings are unknown or wrong.
    """
    return load_settings(file=Path(shell.config) if shell.config else None, overrides=overrides)


def actor() -> str:
    """Who gives the commands of this call: the user's name in the operating system; empty where it has none."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a list of users
        return ""


def trace_label() -> dict[str, str]:
    """The W3C trace context that a run of this call belongs to, from the variable TRACEPARENT, as a label."""
    context = os.environ.get("TRACEPARENT", "")
    return {"traceparent": context} if context else {}


async def whole_id(core: "SymphonyCore", text: str) -> str:
    """The id of the run that is meant.

    Args:
        core: Where the runs are.
        text: An id, or the first characters of one.

    Raises:
        RunError: SYM-R065, several runs have an id that begins like this.
    """
    ids = [status.run for status in await core.runs(SEARCHED)]
    found = [id for id in ids if id.startswith(text)]
    if text in ids or len(found) != 1:
        if text not in ids and found:
            raise RunError(
                f"{len(found)} runs have an id that begins with {text!r}",
                code="SYM-R065",
                hint=f"Give more of it: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}",
            )
        return text
    return found[0]


def open_host(settings: Settings) -> "AbstractAsyncContextManager[Host]":
    """The host, which ends its workers and closes its stores on exit.

    Args:
        settings: The settings of this call.
    """
    from symphony_host.composition import Host

    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    return Host.open(settings)
