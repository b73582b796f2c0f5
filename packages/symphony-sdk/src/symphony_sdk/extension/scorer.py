"""Scorers: functions that say how good an artifact is."""

import inspect
import typing
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from symphony_sdk.contributions import Artifact, OperationSpec, Rating
from symphony_sdk.errors import ExtensionError
from symphony_sdk.extension.context import Context
from symphony_sdk.extension.operator import Operator

P = ParamSpec("P")
R = TypeVar("R", bound=Rating | Awaitable[Rating])


class Scorer(Operator[P, R]):
    """An operator that rates an artifact; calling it calls the function.

    Args:
        function: Takes the context, then `artifact: Artifact`, then what else it wants to know, each with a default;
            a plain or a coroutine function.
        id: `publisher.extension.operation`.
        accepts: How the media types begin that it can rate, such as `text/`; every one unless given.
        title: A few words for people; made from the function's name unless given.

    Raises:
        ExtensionError: The id cannot be that of an operation, or `accepts` is no tuple of texts.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Context, P], R],
        *,
        id: str,
        accepts: tuple[str, ...] = (),
        title: str = "",
    ) -> None:
        super().__init__(function, id=id, title=title)
        if not isinstance(accepts, tuple) or not all(isinstance(one, str) for one in accepts):
            raise self._error(
                f"`accepts` of the scorer {id!r} is {accepts!r}", 'Write it as `accepts=("text/",)`.'
            )
        self.accepts = accepts

    @cached_property
    def spec(self) -> OperationSpec:
        """What the host knows of it."""
        hints = typing.get_type_hints(self.function) if self.signature.inputs else {}
        first = next(iter(self.signature.inputs), None)
        if first is None or first.name != "artifact" or hints["artifact"] is not Artifact:
            raise self._error(
                f"the scorer {self.id!r} takes no artifact",
                "Make `artifact: Artifact` the parameter after the context.",
            )
        if hints["return"] is not Rating:
            raise self._error(f"the scorer {self.id!r} returns no rating", "Write `-> Rating`.")
        if lacking := [port.name for port in self.signature.inputs[1:] if port.required]:
            raise self._error(
                f"the inputs {', '.join(lacking)} of the scorer {self.id!r} have no default",
                "Give each a default: whoever has many artifacts scored knows nothing of them.",
            )
        return msgspec.structs.replace(super().spec, scores=self.accepts)

    def _error(self, message: str, hint: str) -> ExtensionError:
        code = inspect.unwrap(self.function).__code__
        return ExtensionError(
            message, code="SYM-E010", hint=hint, file=code.co_filename, line=code.co_firstlineno
        )


def scorer(
    id: str, *, accepts: tuple[str, ...] = (), title: str = ""
) -> Callable[[Callable[Concatenate[Context, P], R]], Scorer[P, R]]:
    """Make a function a scorer of artifacts.

    Args:
        id: `publisher.extension.operation`, such as `acme.text.readability`.
        accepts: How the media types begin that it can rate, such as `text/`; every one unless given.
        title: A few words for people; made from the function's name unless given.

    Raises:
        ExtensionError: The id is no operation id, or `accepts` is no tuple of texts.
    """

    def wrap(function: Callable[Concatenate[Context, P], R]) -> Scorer[P, R]:
        return Scorer(function, id=id, accepts=accepts, title=title)

    return wrap
