"""Models for tests: functions that stand in for those of other extensions, behind the same permissions."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from symphony_sdk.contributions import ModelInfo
from symphony_sdk.errors import AccessFailed, foreign_error
from symphony_sdk.extension.models import ModelOutputs, model_failed
from symphony_sdk.extension.naming import check_operation_id
from symphony_sdk.extension.signature import Signature
from symphony_sdk.permissions import Access, PermissionSet
from symphony_sdk.permissions.names import model_of, model_pattern
from symphony_sdk.values import encode


class FakeModels:
    """Fake of `ctx.models`: what goes in and comes out is encoded, decoded and checked as between processes.

    Args:
        functions: By the name of the model: a function that is annotated as the instrument's `infer`, without the context.
        permissions: What the extension may touch.

    Attributes:
        ran: The models that were run, each with its inputs as the function got them.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], permissions: PermissionSet) -> None:
        self._functions = dict(functions)
        self._signatures = {
            name: Signature(function, owner=check_operation_id(name), skip=0)
            for name, function in functions.items()
        }
        self._permissions = permissions
        self.ran: list[tuple[str, dict[str, Any]]] = []

    def describe(self, name: str) -> ModelInfo:
        """What a model takes and gives."""
        self._permissions.check(Access("model", "read", name))
        return self._info(name)

    def list(self, pattern: str = "**") -> tuple[str, ...]:
        """The names of the models that the extension may look at."""
        wanted = model_pattern(pattern)
        return tuple(
            name
            for name in sorted(self._functions)
            if (model := model_of(name)) is not None
            and wanted.covers(model)
            and self._permissions.covers(Access("model", "read", name))
        )

    def run(self, name: str, /, **inputs: Any) -> ModelOutputs:
        """Run a model."""
        self._permissions.check(Access("model", "execute", name))
        info = self._info(name)
        encoded = {port: msgspec.Raw(encode(value)) for port, value in inputs.items()}
        signature = self._signatures[name]
        try:
            arguments = signature.decode(encoded)
            self.ran.append((name, arguments))
            outputs = signature.encode(self._functions[name](**arguments))
        except Exception as error:
            raise model_failed(info, foreign_error(error, info.extension)) from error
        return ModelOutputs(name, {port: bytes(value) for port, value in outputs.items()})

    def _info(self, name: str) -> ModelInfo:
        signature = self._signatures.get(name)
        if signature is None:
            raise AccessFailed(
                f"there is no model {name!r}",
                code="SYM-P042",
                hint=f"The test has {', '.join(map(repr, self._functions)) or 'none'}.",
                details={"model": name},
            )
        return ModelInfo(name, ".".join(name.split(".")[:2]), signature.inputs, signature.outputs)
