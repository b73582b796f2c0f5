"""Fixtures for every project that has `symphony-sdk` installed; pytest finds them by itself."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from symphony_sdk.testing import RecordingContext
    from symphony_sdk.testing.fakes import FakePit

# Imports happen inside the fixtures: this module is loaded by every pytest run of the environment, before
# coverage starts to measure.


@pytest.fixture
def symphony_context() -> "RecordingContext":
    """A context that records progress and log, keeps artifacts in memory and allows every file; it has no models."""
    from symphony_sdk.testing import recording_context

    return recording_context()


@pytest.fixture
def symphony_pit() -> "FakePit":
    """The five components of the Pit in memory."""
    from symphony_sdk.testing.fakes import FakePit

    return FakePit()
