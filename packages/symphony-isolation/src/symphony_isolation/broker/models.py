"""The models that instruments of other extensions provide, as one worker reaches them: run in their own workers.

A call that waits for a model keeps its place in its worker. So that calls which wait for each other never wait for
such a place, each belongs to a level: how many calls wait for it. A level has places of its own, a call only ever waits
for one of the next level, and the last level waits for none.
"""

import asyncio
import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from symphony_ipc.envelope import TRACEPARENT
from symphony_sdk.contributions import ModelInfo, OperationSpec
from symphony_sdk.errors import AccessFailed, Cancelled, PermissionDenied, SymphonyError, TransportError
from symphony_sdk.extension.models import model_failed
from symphony_sdk.messages import OperationResult, Progress
from symphony_sdk.model_messages import (
    LEVELS,
    RUNS_AT_ONCE,
    DescribeModel,
    ListModels,
    ModelDescription,
    ModelNames,
    ModelRan,
    RunModel,
)
from symphony_sdk.permissions import Access, PermissionSet, Scope
from symphony_sdk.permissions.names import model_of, model_pattern
from symphony_sdk.ports import NodeCall

from symphony_isolation.broker.network import Allow
from symphony_isolation.call import Call
from symphony_isolation.spec import extension_of

_UNANSWERED: Final = ("SYM-P008", "SYM-P040")  # what cannot be looked up or recorded is no answer of the user


class ModelProvider(Protocol):
    """The extensions, as far as their models are concerned."""

    async def operations(self) -> Mapping[str, OperationSpec]:
        """Every operation of every usable extension by its id."""

    async def call(
        self,
        call: NodeCall,
        on_progress: Callable[[Progress], None] | None = None,
        *,
        callers: tuple[str, ...] = (),
    ) -> OperationResult:
        """Run one operation; cancelling the awaiting task cancels it.

        Args:
            call: What to run.
            on_progress: Takes what it says of its progress.
            callers: Ids of the extensions whose calls wait for it, the first of them that of a node.

        Raises:
            SymphonyError: It cannot be run, or failed.
        """


