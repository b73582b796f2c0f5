"""What runs inside an extension's process: it imports the extension and answers the host's requests."""

from symphony_sdk.worker.calls import OperationCalls, RunningCall
from symphony_sdk.worker.channel import Channel, IncomingCall
from symphony_sdk.worker.descriptors import Descriptors
from symphony_sdk.worker.host_access import EVERYTHING, HostFiles, HostNetwork
from symphony_sdk.worker.host_artifacts import PART, HostArtifacts
from symphony_sdk.worker.host_models import HostModels
from symphony_sdk.worker.runner import Runner
from symphony_sdk.worker.runtime import WorkerRuntime

__all__ = [
    "EVERYTHING",
    "PART",
    "Channel",
    "Descriptors",
    "HostArtifacts",
    "HostFiles",
    "HostModels",
    "HostNetwork",
    "IncomingCall",
    "OperationCalls",
    "Runner",
    "RunningCall",
    "WorkerRuntime",
]
