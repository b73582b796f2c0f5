"""Keeps all tests, and every process that they start, away from the keys and settings of whoever runs them."""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give the run an empty configuration directory, a keyring that keeps nothing, and no passphrase."""
    folder = tempfile.TemporaryDirectory(prefix="symphony-configuration-")
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_CONFIG_HOME"] = folder.name
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    for which in ("ARTIFACT", "ARTIFACT_NEW", "BUNDLE"):
        os.environ.pop(f"SYMPHONY_{which}_PASSPHRASE", None)
