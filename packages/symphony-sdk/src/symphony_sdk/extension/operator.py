"""Operators: functions that are nodes of workflows."""

import inspect
from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.extension.context import Context
from symphony_sdk.extension.naming import check_operation_id, title_of
from symphony_sdk.extension.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")


class Operator(Generic[P, R]):
    """A function that is a node type of workflows; calling it calls the function.

    Args:
        function: Takes the context first, then its inputs; a plain or a coroutine function.
        id: `publisher.extension.operation`.
        title: A few words for people; made from the function's name unless given.
        version: Version of its meaning, counted from 1; raise it when results change for equal inputs.
        idempotent: Whether running it twice with the same inputs is the same as once, so that it may be
            run again after a crash.
        short: Whether a call takes well under a millisecond and waits for nothing: such calls are handed out many at
            a time, and run on the event loop of the host where the extension runs there.
        pure: Whether the result depends on nothing but the inputs, the extension and its settings, so that an
            earlier one may stand in for a call. None: so it is if the extension asks for no permission but models.

    Raises:
        ExtensionError: The id or the signature cannot be that of a node.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Context, P], R],
        *,
        id: str,
        title: str = "",
        version: int = 1,
        idempotent: bool = True,
        short: bool = False,
        pure: bool | None = None,
    ) -> None:
        self.id = check_operation_id(id)
        self.function = function
        self.title = title or title_of(function.__name__)
        self.version = version
        self.idempotent = idempotent
        self.short = short
        self.pure = pure
        update_wrapper(self, function)

    def __call__(self, ctx: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, as a test or another operator would."""
        return self.function(ctx, *args, **kwargs)

    @cached_property
    def signature(self) -> Signature:
        """Its ports, read from the annotations once."""
        return Signature(self.function, owner=self.id, skip=1)

    @cached_property
    def spec(self) -> OperationSpec:
        """What the host knows of it."""
        return OperationSpec(
            id=self.id,
            kind="operator",
            inputs=self.signature.inputs,
            outputs=self.signature.outputs,
            title=self.title,
            description=(inspect.getdoc(self.function) or "").partition("\n\n")[0],
            version=self.version,
            idempotent=self.idempotent,
            short=self.short,
            pure=self.pure,
            chains=not inspect.iscoroutinefunction(self.function),
        )


def operator(
    id: str,
    *,
    title: str = "",
    version: int = 1,
    idempotent: bool = True,
    short: bool = False,
    pure: bool | None = None,
) -> Callable[[Callable[Concatenate[Context, P], R]], Operator[P, R]]:
    """Make a function a node type of workflows.

    Args:
        id: `publisher.extension.operation`, such as `acme.text.word-count`.
        title: A few words for people; made from the function's name unless given.
        version: Version of its meaning, counted from 1.
        idempotent: Whether it may be run again with the same inputs after a crash.
        short: Whether a call takes well under a millisecond and waits for nothing.
        pure: Whether the result depends on nothing but the inputs, the extension and its settings, so that an
            earlier one may stand in for a call. None: so it is if the extension asks for no permission but models.

    Raises:
        ExtensionError: The id is no operation id.
    """

    def wrap(function: Callable[Concatenate[Context, P], R]) -> Operator[P, R]:
        return Operator(
            function, id=id, title=title, version=version, idempotent=idempotent, short=short, pure=pure
        )

    return wrap
