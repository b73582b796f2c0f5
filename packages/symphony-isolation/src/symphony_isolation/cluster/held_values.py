"""Large values by their content: a value goes to a machine once, and is only named from then on.

The host alone decides what a machine holds: it counts what it sent there and what was made there, and tells the
machine what to forget. So both always agree, and the machine never has to ask. What a machine made has a name of its
own, so that forgetting an equal value of an earlier time never takes it away.
"""

import hashlib
from collections import OrderedDict
from typing import Final

LARGE: Final = 32 << 10
"""Bytes above which a value is sent once and then named."""

HELD_LIMIT: Final = 256 << 20
"""Bytes of values that one machine holds; what was used longest ago is forgotten first."""

REMEMBERED: Final = 32
"""Large values whose digests are remembered, as one is often the input of many calls."""


def digest_of(value: bytes) -> bytes:
    """Tells a value by its content.

    Args:
        value: An encoded value.
    """
    return hashlib.blake2b(value, digest_size=16).digest()


def name_of_made(digest: bytes, number: int) -> bytes:
    """Name of a value that a machine made; one that the host sent is named by its digest alone.

    Args:
        digest: Its digest.
        number: The call that made it.
    """
    return digest + number.to_bytes(8, "big")


class Digests:
    """Digests of values, each computed once for all calls that share the object."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()

    def of(self, value: bytes) -> bytes:
        """The digest of a value.

        Args:
            value: An encoded value.
        """
        known = self._known.get(id(value))
        if known is not None:  # the object is kept, so no other one has its id
            self._known.move_to_end(id(value))
            return known[1]
        digest = digest_of(value)
        self.remember(value, digest)
        return digest

    def remember(self, value: bytes, digest: bytes) -> None:
        """Take the digest of a value from who computed it already.

        Args:
            value: An encoded value.
            digest: Its digest.
        """
        self._known[id(value)] = value, digest
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class HeldValues:
    """What one machine holds, as the host counts it.

    Args:
        limit: Bytes that it may hold.
    """

    def __init__(self, limit: int = HELD_LIMIT) -> None:
        self._limit = limit
        self._held: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        self._bytes = 0
        self._superfluous: list[bytes] = []

    def use(self, digest: bytes) -> bytes | None:
        """The name of a value on the machine, which counts as just used; None where the machine does not hold it.

        Args:
            digest: The digest of the value.
        """
        held = self._held.get(digest)
        if held is None:
            return None
        self._held.move_to_end(digest)
        return held[0]

    def add(self, digest: bytes, name: bytes, size: int) -> None:
        """The machine holds a value from now on; one that it holds under another name already, it is to forget.

        Args:
            digest: The digest of the value.
            name: Its name on the machine.
            size: Its bytes.
        """
        if digest in self._held:
            self._superfluous.append(name)
            return
        self._held[digest] = name, size
        self._bytes += size

    def forgotten(self, in_use: set[bytes]) -> list[bytes]:
        """Names of the values that the machine is to forget now.

        Args:
            in_use: Names that it needs for the calls of the same message.
        """
        names, self._superfluous = self._superfluous, []
        if self._bytes > self._limit:
            idle = [digest for digest, (name, _) in self._held.items() if name not in in_use]
            for digest in idle:
                name, size = self._held.pop(digest)
                names.append(name)
                self._bytes -= size
                if self._bytes <= self._limit:
                    break
        return names
