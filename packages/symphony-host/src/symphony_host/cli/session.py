"""Opens what a command works with: the settings, the installed extensions, the whole host."""

import logging
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from symphony_host.configuration import Settings, load_settings

if TYPE_CHECKING:
    from symphony_host.cli.shell import Shell
    from symphony_host.composition import Host


def settings_of(shell: "Shell", *overrides: str) -> Settings:
    """The settings of this call.

    Args:
        shell: What was asked of this call.
        overrides: What the command line sets: `SETTING=VALUE`.

    Raises:
        ConfigurationError: Settings are unknown or wrong.
    """
    return load_settings(file=Path(shell.config) if shell.config else None, overrides=overrides)


def open_host(settings: Settings) -> "AbstractAsyncContextManager[Host]":
    """The host, which ends its workers and closes its stores on exit.

    Args:
        settings: The settings of this call.
    """
    from symphony_host.composition import Host

    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    return Host.open(settings)
