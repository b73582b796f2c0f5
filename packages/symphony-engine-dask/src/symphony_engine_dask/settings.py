"""The settings of the executor `dask`, and which cluster they mean."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec


class DaskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Dask cluster to use, and how.

    Args:
        address: Address of the scheduler; empty for a cluster on this computer.
        workers: Worker processes of a cluster on this computer.
        project: Directory on each machine that extensions see as the project.
        start_timeout: Seconds in which the first machine has to be ready.
        patience: Seconds that a node waits for a machine while there is none.
        tls_ca: Path of the certificates that the cluster's are checked with.
        tls_certificate: Path of the certificate to show.
        tls_key: Path of its key.
    """

    address: str = ""
    workers: int = 2
    project: str = ""
    start_timeout: float = 60.0
    patience: float = 60.0
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "DaskSettings":
        """The settings in the validated configuration of the extension."""
        return msgspec.convert(dict(config), cls)

    @property
    def cores_each(self) -> int:
        """Cores of each worker of a cluster on this computer."""
        return max(1, (os.cpu_count() or 1) // self.workers)

    @property
    def tls(self) -> dict[str, str]:
        """What Dask is told of certificates; nothing without any."""
        files = {
            "tls_ca_file": self.tls_ca,
            "tls_client_cert": self.tls_certificate,
            "tls_client_key": self.tls_key,
        }
        return {name: path for name, path in files.items() if path}
