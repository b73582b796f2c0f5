"""What Symphony's own isolation contributes through the hooks: the executor `local`."""

from collections.abc import Iterator

from symphony_sdk import Executor, Services, provides_executors
from symphony_sdk.ports import ExecutorPort


def _amount(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    return name, float(amount)


def create_executor(services: Services) -> ExecutorPort:
    """Make the executor `local`.

    Args:
        services: What the host gives.
    """
    from symphony_isolation.executor import LocalExecutor

    custom = dict(_amount(text) for text in services.config.get("resources", ()))
    return LocalExecutor(services.extensions, custom=custom)


@provides_executors
def symphony_executors() -> Iterator[Executor]:
    """Provide the executor `local`."""
    yield Executor("local", create_executor)
