"""What an extension is made of: operators, instruments, scorers, addons, and the context that they work in."""

from symphony_sdk.extension.addon import Addon
from symphony_sdk.extension.context import Artifacts, Context, Log
from symphony_sdk.extension.files import Files
from symphony_sdk.extension.instrument import Instrument
from symphony_sdk.extension.models import ModelOutputs, Models
from symphony_sdk.extension.network import Network, OwnNetwork
from symphony_sdk.extension.operator import Operator, operator
from symphony_sdk.extension.scorer import Scorer, scorer
from symphony_sdk.extension.signature import Signature

__all__ = [
    "Addon",
    "Artifacts",
    "Context",
    "Files",
    "Instrument",
    "Log",
    "ModelOutputs",
    "Models",
    "Network",
    "Operator",
    "OwnNetwork",
    "Scorer",
    "Signature",
    "operator",
    "scorer",
]
