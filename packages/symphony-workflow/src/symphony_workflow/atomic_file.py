"""Writes a file so that whoever reads it meanwhile sees the old content or the new, never a part."""

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file as a whole, and let it outlive a loss of power.

    Args:
        path: The file; its folder exists.
        data: What it is to hold.

    Raises:
        OSError: It cannot be written; what was there before is unchanged.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
