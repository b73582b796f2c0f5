"""What nodes of the bus tell and ask each other."""

from typing import Annotated, Final

import msgspec
from symphony_sdk.messages import message
from symphony_sdk.ports.bus import EndpointInfo

NODE: Final = "_bus"
"""The endpoint that every node is for its neighbours; what they ask it is below."""

DELIVER: Final = "_deliver"
"""The endpoint of a node for what is to be delivered at least once; the topic is in `meta`."""

TOPIC: Final = "topic"
"""The name of the topic in the metadata of such a request."""

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
