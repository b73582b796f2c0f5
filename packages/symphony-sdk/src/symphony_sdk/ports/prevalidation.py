"""PreValidationPort: the technical check that saves a request which could only be refused.

It checks shapes, lengths and patterns, in under a millisecond and without asking anyone. It never decides
who may do what: that is decided where the data is kept.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from symphony_sdk.ports.data import Account, ExtensionEntry, Project, WorkflowEntry


class TechnicalFault(msgspec.Struct, frozen=True):
    """One thing that makes an entry technically impossible.

    Args:
        field: Dotted path of the field.
        message: What was found and what was expected.
        hint: What to do about it.
    """

    field: str
    message: str
    hint: str = ""


class PreValidationPort(Protocol):
    """Finds every technical fault of an entry; an empty answer means that it may be sent."""

    def account(self, entry: Account) -> Sequence[TechnicalFault]:
        """Faults of a user.

        Args:
            entry: The user.
        """

    def project(self, entry: Project) -> Sequence[TechnicalFault]:
        """Faults of a project.

        Args:
            entry: The project.
        """

    def workflow(self, entry: WorkflowEntry) -> Sequence[TechnicalFault]:
        """Faults of a workflow.

        Args:
            entry: The workflow.
        """

    def extension(self, entry: ExtensionEntry) -> Sequence[TechnicalFault]:
        """Faults of an extension's entry.

        Args:
            entry: The entry.
        """
