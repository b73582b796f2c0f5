"""The subjects of NATS that carry the bus, and what of a topic can be part of one.

| subject | what it carries |
|---|---|
| `symphony.t.p.TOPIC` | a message published at most once |
| `symphony.t.k.TOPIC` | a message delivered at least once; the stream `symphony` keeps these |
| `symphony.t.l.TOPIC` | how many messages of a topic the sender had to drop |
| `symphony.r.NAME` | requests to an endpoint; each goes to one node of its group |
| `symphony.n.NODE.a.NUMBER` | answers to a request of a node |
| `symphony.n.NODE.c.ASKER.NUMBER` | what the asker says about a request that a node works on |
| `symphony.n.NODE.f.NUMBER` | answers to a question for all nodes |
| `symphony.d.NODE.NUMBER` | kept messages for a durable subscription of a node |
| `symphony.nodes` | questions for all nodes |

Patterns of topics are patterns of subjects: `*` and `>` mean the same in both.
"""

import re
from typing import Final

from symphony_sdk.errors import BusError, MalformedMessage

NODES: Final = "symphony.nodes"
STREAM: Final = "symphony.t.k.>"
"""What the stream keeps."""

KEPT: Final = "k"
"""The word for messages that are kept, in a subject of messages."""

DROPPED: Final = "l"
"""The word for how many messages were dropped."""

_LONGEST: Final = 1024  # bytes; a server ends the connection of a client whose subjects are over 4 KiB
_FORBIDDEN: Final = re.compile(r"[\s\x00-\x20\x7f]")
_DURABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_ANSWERS: Final = re.compile(r"symphony\.n\.([0-9a-f]{16})\.a\.([0-9]{1,18})\Z")
_CONTROL: Final = re.compile(r"symphony\.n\.[0-9a-f]{16}\.c\.([0-9a-f]{16})\.[0-9]{1,18}\Z")
_FINDINGS: Final = re.compile(r"symphony\.n\.([0-9a-f]{16})\.f\.[0-9]{1,18}\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,18}\Z")


def published(topic: str) -> str:
    """The subject of messages that are published to a topic."""
    return f"symphony.t.p.{checked(topic)}"


def kept(pattern: str) -> str:
    """The subject of messages that are delivered at least once."""
    return f"symphony.t.k.{checked(pattern)}"


def dropped(topic: str) -> str:
    """The subject where the sender says how many messages of a topic it dropped."""
    return f"symphony.t.l.{checked(topic)}"


def all_of(pattern: str) -> str:
    """The subject that all three of the above arrive at."""
    return f"symphony.t.*.{checked(pattern)}"


def requests(name: str) -> str:
    """The subject of requests to an endpoint."""
    return f"symphony.r.{checked(name)}"


def answers(node: str, number: int) -> str:
    """Where the answers to a request of a node arrive."""
    return f"symphony.n.{node}.a.{number}"


def control(node: str, asker: str, number: int) -> str:
    """Where a node that works on a request hears about it from the asker."""
    return f"symphony.n.{node}.c.{asker}.{number}"


def findings(node: str, number: int) -> str:
    """Where the answers to a question of a node for all nodes arrive."""
    return f"symphony.n.{node}.f.{number}"


def taken_from_stream(node: str, number: int) -> str:
    """Where the kept messages for a durable subscription of a node arrive."""
    return f"symphony.d.{node}.{number}"


def of_node(node: str) -> str:
    """All that is for one node alone."""
    return f"symphony.n.{node}.>"


def name_in(subject: str) -> str:
    """The endpoint in a subject of requests."""
    return subject.split(".", 2)[2]


def kind_and_topic(subject: str) -> tuple[str, str]:
    """The third word of a subject of messages, and the topic."""
    _, _, kind, topic = subject.split(".", 3)
    return kind, topic


def number_in(subject: str) -> int:
    """The number at the end of a subject of this node.

    Raises:
        MalformedMessage: There is none.
    """
    found = _NUMBER.match(subject.rpartition(".")[2])
    if found is None:
        raise MalformedMessage(f"{subject[:80]!r} has no number at its end")
    return int(found[0])


def asker_of(reply: str) -> tuple[str, int] | None:
    """The node and the number in a subject of `answers`; None where it is no such subject."""
    found = _ANSWERS.match(reply)
    return (found[1], int(found[2])) if found else None


def is_control_for(node: str, reply: str) -> bool:
    """Whether a reply is where a request of a node is spoken about: nothing is ever sent to where anybody says."""
    found = _CONTROL.match(reply)
    return found is not None and found[1] == node


def finder_of(reply: str) -> str:
    """The node in a subject of `findings`; empty where it is no such subject."""
    found = _FINDINGS.match(reply)
    return found[1] if found else ""


def checked(text: str) -> str:
    """A topic, pattern, group or name that can be part of a subject.

    Raises:
        BusError: It has letters that NATS does not allow, or is too long (`SYM-T059`).
    """
    if _FORBIDDEN.search(text) or len(text.encode(errors="replace")) > _LONGEST:
        raise BusError(
            f"{text[:80]!r} cannot go over NATS: it has spaces or control characters, or over {_LONGEST:,} bytes",
            code="SYM-T059",
            hint="Topics, groups and names that other machines see have visible characters alone.",
        )
    return text


def checked_durable(name: str) -> str:
    """The name of a durable subscription, which NATS restricts further.

    Raises:
        BusError: It has other characters (`SYM-T059`).
    """
    if not _DURABLE.match(name):
        raise BusError(
            f"{name[:80]!r} cannot be the name of a durable subscription on NATS",
            code="SYM-T059",
            hint="Use at most 128 letters, digits, `-` and `_`.",
        )
    return name
