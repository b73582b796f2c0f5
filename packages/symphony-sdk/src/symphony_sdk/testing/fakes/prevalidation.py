"""A technical check that finds what it was told to find."""

from collections.abc import Mapping, Sequence

import msgspec

from symphony_sdk.ports import Account, ExtensionEntry, Project, TechnicalFault, WorkflowEntry


class FakePreValidation:
    """Fake of PreValidationPort.

    Args:
        faults: Faults by the id of the entry that has them; any other entry has none.
    """

    def __init__(self, faults: Mapping[str, Sequence[TechnicalFault]] | None = None) -> None:
        self._faults = dict(faults or {})

    def account(self, entry: Account) -> Sequence[TechnicalFault]:
        """The faults that it was made with."""
        return self._of(entry)

    def project(self, entry: Project) -> Sequence[TechnicalFault]:
        """The faults that it was made with."""
        return self._of(entry)

    def workflow(self, entry: WorkflowEntry) -> Sequence[TechnicalFault]:
        """The faults that it was made with."""
        return self._of(entry)

    def extension(self, entry: ExtensionEntry) -> Sequence[TechnicalFault]:
        """The faults that it was made with."""
        return self._of(entry)

    def _of(self, entry: msgspec.Struct) -> Sequence[TechnicalFault]:
        return self._faults.get(msgspec.structs.asdict(entry)["id"], ())
