"""Offers the DAG Tracker to the host through the same hook that anyone may use."""

from collections.abc import Iterable

from symphony_sdk import PitComponent, provides_pit_components

from pit_dag_tracker.tracker import Tracker


@provides_pit_components
def symphony_pit_components() -> Iterable[PitComponent]:
    """The component that runs workflow graphs."""
    yield PitComponent("dag_tracker", Tracker)
