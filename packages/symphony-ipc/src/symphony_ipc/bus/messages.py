"""What nodes of the bus tell and ask each other, and what the bus publishes about itself."""

from typing import Annotated, Final

import msgspec
from symphony_sdk.messages import message
from symphony_sdk.ports.bus import EndpointInfo, Health

NODE: Final = "_bus"
"""The endpoint that every node is for its neighbours; what they ask it is below."""

LOST: Final = "_lost"
"""The topic under which a node tells its neighbour what it threw away."""

HEALTH: Final = "_bus.health"
"""The topic of changes of health."""

DEAD: Final = "_dead."
"""What the topic of a dead letter begins with; the topic of the message follows."""

_Text = Annotated[str, msgspec.Meta(max_length=255)]


@message("bus.subscribe")
class Subscribe(msgspec.Struct, frozen=True):
    """To the node above: pass on what is published to a pattern.

    Args:
        pattern: Which topics.
        group: The queue group; empty for all messages.
        durable: Name under which what was taken is remembered; empty where nothing is.
    """

    pattern: _Text
    group: _Text = ""
    durable: _Text = ""


@message("bus.unsubscribe")
class Unsubscribe(msgspec.Struct, frozen=True):
    """To the node above: pass no more of it on.

    Args:
        pattern: Which topics.
        group: The queue group.
        durable: Name under which what was taken is remembered.
    """

    pattern: _Text
    group: _Text = ""
    durable: _Text = ""


@message("bus.register")
class Register(msgspec.Struct, frozen=True):
    """To the node above: requests to this name come here.

    Args:
        name: Name of the endpoint.
        group: Shared by all endpoints of the name; empty where it is alone.
    """

    name: _Text
    group: _Text = ""


@message("bus.unregister")
class Unregister(msgspec.Struct, frozen=True):
    """To the node above: requests to this name come here no more.

    Args:
        name: Name of the endpoint.
        group: The group that it was registered with.
    """

    name: _Text
    group: _Text = ""


@message("bus.endpoints")
class FindEndpoints(msgspec.Struct, frozen=True):
    """To the node above: who can be asked?

    Args:
        pattern: Which names.
    """

    pattern: _Text = ">"


@message("bus.found")
class EndpointsFound(msgspec.Struct, frozen=True):
    """The answer: who can be asked.

    Args:
        endpoints: In the order of their names.
    """

    endpoints: tuple[EndpointInfo, ...] = ()


@message("bus.deliver")
class Deliver(msgspec.Struct, frozen=True):
    """To the node above: publish at least once; answered when it is kept.

    Args:
        topic: Where to.
        type: Wire name of the message.
        payload: The encoded message.
        traceparent: W3C trace context of the publisher.
    """

    topic: _Text
    type: str
    payload: bytes
    traceparent: str = ""


@message("bus.lost")
class Lost(msgspec.Struct, frozen=True):
    """To a neighbour: messages that it did not take in time were thrown away.

    Args:
        pattern: Which subscription missed them; a topic where the message was on its way up.
        group: The queue group of the subscription.
        count: How many.
    """

    pattern: _Text
    group: _Text = ""
    count: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


@message("bus.dead-letter")
class DeadLetter(msgspec.Struct, frozen=True):
    """A message that reached nobody, or did no good there. Published to `_dead.` and its topic.

    Args:
        topic: Where it was published to.
        type: Wire name of the message.
        payload: The encoded message; empty where it is longer than 256 KiB.
        reason: `nobody` subscribed, a listener `failed`, or it is `malformed`.
        error: What a listener raised, or what is wrong with it; empty where nobody subscribed.
        process: Name of the process that says so.
        traceparent: W3C trace context of the publisher.
    """

    topic: str
    type: str
    payload: bytes
    reason: str
    error: str = ""
    process: str = ""
    traceparent: str = ""


@message("bus.health")
class HealthChanged(msgspec.Struct, frozen=True):
    """A process became suspect, alive again, or ended. Published to `_bus.health`.

    Args:
        process: Name of the process.
        health: What it is now.
        reason: Why.
    """

    process: str
    health: Health
    reason: str = ""
