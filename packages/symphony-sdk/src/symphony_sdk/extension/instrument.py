"""Instruments: AI models that are nodes of workflows."""

import inspect
from functools import cached_property
from typing import Any, ClassVar

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import ExtensionError
from symphony_sdk.extension.context import Context
from symphony_sdk.extension.naming import check_operation_id, title_of
from symphony_sdk.extension.signature import Signature


class Instrument:
    """An AI model. Subclass it, set `id`, and write `load`, `infer` and, where needed, `unload`.

    `infer` is annotated with the ports of the node: it takes the context, then its inputs. It may be a
    plain or a coroutine method. `load` runs before the first `infer`, once; `unload` runs before the worker
    stops or when the model's memory is needed elsewhere, and `load` may come again after it.

    Attributes:
        id: `publisher.extension.operation`.
        title: A few words for people; made from the class's name unless given.
        version: Version of its meaning, counted from 1; raise it when results change for equal inputs.
        idempotent: Whether the same inputs may be inferred again after a crash.
        pure: Whether the result depends on nothing but the inputs, the extension and its settings, so that an
            earlier one may stand in for a call. None: so it is if the extension asks for no permission but models.
    """

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    version: ClassVar[int] = 1
    idempotent: ClassVar[bool] = True
    pure: ClassVar[bool | None] = None

    def load(self, ctx: Context) -> None:
        """Bring the model into memory.

        Args:
            ctx: The context; its log and its files are usable here.
        """

    def infer(self, ctx: Context, *args: Any, **kwargs: Any) -> Any:
        """Run the model once.

        Args:
            ctx: The context of this call.
            args: Never used; an instrument names its inputs.
            kwargs: Values of the input ports.

        Raises:
            ExtensionError: The subclass does not define it.
        """
        raise ExtensionError(
            f"the instrument {type(self).__qualname__} defines no `infer`",
            code="SYM-E010",
            hint="Write `def infer(self, ctx: Context, ...) -> ...` with annotated inputs.",
        )

    def unload(self) -> None:
        """Give the model's memory back."""

    @cached_property
    def signature(self) -> Signature:
        """Its ports, read from the annotations of `infer` once."""
        if type(self).infer is Instrument.infer:
            self.infer(None)  # type: ignore[arg-type] # raises the error that says so
        return Signature(type(self).infer, owner=check_operation_id(self.id), skip=2)

    @cached_property
    def spec(self) -> OperationSpec:
        """What the host knows of it."""
        return OperationSpec(
            id=check_operation_id(self.id),
            kind="instrument",
            inputs=self.signature.inputs,
            outputs=self.signature.outputs,
            title=self.title or title_of(type(self).__name__),
            description=(inspect.getdoc(type(self)) or "").partition("\n\n")[0],
            version=self.version,
            idempotent=self.idempotent,
            pure=self.pure,
        )
