import sys
import textwrap

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair: no verdict depends on it.
settings.register_profile("symphony", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("symphony")


@pytest.fixture
def make_module(tmp_path, monkeypatch):
    """Write a module that can be imported during the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(name, source):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)
