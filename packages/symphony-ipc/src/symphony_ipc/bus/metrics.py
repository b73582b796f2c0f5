"""What a node of the bus counts."""

import msgspec
from symphony_sdk.ports.bus import Health


class NeighbourMetrics(msgspec.Struct, frozen=True):
    """What a node counts of a process below it.

    Args:
        process: Name of the process.
        health: Whether it answers.
        frames_in: Frames that it sent.
        bytes_in: Bytes in them.
        frames_out: Frames that it was sent.
        bytes_out: Bytes in them.
        waiting: Published messages that wait until it reads.
        lost: Published messages that were thrown away because it did not.
        in_flight: Requests that it works on.
        round_trip: Seconds that its latest PONG took; 0 where there was none yet.
    """

    process: str
    health: Health
    frames_in: int
    bytes_in: int
    frames_out: int
    bytes_out: int
    waiting: int
    lost: int
    in_flight: int
    round_trip: float


class BusMetrics(msgspec.Struct, frozen=True):
    """What a node has counted since it was made.

    Args:
        published: Messages that were published in this process.
        delivered: Messages that were given to subscribers of this process, one for each.
        forwarded: Published messages that were passed on to other processes, one for each.
        requests: Requests of this process, and of others that came by.
        failed: Requests of this process that ended with an error, those that named no endpoint, and messages
            that a listener raised for.
        dead_letters: Messages that reached nobody or did no good; counted whether somebody listens to them or not.
        lost: Messages that were thrown away here, because another process or a subscriber of this one did not take
            them in time.
        neighbours: The processes below.
    """

    published: int = 0
    delivered: int = 0
    forwarded: int = 0
    requests: int = 0
    failed: int = 0
    dead_letters: int = 0
    lost: int = 0
    neighbours: tuple[NeighbourMetrics, ...] = ()


class Counts(msgspec.Struct):
    """The counters of a node, while they grow; see [BusMetrics][symphony_ipc.bus.metrics.BusMetrics]."""

    published: int = 0
    delivered: int = 0
    forwarded: int = 0
    requests: int = 0
    failed: int = 0
    dead_letters: int = 0
    lost: int = 0