class ModelAccess:
    """Does what an extension asks of models.

    Args:
        extension: Id of the extension.
        permissions: What it declared.
        allow: Says whether a single access is allowed.
        provider: Has the models; None where there are none.
    """

    def __init__(
        self, extension: str, permissions: PermissionSet, allow: Allow, provider: ModelProvider | None
    ) -> None:
        self._extension = extension
        self._permissions = permissions
        self._allow = allow
        self._provider = provider
        self._running: Counter[int] = Counter()

    async def describe(self, message: DescribeModel) -> ModelDescription:
        """Say what a model takes and gives.

        Args:
            message: Which one; it was checked.

        Raises:
            AccessFailed: SYM-P042, there is none of this name.
        """
        return ModelDescription(await self._model(message.name))

    async def list(self, message: ListModels) -> ModelNames:
        """The models that the extension may look at; of what it did not declare, nobody is asked.

        Args:
            message: Which ones.

        Raises:
            ManifestError: SYM-M006, the pattern is none.
            PermissionDenied: SYM-P008 or P040: whether it may cannot be looked up or recorded.
        """
        wanted = model_pattern(message.pattern)
        found = []
        for name in sorted(_models(await self._operations())):
            model = model_of(name)
            if model is not None and wanted.covers(model) and await self._may_read(name):
                found.append(name)
        return ModelNames(tuple(found))

    async def run(self, message: RunModel, call: Call | None) -> ModelRan:
        """Run a model for a call of the extension, no longer than that has time, and end it with that.

        Args:
            message: Which one, and its inputs; it was checked.
            call: The call; None where it is none that the worker has.

        Raises:
            AccessFailed: There is no such model (SYM-P042), it may not be run for this call (SYM-P043), or there is no
                call (SYM-P044).
            TransportError: SYM-E035, the worker runs more of them at once than the SDK lets it.
            ModelFailed: It could not be run, or failed.
        """
        model = await self._model(message.name)
        if call is None or call.ended or not call.due:
            raise AccessFailed(
                f"{self._extension!r} runs the model {model.name!r} for a call that it does not work on",
                code="SYM-P044",
                hint="Run models before the operation returns.",
            )
        self._check_ring(call, model)
        level = call.level
        if self._running[level] >= RUNS_AT_ONCE:
            raise TransportError(
                f"{self._extension!r} runs {RUNS_AT_ONCE} models at once and asks for another one",
                code="SYM-E035",
                hint="`ctx.models` waits its turn.",
            )
        self._running[level] += 1
        try:
            return await self._run(message, call, model)
        finally:
            self._running[level] -= 1

    async def _run(self, message: RunModel, call: Call, model: ModelInfo) -> ModelRan:
        assert self._provider is not None  # noqa: S101 - it had the model
        outer = call.request
        loop = asyncio.get_running_loop()
        request = NodeCall(
            outer.run,
            outer.node,
            model.name,
            {port: bytes(value) for port, value in message.inputs.items()},
            outer.attempt,
            outer.item,
            call.remaining(loop.time()),
        )

        def on_progress(progress: Progress) -> None:
            """The call is as far as it was, and at work: this is what it waits for."""
            call.progress(Progress(call.fraction, progress.text), loop.time())

        TRACEPARENT.set(call.traceparent)
        try:
            with call.waiting():
                result = await self._provider.call(
                    request, on_progress, callers=(*call.callers, self._extension)
                )
        except SymphonyError as error:
            if call.ended:
                raise Cancelled(f"the call that ran the model {model.name!r} has ended") from error
            raise model_failed(model, error) from error
        return ModelRan(result.outputs)

    async def _operations(self) -> Mapping[str, OperationSpec]:
        return {} if self._provider is None else await self._provider.operations()

    async def _model(self, name: str) -> ModelInfo:
        operations = await self._operations()
        operation = operations.get(name)
        if operation is None or operation.kind != "instrument":
            raise self._unknown(name, _models(operations))
        return ModelInfo(
            operation.id,
            extension_of(operation.id),
            operation.inputs,
            operation.outputs,
            operation.title,
            operation.description,
            operation.version,
        )

    async def _may_read(self, name: str) -> bool:
        access = Access("model", "read", name)
        if not self._permissions.covers(access):
            return False
        try:
            await self._allow(access)
        except PermissionDenied as error:
            if error.code in _UNANSWERED:
                raise
            return False
        return True

    def _check_ring(self, call: Call, model: ModelInfo) -> None:
        callers = (*call.callers, self._extension)
        if model.extension in callers:
            ring = " -> ".join((*callers, model.extension))
            raise AccessFailed(
                f"the model {model.name!r} cannot be run: {model.extension!r} waits for this very call ({ring})",
                code="SYM-P043",
                hint="Call your own instrument as a Python object."
                if model.extension == self._extension
                else "Let one of them do without the other.",
                details={"model": model.name, "callers": list(callers)},
            )
        if len(callers) >= LEVELS:
            raise AccessFailed(
                f"the model {model.name!r} cannot be run: {len(callers)} calls wait for each other already "
                f"({' -> '.join(callers)})",
                code="SYM-P043",
                hint="Let a workflow run one of them as a node of its own.",
                details={"model": model.name, "callers": list(callers)},
            )

    def _unknown(self, name: str, models: Iterable[str]) -> AccessFailed:
        scopes: tuple[Scope, ...] = ("read", "execute")
        known = [
            each
            for each in models
            if any(self._permissions.covers(Access("model", scope, each)) for scope in scopes)
        ]
        near = difflib.get_close_matches(name, known, n=1)
        return AccessFailed(
            f"there is no model {name!r}",
            code="SYM-P042",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else "Its name is the id of an instrument's operation; `symphony list --operations` shows those there are.",
            details={"model": name},
        )


def _models(operations: Mapping[str, OperationSpec]) -> list[str]:
    return [id for id, operation in operations.items() if operation.kind == "instrument"]
