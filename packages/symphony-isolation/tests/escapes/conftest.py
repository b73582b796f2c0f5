import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from symphony_isolation.sandbox import probe

# The attempts are imported by hostile processes too: they are a package of their own beside the tests.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["full", "fallback"])
def tier(request: pytest.FixtureRequest) -> str:
    missing = probe().missing(request.param)
    if missing:
        pytest.skip("; ".join(f"{layer.name}: {layer.reason}" for layer in missing))
    return str(request.param)


@pytest.fixture
def world() -> Iterator[Callable[..., Any]]:
    """Makes worlds that could be harmed; each is taken away after."""
    from attempts import ATTEMPTS, honest
    from attempts.world import World

    with ExitStack() as stack:
        yield lambda user=0: stack.enter_context(closing(World([*ATTEMPTS, *honest.WORK], user)))


@pytest.fixture
def nobody() -> int:
    """The number of an ordinary user that hostile processes can be started as."""
    if os.geteuid() != 0:
        pytest.skip("this user is an ordinary one")
    return 65534
