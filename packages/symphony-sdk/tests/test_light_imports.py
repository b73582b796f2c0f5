import os
import subprocess
import sys

import pytest

HEAVY = {"pydantic", "httpx", "networkx", "asyncio", "logging", "importlib.metadata", "tomllib"}


@pytest.mark.parametrize(
    "statement",
    [
        "import symphony_sdk",
        "from symphony_sdk import *",
        "import symphony_sdk.worker, symphony_sdk.loading, symphony_sdk.permissions",
        "import symphony_sdk.manifest_record",
    ],
)
def test_what_a_worker_imports_is_light(statement):
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    # coverage's own start in child processes imports tomllib and more
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    run = subprocess.run(
        [sys.executable, "-I", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(run.stdout.split())


def test_every_exported_name_is_there_and_no_other():
    import symphony_sdk

    for name in symphony_sdk.__all__:
        assert getattr(symphony_sdk, name) is not None
        assert name in dir(symphony_sdk)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        symphony_sdk.nothing  # noqa: B018
