"""A fake of every port: in memory, without processes, and as strict as the port's contract."""

from symphony_sdk.testing.fakes.artifact_tiers import FakeArtifactTier
from symphony_sdk.testing.fakes.artifacts import FakeArtifactStore
from symphony_sdk.testing.fakes.bus import FakeBus
from symphony_sdk.testing.fakes.conductor import FakeConductor
from symphony_sdk.testing.fakes.data import FakeDataAccess, FakeStore
from symphony_sdk.testing.fakes.editing import FakeEditor
from symphony_sdk.testing.fakes.executor import FakeExecutor
from symphony_sdk.testing.fakes.extension import FakeExtensions
from symphony_sdk.testing.fakes.pit import (
    FakeArbitrationEngine,
    FakeDagTracker,
    FakePit,
    FakePoolManager,
    FakeStaleManager,
)
from symphony_sdk.testing.fakes.prevalidation import FakePreValidation
from symphony_sdk.testing.fakes.transport import FakeTransport

__all__ = [
    "FakeArbitrationEngine",
    "FakeArtifactStore",
    "FakeArtifactTier",
    "FakeBus",
    "FakeConductor",
    "FakeDagTracker",
    "FakeDataAccess",
    "FakeEditor",
    "FakeExecutor",
    "FakeExtensions",
    "FakePit",
    "FakePoolManager",
    "FakePreValidation",
    "FakeStaleManager",
    "FakeStore",
    "FakeTransport",
]
