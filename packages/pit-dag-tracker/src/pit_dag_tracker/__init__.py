"""Runs workflow graphs in parallel on a durable event log."""

from pit_dag_tracker.tracker import Tracker

__all__ = ["Tracker"]
