"""The settings of the executor `ray`, and which cluster they mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class RaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Ray cluster to use, and how.

    Args:
        address: Address of the cluster, or `auto`; empty for a cluster of Symphony's own on this computer.
        cores: Cores to take on each machine; 0 for all of them.
        project: Directory on each machine that extensions see as the project.
        start_timeout: Seconds in which the cluster has to answer, and then the first machine has to be ready.
        patience: Seconds that a node waits for a machine while there is none.
    """

    address: str = ""
    cores: int = 0
    project: str = ""
    start_timeout: float = 60.0
    patience: float = 60.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "RaySettings":
        """The settings in the validated configuration of the extension."""
        return msgspec.convert(dict(config), cls)

    @property
    def project_directory(self) -> str:
        """The project as the machines see it: the current directory where they are on this computer."""
        return self.project or ("" if self.address else str(Path.cwd()))
