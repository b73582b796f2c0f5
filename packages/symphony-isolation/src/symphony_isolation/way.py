"""How the workers of an extension are started: warm or cold."""

import os
import sys
from typing import Literal, NamedTuple

from symphony_isolation.interpreter import own_interpreter


class Way(NamedTuple):
    """How workers are started.

    Args:
        kind: `warm`, forked from the zygote, or `cold`, executed.
        reason: Why they are started cold.
    """

    kind: Literal["warm", "cold"]
    reason: str = ""


def way_of(python: str) -> Way:
    """How the workers that need an interpreter are started.

    Args:
        python: The interpreter.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return Way("cold", "this system has no process that others can be forked from safely")
    if python != sys.executable:
        return Way("cold", "it has an environment of its own")
    if own_interpreter().needs_code:
        return Way("cold", "packages of the environment are editable in a way that needs code to run")
    return Way("warm")
