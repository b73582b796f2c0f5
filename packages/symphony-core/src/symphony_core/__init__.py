"""The domain of Symphony: runs workflows through ports and nothing else."""

from symphony_core.core import Outcome, SymphonyCore
from symphony_core.inputs import bind_inputs
from symphony_core.scoring import InstalledScorer, Scored, Scoring

__all__ = ["InstalledScorer", "Outcome", "Scored", "Scoring", "SymphonyCore", "bind_inputs"]
