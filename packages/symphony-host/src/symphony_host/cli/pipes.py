"""What happens when nobody reads the output any more, as after `symphony run FLOW --json | head`."""

import os
import sys


def silence_stdout() -> None:
    """Let all further output go nowhere, also what Python still holds back and would write at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
