"""What authors test with: contexts that record, fakes of every port, and contracts to inherit."""

from symphony_sdk.testing.context import RecordingContext, recording_context
from symphony_sdk.testing.contracts import Contract, ExtensionContract
from symphony_sdk.testing.models import FakeModels
from symphony_sdk.testing.sample_artifact import SampleArtifact
from symphony_sdk.testing.strategies import message_strategy

__all__ = [
    "Contract",
    "ExtensionContract",
    "FakeModels",
    "RecordingContext",
    "SampleArtifact",
    "message_strategy",
    "recording_context",
]
