"""The domain of Symphony: runs workflows through ports and nothing else."""

from symphony_core.core import Outcome, SymphonyCore
from symphony_core.inputs import bind_inputs

__all__ = ["Outcome", "SymphonyCore", "bind_inputs"]
