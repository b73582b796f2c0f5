"""Makes names that a workflow may have out of names that other programs allow; each stays one of a kind."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Hashable

from symphony_workflow.model import NODE_ID, PORT_NAME

_LONGEST = 100
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def node_name(text: str) -> str:
    """`text` as the id of a node.

    Args:
        text: Any text.
    """
    if NODE_ID.fullmatch(text):
        return text
    return _started(re.sub(r"[^A-Za-z0-9_-]+", "-", _ascii(text)).strip("-"), text, "n-")


def port_name(text: str) -> str:
    """`text` as the name of a port.

    Args:
        text: Any text.
    """
    if PORT_NAME.fullmatch(text):
        return text
    return _started(re.sub(r"[^A-Za-z0-9_]+", "_", _ascii(text)).strip("_"), text, "p_")


def workflow_name(text: str) -> str:
    """`text` as the id of a workflow.

    Args:
        text: Any text.
    """
    return _started(re.sub(r"[^A-Za-z0-9_-]+", "-", _ascii(text)).strip("-").lower(), text, "w-")


def word(text: str) -> str:
    """`text` as one part of the id of an operation: `CLIPTextEncode` gives `clip-text-encode`.

    Args:
        text: Any text.
    """
    parts = re.sub(r"[^a-z0-9]+", "-", _HUMP.sub("-", _ascii(text)).lower()).strip("-")
    return _started(parts, text, "n-")


class Names:
    """Names for things by their keys: the same key gets the same name, and no two keys get one.

    Args:
        spell: What makes a name of a text.
        taken: Names that are not to be given.
    """

    def __init__(self, spell: Callable[[str], str], *taken: str) -> None:
        self._spell = spell
        self._taken = set(taken)
        self.by_key: dict[Hashable, str] = {}

    def of(self, key: Hashable, text: str = "") -> str:
        """The name of `key`.

        Args:
            key: What is to be named.
            text: What its name is made of; the key itself where empty.
        """
        if key not in self.by_key:
            first = name = self._spell(text or str(key))
            number = 1
            while name in self._taken:
                number += 1
                name = f"{first}{'_' if self._spell is port_name else '-'}{number}"
            self._taken.add(name)
            self.by_key[key] = name
        return self.by_key[key]


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode()


def _started(name: str, text: str, start: str) -> str:
    """A name that begins with a letter and is not too long; two long or foreign texts do not meet in one."""
    if not name or len(name) > _LONGEST:
        mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: _LONGEST - 9]}{start[-1]}{mark}" if name else mark
    return name if name[0].isalpha() else f"{start}{name}"
