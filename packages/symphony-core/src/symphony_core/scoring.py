"""Has scorers rate artifacts, and keeps what they say as scores; one that fails harms no other."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from symphony_sdk.contributions import Artifact, OperationSpec, PortSpec, Rating, rating_fault
from symphony_sdk.errors import (
    ArtifactError,
    DeadlineExceeded,
    ErrorPayload,
    MalformedMessage,
    PeerGone,
    SymphonyError,
)
from symphony_sdk.ports import ArtifactInfo, ExtensionPort, NodeCall, PitPort, Score
from symphony_sdk.values import decode, encode

TIMEOUT: Final = 60.0
"""Seconds that a scorer may take for one artifact, unless another time is given."""

AT_ONCE: Final = 8
"""How many ratings are under way at the same time."""


class InstalledScorer(msgspec.Struct, frozen=True):
    """A scorer that can be asked.

    Args:
        spec: What it takes and which media types it rates.
        extension: Id of the extension that brings it.
        version: Version of that, which its scores are kept with.
    """

    spec: OperationSpec
    extension: str
    version: str

    def rates(self, media_type: str) -> bool:
        """Whether it rates artifacts of a media type.

        Args:
            media_type: Such as `text/html`.
        """
        return self.spec.scores is not None and media_type.startswith(self.spec.scores or "")

    @property
    def options(self) -> tuple[PortSpec, ...]:
        """What it takes besides the artifact."""
        return tuple(port for port in self.spec.inputs if port.name != "artifact")


class Scored(msgspec.Struct, frozen=True):
    """What became of one artifact with one scorer.

    Args:
        artifact: Id of the artifact.
        scorer: Id of the scorer.
        score: What is kept now; None where it failed.
        error: Why there is none.
    """

    artifact: str
    scorer: str
    score: Score | None = None
    error: ErrorPayload | None = None


OnScored = Callable[[int, int], None]
"""Told how many ratings are done, and of how many."""


class _Task(msgspec.Struct, frozen=True):
    """One rating that is to be made.

    Args:
        info: What is known of the artifact.
        scorer: Who rates it.
        inputs: What the scorer is given besides it, encoded.
        told: All that the scorer works with besides it, as text.
    """

    info: ArtifactInfo
    scorer: InstalledScorer
    inputs: dict[str, bytes]
    told: dict[str, str]


class Scoring:
    """Asks scorers through ports; it never learns in which process one runs.

    Args:
        pit: Has the Artifact Store.
        extensions: Bring the scorers.
    """

    def __init__(self, *, pit: PitPort, extensions: ExtensionPort) -> None:
        self._pit = pit
        self._extensions = extensions

    async def scorers(self, ids: Sequence[str] = ()) -> Mapping[str, InstalledScorer]:
        """Scorers by id, in alphabetical order.

        Args:
            ids: Only these; all that there are where it is empty.

        Raises:
            ArtifactError: SYM-A027, there is no such scorer.
        """
        found = {
            spec.id: InstalledScorer(spec, info.id, info.version)
            for info in await self._extensions.extensions()
            for spec in info.operations
            if spec.scores is not None
        }
        for id in ids:
            if id not in found:
                near = get_close_matches(id, found, n=1)
                raise ArtifactError(
                    f"there is no scorer {id!r}",
                    code="SYM-A027",
                    hint=f"Did you mean {near[0]!r}?"
                    if near
                    else f"There are {', '.join(sorted(found)) or 'none'}.",
                )
        return {id: found[id] for id in sorted(ids or found)}

    async def score(
        self,
        artifacts: Sequence[str],
        *,
        scorers: Sequence[str] = (),
        inputs: Mapping[str, Any] | None = None,
        timeout: float = TIMEOUT,
        on_scored: OnScored | None = None,
    ) -> Sequence[Scored]:
        """Have artifacts rated, each by every scorer that rates its media type; each score takes the place of the last
        one of the same scorer.

        What a scorer does wrong is in its `Scored`, and the scores of all others are kept. One whose process died is
        asked once more when all others are done, as it may have died of another's doing.

        Args:
            artifacts: The artifacts.
            scorers: Ids of the scorers; all that there are where it is empty.
            inputs: What scorers are given besides the artifact, by name; JSON-like. Each gets those that it takes.
            timeout: Seconds that a scorer may take for one artifact.
            on_scored: Told after each rating.

        Returns:
            One for each artifact and scorer, in the order of the artifacts, and of the ids of the scorers.

        Raises:
            ArtifactError: There is no such artifact; SYM-A027, there is no such scorer; SYM-A028, none of the scorers
                rates any of the artifacts; SYM-A029, none of them takes one of the inputs.
        """
        chosen = (await self.scorers(scorers)).values()
        given = dict(inputs or {})
        _check_inputs(given, chosen)
        infos = await asyncio.to_thread(self._infos, artifacts)
        tasks = [
            _Task(info, scorer, *_inputs(scorer, given))
            for info in infos
            for scorer in chosen
            if scorer.rates(info.ref.media_type)
        ]
        if infos and not tasks:
            raise _nobody_rates(infos, chosen)
        return await self._all(tasks, timeout, on_scored)

    def _infos(self, artifacts: Iterable[str]) -> list[ArtifactInfo]:
        found = [self._pit.artifacts.info(id) for id in artifacts]
        return list({info.ref.id: info for info in found}.values())

    async def _all(self, tasks: list[_Task], timeout: float, on_scored: OnScored | None) -> list[Scored]:
        results: dict[int, Scored] = {}
        orphaned: list[int] = []
        waiting = iter(range(len(tasks)))

        def ended(number: int, scored: Scored) -> None:
            results[number] = scored
            if on_scored is not None:
                on_scored(len(results), len(tasks))

        async def work() -> None:
            for number in waiting:
                try:
                    ended(number, await self._one(tasks[number], timeout))
                except PeerGone:
                    orphaned.append(number)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(tasks))):
                group.create_task(work())
        for number in orphaned:
            try:
                ended(number, await self._one(tasks[number], timeout))
            except PeerGone as error:
                ended(number, _failed(tasks[number], error))
        return [results[number] for number in range(len(tasks))]

    async def _one(self, task: _Task, timeout: float) -> Scored:
        scorer = task.scorer.spec.id
        inputs = {"artifact": encode(_as_seen(task.info)), **task.inputs}
        call = NodeCall(run="", node="", operation=scorer, inputs=inputs, timeout=timeout)
        try:
            outputs = (await self._extensions.call(call)).outputs
            rating = _rating(scorer, outputs.get("result"))
            score = Score(scorer, task.scorer.version, rating.value, rating.reason, task.told)
            kept = await asyncio.to_thread(self._pit.artifacts.score, task.info.ref.id, score)
        except PeerGone:
            raise
        except DeadlineExceeded as error:
            error.hint = "Give it longer, or let the scorer look at less of the artifact."
            return _failed(task, error)
        except SymphonyError as error:
            return _failed(task, error)
        return Scored(task.info.ref.id, scorer, kept)


def _as_seen(info: ArtifactInfo) -> Artifact:
    """An artifact as scorers are given it."""
    ref = info.ref
    return Artifact(ref.id, ref.size, ref.media_type, ref.name, info.metadata, info.tags, info.created)


def _failed(task: _Task, error: SymphonyError) -> Scored:
    return Scored(task.info.ref.id, task.scorer.spec.id, error=error.payload())


def _rating(scorer: str, result: msgspec.Raw | None) -> Rating:
    """What a scorer gave, which may run in a process that is not trusted."""
    if result is None:
        fault = "it gave no result"
    else:
        try:
            rating: Rating = decode(result, Rating)
        except MalformedMessage as error:
            fault = error.message
        else:
            fault = rating_fault(rating)
            if not fault:
                return rating
    raise ArtifactError(
        f"the scorer {scorer!r} gave no rating that can be kept: {fault}",
        code="SYM-A026",
        hint="This is an error of the scorer: it has to give a number from 0 to 1, and a reason in a line.",
    )


def _inputs(scorer: InstalledScorer, given: Mapping[str, Any]) -> tuple[dict[str, bytes], dict[str, str]]:
    """What a scorer gets of what is given, encoded; and all that it works with, its defaults too, as text."""
    taken = {port.name: given[port.name] for port in scorer.options if port.name in given}
    worked_with = {port.name: taken.get(port.name, port.default) for port in scorer.options}
    told = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in worked_with.items()
    }
    return {name: encode(value) for name, value in taken.items()}, told


def _check_inputs(given: Mapping[str, Any], scorers: Iterable[InstalledScorer]) -> None:
    known = sorted({port.name for scorer in scorers for port in scorer.options})
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ArtifactError(
                f"none of the scorers takes the input {name!r}",
                code="SYM-A029",
                hint=f"Did you mean {near[0]!r}?" if near else f"They take {', '.join(known) or 'none'}.",
            )


def _nobody_rates(infos: Sequence[ArtifactInfo], scorers: Iterable[InstalledScorer]) -> ArtifactError:
    kinds = ", ".join(sorted({info.ref.media_type for info in infos})[:5])
    rated = sorted({kind for scorer in scorers for kind in scorer.spec.scores or ()})
    return ArtifactError(
        f"no scorer rates artifacts of the type {kinds}",
        code="SYM-A028",
        hint=f"Rated are {', '.join(rated)}." if rated else "Install an extension that brings scorers.",
    )
