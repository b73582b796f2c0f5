"""Contracts as inherited test classes: subclass one, say what is tested, and every rule of it is a test.

An author's `TestMine(ExtensionContract)` inherits the tests; it may add some, and may replace none.
"""

from symphony_sdk.testing.contracts.contract import Contract
from symphony_sdk.testing.contracts.extension import ExtensionContract

__all__ = ["Contract", "ExtensionContract"]
