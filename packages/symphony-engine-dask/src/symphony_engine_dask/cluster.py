"""The workers of a Dask cluster as machines: one connection of Dask's own to each, and nothing of its task graph."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from symphony_isolation.cluster import ClusterListener
from symphony_sdk.errors import RunError

from symphony_engine_dask.settings import DaskSettings

if TYPE_CHECKING:
    from symphony_engine_dask.stream import Stream

CONNECT_TIMEOUT: Final = 10.0
"""Seconds in which a worker that has just come has to answer."""

END_TIMEOUT: Final = 10.0
"""Seconds that machines have to end their workers."""

_NO_PAGES: Final[dict[str, list[str]]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Dask serves HTTP without a password; on a cluster of our own nobody needs it."""

_log = logging.getLogger(__name__)


class DaskCluster:
    """Machines in the workers of a Dask cluster; adapter of `Cluster`.

    A worker is told apart by its address. Dask restarts a worker that died, by its nanny, and it comes back as a new one.

    Args:
        settings: Which cluster, and how.
    """

    name = "dask"

    def __init__(self, settings: DaskSettings) -> None:
        self._settings = settings
        self._topic = f"symphony-{secrets.token_hex(8)}"
        self._local: Any = None
        self._client: Any = None
        self._setup = b""
        self._listener: ClusterListener | None = None
        self._streams: dict[str, Stream] = {}
        self._live: set[str] = set()
        self._met: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, setup: bytes, listener: ClusterListener) -> None:
        """Reach the cluster of the settings, or start one on this computer; see `Cluster.start`.

        Args:
            setup: What each machine is made with.
            listener: Is told what happens.

        Raises:
            RunError: SYM-R120, Dask is not installed; SYM-R121, the cluster cannot be reached, started or used.
        """
        try:
            import distributed  # noqa: F401 - whether it is there
        except ImportError as error:
            raise RunError(
                f"the executor {self.name!r} needs the library distributed: {error}",
                code="SYM-R120",
                hint="pip install 'symphony-engine-dask[dask]'",
            ) from error
        from symphony_engine_dask.on_worker import MachinePlugin

        self._setup, self._listener = setup, listener
        self._stopping = False
        try:
            await self._connect()
            self._client.subscribe_topic(self._topic, self._heard_of)
            await self._client.register_plugin(MachinePlugin(self._topic), name=self._topic)
            there = await self._client.scheduler.identity(n_workers=-1)
            await self._meet(there["workers"])
        except Exception as error:
            await self.stop()
            where = self._settings.address or "this computer"
            hint = (
                "See that a scheduler runs there, and that its workers have symphony-engine-dask[dask] installed."
                if self._settings.address
                else "A program that starts it keeps what it does under `if __name__ == '__main__':`."
            )
            raise RunError(
                f"the Dask cluster on {where} cannot be used: {type(error).__name__}: {error}",
                code="SYM-R121",
                hint=hint,
            ) from error

    def send(self, machine: str, data: bytes) -> None:
        """Send to a machine; see `Cluster.send`.

        Args:
            machine: Its name.
            data: The message.
        """
        stream = self._streams.get(machine)
        if stream is not None:
            stream.send(data)

    async def stop(self) -> None:
        """End every machine, and the cluster where it is this computer's; see `Cluster.stop`."""
        self._stopping = True
        await asyncio.gather(*(stream.end() for stream in self._streams.values()))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_TIMEOUT)
        for task in self._tasks:
            task.cancel()
        client, self._client = self._client, None
        local, self._local = self._local, None
        if client is not None:
            try:
                await client.unregister_worker_plugin(self._topic)
            except Exception as error:  # noqa: BLE001 - a worker may raise anything; it keeps a plugin too many
                _log.debug("the plugin stays in workers of the Dask cluster: %s", error)
            await client.close()
        if local is not None:
            await local.close()

    async def _connect(self) -> None:
        import dask
        import distributed

        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the fleet tells what is lost
        settings = self._settings
        if settings.address:
            where: Any = settings.address
            security = distributed.Security(**settings.tls) if settings.tls else None
        else:
            # Keys that only the processes of this cluster have: whoever reaches a scheduler runs code as its user.
            security = distributed.Security.temporary()
            with dask.config.set(_NO_PAGES):
                where = self._local = await distributed.LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=settings.cores_each,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                    security=security,
                    asynchronous=True,
                )
        self._client = await distributed.Client(
            where,
            security=security,
            timeout=settings.start_timeout,
            asynchronous=True,
            set_as_default=False,
        )

    async def _heard_of(self, event: tuple[float, str]) -> None:
        """A worker has come, or was there when the plugin came."""
        await self._meet([event[1]])

    async def _meet(self, addresses: Iterable[str]) -> None:
        """Connect to workers that are new, and have a machine made on each."""
        new = [address for address in addresses if address not in self._live]
        self._live.update(new)
        await asyncio.gather(*map(self._open, new))

    async def _open(self, address: str) -> None:
        from distributed.comm import connect

        from symphony_engine_dask.on_worker import OPERATION
        from symphony_engine_dask.stream import Stream

        try:
            comm = await connect(address, timeout=CONNECT_TIMEOUT, **self._client.connection_args)
            await comm.write({"op": OPERATION, "reply": False, "setup": self._setup})
        except OSError as error:
            self._live.discard(address)
            _log.warning("the Dask worker %s cannot be reached: %s", address, error)
            return
        self._met[address] += 1
        machine = address if self._met[address] == 1 else f"{address} ({self._met[address]})"
        stream = self._streams[machine] = Stream(comm)
        assert self._listener is not None  # noqa: S101 - it was started
        self._listener.joined(machine)
        task = asyncio.get_running_loop().create_task(self._listen(address, machine, stream, self._listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, address: str, machine: str, stream: "Stream", listener: ClusterListener) -> None:
        reason = await stream.receive(lambda data: listener.heard(machine, data))
        del self._streams[machine]
        self._live.discard(address)
        await stream.close()
        if not self._stopping:
            listener.lost(machine, reason or "it ended")
