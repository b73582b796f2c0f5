"""A node of the bus: each process has one. It joins what its process asks for with the nodes below and above."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from symphony_sdk.errors import BusError, MalformedMessage, SymphonyError, TransportError
from symphony_sdk.messages import Done, message_type
from symphony_sdk.ports.bus import Delivery, EndpointInfo, Health
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.bus.calls import answer_to, in_time
from symphony_ipc.bus.endpoints import Directory, LocalEndpoint, no_endpoint
from symphony_ipc.bus.exchange import Exchange
from symphony_ipc.bus.health import Heartbeat
from symphony_ipc.bus.hub import HubUplink
from symphony_ipc.bus.interest import Interest
from symphony_ipc.bus.messages import (
    HEALTH,
    LOST,
    NODE,
    Deliver,
    EndpointsFound,
    FindEndpoints,
    HealthChanged,
    Lost,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from symphony_ipc.bus.metrics import BusMetrics, Counts, NeighbourMetrics
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.subscription import Listener, Local, QueuedSubscription
from symphony_ipc.bus.topics import OWN, check_pattern, check_topic
from symphony_ipc.bus.uplink import Uplink
from symphony_ipc.bus.upward import Claim, Upward
