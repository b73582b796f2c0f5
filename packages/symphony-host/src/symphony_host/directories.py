"""Where Symphony keeps its files: the user's data, cache and configuration directories of the platform."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing is not light either
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Purpose = Literal["data", "cache", "config"]

_XDG: Mapping[Purpose, tuple[str, str]] = {
    "data": ("XDG_DATA_HOME", "~/.local/share"),
    "cache": ("XDG_CACHE_HOME", "~/.cache"),
    "config": ("XDG_CONFIG_HOME", "~/.config"),
}


def user_directory(purpose: Purpose, environ: Mapping[str, str] = os.environ) -> str:
    """The directory for a purpose; it need not exist.

    `SYMPHONY_DATA_DIR`, `SYMPHONY_CACHE_DIR` and `SYMPHONY_CONFIG_DIR` come first, then the platform's own
    place as platformdirs tells it. On Linux the same three lines of the XDG specification are read here,
    because importing platformdirs takes longer than everything else that a warm start does.

    Args:
        purpose: What is to be kept there.
        environ: The environment.
    """
    chosen = environ.get(f"SYMPHONY_{purpose.upper()}_DIR", "").strip()
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))  # noqa: PTH100, PTH111 - pathlib is not light
    if sys.platform == "linux":
        variable, fallback = _XDG[purpose]
        base = environ.get(variable, "").strip() or os.path.expanduser(fallback)  # noqa: PTH111
        return f"{base}/symphony"
    import platformdirs

    directories = platformdirs.PlatformDirs("symphony", appauthor=False)
    return {
        "data": directories.user_data_dir,
        "cache": directories.user_cache_dir,
        "config": directories.user_config_dir,
    }[purpose]
