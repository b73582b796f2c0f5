"""Every transport keeps the contract of transports."""

import pytest
from symphony_sdk.testing.contracts.transport import TransportContract


class TestUnix(TransportContract):
    factory = "symphony_transports:UnixTransport"

    @pytest.fixture
    def address(self, folder):
        return f"unix:{folder}/run/s"


class TestStdio(TransportContract):
    factory = "symphony_transports:StdioTransport"
    starts_listener = True


class TestSharedMemory(TransportContract):
    factory = "symphony_transports:SharedMemoryTransport"

    @pytest.fixture
    def address(self, folder):
        return f"shm:{folder}/run/s"
