"""`symphony artifacts score` and `scores`: how good artifacts are, as the scorers of extensions see them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from symphony_host.cli import exits
from symphony_host.cli.artifacts.describing import quality
from symphony_host.cli.artifacts.opening import with_host, with_store
from symphony_host.cli.artifacts.parameters import TEXT, artifact_argument, filter_options, limit_option
from symphony_host.cli.artifacts.progress_line import ProgressLine
from symphony_host.cli.shell import Shell, debug_option, error_lines, json_option, pass_shell, usage_error
from symphony_host.cli.text import counted, moment

if TYPE_CHECKING:
    from symphony_core import InstalledScorer, Scored

    from symphony_host.composition import Host

_MANY: Final = 8  # ratings that are worth a line of progress
_TOLD: Final = 20  # failures that are told one by one


@click.command()
@click.argument("artifacts", metavar="[ARTIFACT]...", nargs=-1)
@click.option(
    "--scorer",
    "scorers",
    metavar="ID",
    multiple=True,
    help="Ask this scorer; may be repeated. Every one that rates the artifact's type unless given.",
)
@click.option(
    "--input",
    "given",
    metavar="NAME=VALUE",
    type=TEXT,
    multiple=True,
    help="Give this to the scorers that take it; may be repeated.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long a scorer may take for one artifact.",
)
@filter_options
@limit_option(50)
@json_option
@debug_option
@pass_shell
def score(
    shell: Shell,
    /,
    artifacts: tuple[str, ...],
    scorers: tuple[str, ...],
    given: tuple[str, ...],
    timeout: float,
    limit: int,
    **filters: Any,
) -> int:
    """Have scorers rate each ARTIFACT, or those that the options choose, as `list` does; and keep the scores.

    A score takes the place of the earlier one of the same scorer. A scorer that fails is named, and harms no other.

    \b
    Example:
      symphony artifacts score b3-3f2a
      symphony artifacts score --type text/ --scorer symphony.text-quality.readability --input target=40
    """
    if artifacts and any(filters.values()):
        raise usage_error("expected artifacts, or options that choose some", "Leave one of the two out.")

    async def rate(host: "Host") -> "Sequence[Scored]":
        store = host.artifacts
        ids: Sequence[str] = artifacts
        if not ids:
            ids = [info.ref.id for info in await asyncio.to_thread(store.find, limit=limit, **filters)]
        known = await host.scoring.scorers(scorers)
        inputs = _inputs(given, known.values())
        with ProgressLine("scoring", large=_MANY, words=str) as line:
            return await host.scoring.score(
                ids, scorers=scorers, inputs=inputs, timeout=timeout, on_scored=line
            )

    found = with_host(shell, rate)
    failed = [one for one in found if one.error is not None]
    if shell.json:
        shell.print_json(found)
    else:
        _tell(shell, found, failed)
    return exits.FAILED if failed else exits.OK


@click.command()
@artifact_argument
@json_option
@debug_option
@pass_shell
def scores(shell: Shell, artifact: str) -> None:
    """Tell how good ARTIFACT is, as each scorer last saw it.

    \b
    Example:
      symphony artifacts scores b3-3f2a
    """
    found = with_store(shell, lambda store: store.scores(artifact))
    if shell.json:
        shell.print_json(found)
    elif found:
        rows = [
            (
                one.scorer,
                quality(one.value),
                one.reason,
                one.version,
                ", ".join(f"{name}={value}" for name, value in sorted(one.inputs.items())),
                moment(one.created),
            )
            for one in found
        ]
        shell.table(("scorer", "score", "reason", "version", "inputs", "scored"), rows)
    else:
        click.echo("no scores")


def _inputs(given: Sequence[str], scorers: "Iterable[InstalledScorer]") -> Mapping[str, Any]:
    """What the scorers are given, each value read as the first of them wants it."""
    from symphony_workflow import WorkflowInput

    from symphony_host.cli.flow_inputs import read_value

    schemas: dict[str, dict[str, Any]] = {}
    for scorer in scorers:
        for port in scorer.options:
            schemas.setdefault(port.name, port.schema)
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise usage_error(f"the input {text!r} is not NAME=VALUE", "Write it as `--input NAME=VALUE`.")
        if name in values:
            raise usage_error(f"the input {name!r} is given twice", "Give it once.")
        # One that nobody takes is refused where the scoring begins, with the names of those that are taken.
        values[name] = read_value(WorkflowInput(name, schemas[name]), value) if name in schemas else value
    return values


def _tell(shell: Shell, found: "Sequence[Scored]", failed: "Sequence[Scored]") -> None:
    from symphony_sdk.errors import error_from_payload

    kept = [(one.artifact, one.scorer, one.score) for one in found if one.score is not None]
    if kept:
        rows = [(artifact, scorer, quality(score.value), score.reason) for artifact, scorer, score in kept]
        shell.table(("artifact", "scorer", "score", "reason"), rows)
    elif not found:
        click.echo("no artifacts")
    for one in failed[:_TOLD]:
        if one.error is not None:
            click.echo(f"{one.scorer} did not score {one.artifact}:", err=True)
            for line in error_lines(error_from_payload(one.error)):
                click.echo(line, err=True)
    if len(failed) > _TOLD:
        click.echo(f"and {counted(len(failed) - _TOLD, 'failure')} more; --json has all", err=True)
