"""The models of other extensions, as an extension uses them: without importing them, and in their own process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

import msgspec

from symphony_sdk.contributions import ArtifactRef, ModelInfo
from symphony_sdk.errors import ModelFailed, SymphonyError
from symphony_sdk.values import decode

T = TypeVar("T")


class ModelOutputs(Mapping[str, Any]):
    """What a model gave, by output port; a model with one output gives it as `result`.

    `outputs["result"]` is made of plain values: dictionaries, lists, text, numbers, bytes, and `ArtifactRef` for what is
    in the Artifact Store. `read` gives a value as the type that its port has.

    Args:
        model: Name of the model.
        values: Encoded values by port name.
    """

    def __init__(self, model: str, values: Mapping[str, bytes]) -> None:
        self._model = model
        self._values = values

    def __getitem__(self, port: str) -> Any:
        return _with_artifacts(self.read(port, Any))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<what {self._model!r} gave: {', '.join(self._values) or 'nothing'}>"

    def read(self, port: str, type_: type[T] | Any) -> T:
        """One output as a type.

        Args:
            port: Name of the output port.
            type_: The type: whatever can be the annotation of an operator's input.

        Raises:
            KeyError: The model gave no such output.
            MalformedMessage: It is not of that type; or, without a type, too large to be read so.
        """
        if port not in self._values:
            given = ", ".join(self._values) or "nothing"
            raise KeyError(f"{self._model!r} gave no output {port!r}; it gave {given}")
        return cast("T", decode(self._values[port], type_))


class Models(Protocol):
    """The models that instruments of all extensions provide, as far as the extension may use them.

    The name of a model is the id of the instrument's operation, such as `acme.vision.caption`.
    """

    def describe(self, name: str) -> ModelInfo:
        """What a model takes and gives.

        Args:
            name: The model.

        Raises:
            PermissionDenied: The manifest does not declare to read it (`model`, `read`), or the user does not allow it.
            AccessFailed: SYM-P042, there is none of this name.
        """

    def list(self, pattern: str = "**") -> Sequence[str]:
        """The names of the models that the extension may look at, in order.

        Args:
            pattern: Only those that it stands for, such as `acme.vision.*`.

        Raises:
            ManifestError: SYM-M006, it is no pattern.
        """

    def run(self, name: str, /, **inputs: Any) -> ModelOutputs:
        """Run a model in the process of its own extension, and wait for what it gives.

        It ends with the call that runs it: when that is cancelled or too late, so is the model.

        Args:
            name: The model.
            inputs: Values by the names of its input ports; large ones as references to artifacts.

        Raises:
            PermissionDenied: The manifest does not declare to run it (`model`, `execute`), or the user does not allow it.
            AccessFailed: SYM-P042, there is none of this name; SYM-P043, its extension waits for this very call, or too
                many wait for each other; SYM-P044, no call is under way; SYM-P045, it would block an event loop.
            ModelFailed: The model could not be run, or failed.
            Cancelled: The call was cancelled; let it pass through.
            TypeError: A value has no encoding.
        """


def model_failed(model: ModelInfo, error: SymphonyError) -> ModelFailed:
    """The error that tells an extension that a model of another one failed.

    Args:
        model: The model.
        error: Why; its code and details are kept.
    """
    return ModelFailed(
        f"the model {model.name!r} of {model.extension!r} failed: {error.message}",
        hint=error.hint,
        details={
            "model": model.name,
            "model_extension": model.extension,
            "code": error.code,
            "cause": error.details,
        },
        file=error.file,
        line=error.line,
        column=error.column,
        traceback=error.traceback,
    )


def _with_artifacts(value: Any) -> Any:
    """A plain value with the references to artifacts in it as such; what only looks like one stays what it is."""
    if isinstance(value, dict):
        if value.get("$type") == "artifact":
            with suppress(msgspec.ValidationError):
                return msgspec.convert(value, ArtifactRef)
        return {key: _with_artifacts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_artifacts(each) for each in value]
    return value
