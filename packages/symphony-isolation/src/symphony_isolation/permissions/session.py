"""What a session is: from the start of a terminal, or of a login, to its end."""

import os
import secrets
import sys
from functools import cache
from pathlib import Path


@cache
def current_session() -> str:
    """Names the session that this process belongs to; the same in each process that was started in one terminal.

    It holds the number of the session, when its first process was started and which start of the machine it was, so
    no later session has the same name. Where the system does not tell these, a session is one process.
    """
    if sys.platform == "linux":
        try:
            session = os.getsid(0)
            started = (
                Path(f"/proc/{session}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
            )
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except (OSError, IndexError, ValueError):  # the first process has ended, or /proc is hidden
            return f"process-{os.getpid()}-{secrets.token_hex(8)}"
        return f"{boot}-{session}-{started}"
    return f"process-{os.getpid()}-{secrets.token_hex(8)}"
