"""What an extension must not be able to do, as one table of hostile code and how the host sees its effect.

`files.py` to `resources.py` hold the attempts by kind, `honest.py` what must go on working; `table.py` says what an
attempt is, `effects.py` how the host looks, at the `world.py` that could be harmed. `program.py` and `extension.py`
run the hostile code, in a process and in a worker; `runners.py` starts them.
"""

from attempts.environment import environment
from attempts.files import files
from attempts.ipc import ipc
from attempts.network import network
from attempts.persistence import persistence
from attempts.privileges import privileges
from attempts.processes import processes
from attempts.resources import resources
from attempts.system import system
from attempts.table import Attempt, Look

TABLES = (files, processes, privileges, system, ipc, network, environment, persistence, resources)
ATTEMPTS: dict[str, Attempt] = {one.name: one for table in TABLES for one in table.attempts}
"""Every attempt by its name."""

__all__ = ["ATTEMPTS", "TABLES", "Attempt", "Look"]
