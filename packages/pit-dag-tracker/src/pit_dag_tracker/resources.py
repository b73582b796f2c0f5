"""What a node needs of its executor, in the executor's terms."""

from symphony_sdk.ports.executor import Resources
from symphony_workflow.model import NO_RESOURCES, Node

NOTHING_SPECIAL = Resources()


def needs(node: Node) -> Resources:
    """What each call of a node needs while it runs.

    Args:
        node: Any node.
    """
    wanted = getattr(node, "resources", NO_RESOURCES)
    if wanted is NO_RESOURCES:
        return NOTHING_SPECIAL
    return Resources(wanted.cpu, wanted.memory, wanted.gpu, wanted.custom)


def described(resources: Resources) -> str:
    """The needs in words, such as `cpu 2, memory 1,024`.

    Args:
        resources: What is needed.
    """
    amounts = {"cpu": resources.cpu, "memory": resources.memory, "gpu": resources.gpu} | resources.custom
    return ", ".join(f"{what} {amount:,}" for what, amount in amounts.items() if amount)
