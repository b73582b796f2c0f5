"""Lowers what one process may use, with setrlimit(2): what it starts inherits that and cannot raise it again."""

import resource
import sys
from typing import Final

from symphony_isolation.sandbox.policy import Limits

_NONE: Final = [resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK]
if sys.platform == "linux":
    _NONE.extend((resource.RLIMIT_MSGQUEUE, resource.RLIMIT_RTPRIO))


def limit(limits: Limits) -> None:
    """Set the limits of each process: no core, no locked memory, no realtime, and those that are given.

    Args:
        limits: The limits; the memory of one process is held to half as much again, as a brake to what grows
            faster than it can be measured.

    Raises:
        OSError: The system refused.
    """
    for kind in _NONE:
        resource.setrlimit(kind, (0, 0))
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    _lower(resource.RLIMIT_DATA, limits.memory * 3 // 2)
    _lower(resource.RLIMIT_FSIZE, limits.disk)


def _lower(kind: int, value: int) -> None:
    if value:
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
