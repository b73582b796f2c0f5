"""The machines of a Ray cluster: an actor on each, and nothing of Ray's own queueing, retries and task graph."""

import asyncio
import logging
import os
import tempfile
from collections import Counter
from contextlib import suppress
from typing import Any, Final

from symphony_isolation.cluster import Capacity, ClusterListener
from symphony_sdk.errors import RunError

from symphony_engine_ray.settings import RaySettings

LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks for machines that have come, where none was lost meanwhile."""

END_TIMEOUT: Final = 10.0
"""Seconds that machines have to end their workers."""

OBJECT_STORE: Final = 256 << 20
"""Bytes of shared memory that a cluster of Symphony's own takes at most; Ray would take a third of all."""

QUIET: Final = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}

_log = logging.getLogger(__name__)


class RayCluster:
    """Machines in actors of a Ray cluster, one on each of its nodes; adapter of `Cluster`.

    An actor that dies is replaced as long as its node lives, as a machine of another name.

    Args:
        settings: Which cluster, and how.
    """

    name = "ray"

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._ray: Any = None
        self._connected = False
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._setup = b""
        self._listener: ClusterListener | None = None
        self._actors: dict[str, Any] = {}
        self._unsent: dict[str, list[bytes]] = {}
        self._taken: set[str] = set()
        self._met: Counter[str] = Counter()
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, setup: bytes, listener: ClusterListener) -> None:
        """Reach the cluster of the settings, or start one on this computer; see `Cluster.start`.

        Args:
            setup: What each machine is made with.
            listener: Is told what happens.

        Raises:
            RunError: SYM-R120, Ray is not installed; SYM-R121, the cluster cannot be reached or started.
        """
        self._setup, self._listener, self._stopping = setup, listener, False
        # Read by Ray when it is imported. Under `uv run`, it would have each of its processes run uv again.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise RunError(
                f"the executor {self.name!r} needs the library ray: {error}",
                code="SYM-R120",
                hint="pip install 'symphony-engine-ray[ray]'",
            ) from error
        self._ray = ray
        try:
            await self._connect()
            await self._look()
        except Exception as error:
            await self.stop()
            raise self._unusable(error) from error
        self._begin(self._keep_looking())

    def send(self, machine: str, data: bytes) -> None:
        """Send to a machine; see `Cluster.send`.

        Args:
            machine: Its name.
            data: The message.
        """
        if machine not in self._actors:
            return
        unsent = self._unsent.setdefault(machine, [])
        unsent.append(data)
        if len(unsent) == 1:  # what else is sent in this turn of the event loop goes with it
            asyncio.get_running_loop().call_soon(self._flush, machine)

    async def stop(self) -> None:
        """End every machine, and the cluster where it is Symphony's own; see `Cluster.stop`."""
        self._stopping = True
        with suppress(TimeoutError):  # what has not ended by then, Ray ends by force
            async with asyncio.timeout(END_TIMEOUT):
                ends = (actor.stop.remote() for actor in self._actors.values())
                await asyncio.gather(*ends, return_exceptions=True)  # one that is dead has ended, too
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._actors.clear()
        self._taken.clear()
        if self._connected:
            self._connected = False
            await asyncio.to_thread(self._ray.shutdown)  # ends the actors of this process, too
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    # -- the cluster -------------------------------------------------------------------------------

    async def _connect(self) -> None:
        ray, address = self._ray, self._settings.address
        if ray.is_initialized():  # by whoever uses Symphony as a library
            return
        if not address:
            await asyncio.to_thread(self._start_own)
        else:
            host, _, port = address.rpartition(":")
            if port.isdigit() and "/" not in host:  # Ray tries for a minute, and cannot be told to end
                await _reach(host, int(port), self._settings.start_timeout)
            await asyncio.to_thread(ray.init, address=address, **QUIET)
        self._connected = True

    def _start_own(self) -> None:
        try:
            self._start_ray()
        except Exception as error:  # noqa: BLE001 - Ray's own type says nothing
            # It gives its processes 30 s, which they may need for compiling their modules the first time.
            _log.info("Ray did not start (%s); trying once more", error)
            self._ray.shutdown()
            self._start_ray()

    def _start_ray(self) -> None:
        if self._directory is not None:
            self._directory.cleanup()
        # Its sockets are in there, and their paths may have 107 bytes.
        self._directory = tempfile.TemporaryDirectory(
            prefix="symphony-ray-", dir="/tmp", ignore_cleanup_errors=True
        )
        self._ray.init(
            address="local",
            num_cpus=self._settings.cores or None,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            _temp_dir=self._directory.name,
            **QUIET,
        )

    def _unusable(self, error: Exception) -> RunError:
        address = self._settings.address
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this computer"
        return RunError(
            f"{where} cannot be {'reached' if address else 'started'}: {type(error).__name__}: {error}",
            code="SYM-R121",
            hint=(
                "See with `ray status` that it runs and that this computer belongs to it."
                if address
                else "The logs of Ray may say more; `--executor local` needs no cluster."
            ),
        )

    # -- its machines ------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._freed.wait()
            self._freed.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - Ray's own; its machines say so when they are gone
                _log.warning("the nodes of the Ray cluster cannot be listed: %s", error)

    async def _look(self) -> None:
        """Take every node of the cluster that is there and is not taken."""
        for node in await asyncio.to_thread(self._ray.nodes):
            if node["Alive"] and node["Resources"].get("CPU") and node["NodeID"] not in self._taken:
                self._taken.add(node["NodeID"])
                self._begin(self._work_on(node))

    async def _work_on(self, node: dict[str, Any]) -> None:
        """Keep a machine on a node until it is lost."""
        id, where = node["NodeID"], f"{node['NodeManagerHostname']}/{node['NodeID'][:6]}"
        self._met[where] += 1
        machine = where if self._met[where] == 1 else f"{where}#{self._met[where]}"
        try:
            actor = self._actor(machine, id, node["Resources"])
            await actor.pid.remote()
        except Exception as error:  # noqa: BLE001 - whatever it is, this node cannot be used now
            if self._met[where] == 1:
                _log.warning("no machine could be made on the Ray node %s: %s", where, error)
            await asyncio.sleep(LOOK_INTERVAL)
            self._taken.discard(id)
            return
        self._actors[machine] = actor
        assert self._listener is not None  # noqa: S101 - it was started
        self._listener.joined(machine)
        reason = await self._listen(machine, actor, self._listener)
        del self._actors[machine]
        self._unsent.pop(machine, None)
        self._taken.discard(id)
        if not self._stopping:
            self._listener.lost(machine, reason)
            self._freed.set()

    def _actor(self, machine: str, node: str, resources: dict[str, float]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from symphony_engine_ray.on_machine import MachineActor

        cores = min(self._settings.cores or resources["CPU"], resources["CPU"])
        gpus = resources.get("GPU", 0.0)
        custom = {
            name: amount
            for name, amount in resources.items()
            if ":" not in name and name not in ("CPU", "GPU", "memory", "object_store_memory")
        }
        capacity = Capacity(cores, int(resources.get("memory", 0)), gpus, custom)
        actor_class: Any = MachineActor  # Ray's decorator has made something else of it
        options = actor_class.options(
            num_cpus=cores,
            num_gpus=gpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
        )
        return options.remote(machine, self._setup, capacity)

    async def _listen(self, machine: str, actor: Any, listener: ClusterListener) -> str:
        """Take what a machine says until it is gone; why it is."""
        said = actor.said.remote()
        try:
            while True:
                messages = await said
                said = actor.said.remote()  # it gathers while these are taken
                for data in messages:
                    listener.heard(machine, data)
        except self._ray.exceptions.RayError as error:
            return str(error).strip().partition("\n")[0] or type(error).__name__

    def _flush(self, machine: str) -> None:
        messages = self._unsent.pop(machine, None)
        actor = self._actors.get(machine)
        if messages and actor is not None:
            actor.receive.remote(messages)

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _reach(host: str, port: int, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
