"""What a worker asks its host about the models of other extensions, and how it has one run."""

from typing import Annotated, Final

import msgspec

from symphony_sdk.contributions import ModelInfo
from symphony_sdk.messages import DATA_LIMIT, Values, message

NAME_LIMIT: Final = 1024
"""Characters of a model's name, or of a pattern of such names."""

LEVELS: Final = 4
"""Calls that may wait for each other: a node's own, the model that it runs, the model that this one runs, and so on."""

RUNS_AT_ONCE: Final = 8
"""Models that the calls of one level in one worker may wait for at the same time."""

Name = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]


@message("model.describe")
class DescribeModel(msgspec.Struct, frozen=True):
    """Worker to host: say what a model takes and gives.

    Args:
        name: The model.
    """

    name: Name


@message("model.description")
class ModelDescription(msgspec.Struct, frozen=True):
    """Host to worker: what a model takes and gives.

    Args:
        model: What is known of it.
    """

    model: ModelInfo


@message("model.list")
class ListModels(msgspec.Struct, frozen=True):
    """Worker to host: say which models there are.

    Args:
        pattern: Only those whose names it stands for, in the grammar of permissions.
    """

    pattern: Name = "**"


@message("model.names")
class ModelNames(msgspec.Struct, frozen=True):
    """Host to worker: the models that there are.

    Args:
        names: Those that the extension may look at, in order.
    """

    names: tuple[str, ...] = ()


@message("model.run", limit=DATA_LIMIT)
class RunModel(msgspec.Struct, frozen=True):
    """Worker to host, during a call: run a model.

    Args:
        name: The model.
        inputs: Encoded values by port name.
        call: Number of the call that waits for it.
    """

    name: Name
    inputs: Values = {}
    call: int = 0


@message("model.ran", limit=DATA_LIMIT)
class ModelRan(msgspec.Struct, frozen=True):
    """Host to worker: a model has run.

    Args:
        outputs: Encoded values by port name.
    """

    outputs: Values = {}
