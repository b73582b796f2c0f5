"""Which artifacts nodes are given, so that it is known of their own artifacts what these were made from."""

from collections.abc import Mapping

from pit_dag_tracker.entries import Stored
from pit_dag_tracker.spill import artifact_ids, spilled
from pit_dag_tracker.wiring import Wiring


class Provenance:
    """The artifacts that outputs of one run are in; nodes are named by their numbers.

    Args:
        wiring: Says where each node's inputs come from.
        spilled: Ids of the artifacts that outputs of completed nodes are in, by node and port.
    """

    def __init__(self, wiring: Wiring, spilled: Mapping[int, dict[str, str]]) -> None:
        self._wiring = wiring
        self._spilled = {number: ids for number, ids in spilled.items() if ids}

    def completed(self, number: int, stored: Mapping[str, Stored]) -> None:
        """A node has completed.

        Args:
            number: The node.
            stored: Its outputs as the log holds them.
        """
        if ids := spilled(stored):
            self._spilled[number] = ids
        else:
            self._spilled.pop(number, None)  # it ran again

    def sources(self, number: int, given: Mapping[str, bytes]) -> tuple[str, ...]:
        """Ids of the artifacts that a node's inputs refer to, or came from, each once.

        Args:
            number: The node.
            given: What it, or one of its items, is given.
        """
        return tuple(dict.fromkeys((*artifact_ids(given), *self.large(number))))

    def large(self, number: int) -> tuple[str, ...]:
        """Ids of the artifacts that large inputs of a node came from, each once.

        Args:
            number: The node.
        """
        if not self._spilled:
            return ()
        origins = self._wiring.origins(number)
        found = (self._spilled.get(parent, {}).get(port) for parent, port in origins)
        return tuple(dict.fromkeys(id for id in found if id))
