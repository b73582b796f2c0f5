"""The tracker keeps the contract of every DAG Tracker."""

import msgspec
import pytest
from symphony_sdk.testing.contracts.dag_tracker import DagTrackerContract


class TestTracker(DagTrackerContract):
    @pytest.fixture
    def dag_tracker(self, desk):
        return desk.open

    @pytest.fixture
    def completing(self, desk):
        return desk.request(desk.flow({"a": "echo", "b": "echo"}, ["a -> b"], outputs={"out": "b.result"}))

    @pytest.fixture
    def failing(self, desk):
        request = desk.request(desk.flow({"a": "echo", "b": "boom"}, ["a -> b"]))
        return msgspec.structs.replace(request, actor="ada")
