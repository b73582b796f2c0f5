"""How a run is run, as options of a command and in words."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from symphony_sdk.ports import RunPolicy

from symphony_host.cli.text import seconds

F = TypeVar("F", bound=Callable[..., Any])

_FAILURES = {
    "continue": "goes on after a failure with what does not depend on it",
    "fail-fast": "stops at the first failure",
    "isolate": "completes without what failed",
}


class Duration(click.ParamType[float]):
    """Seconds, or a number and a unit such as `5 min`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        from symphony_sdk.manifest.quantities import SECOND_UNITS, seconds_in

        try:
            given = float(value)
        except ValueError:
            try:
                given = seconds_in(value)
            except ValueError:
                units = ", ".join(SECOND_UNITS)
                self.fail(f"{value!r} is no time: write seconds, or a number and one of {units}.", param, ctx)
        if not 0 < given < float("inf"):
            self.fail(f"{value!r} is no time that a run could take: give more than 0.", param, ctx)
        return given


class Weight(click.ParamType[float]):
    """A number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            given = float(value)
        except ValueError:
            given = 0.0
        if not 0 < given < float("inf"):
            self.fail(f"{value!r} is no weight: give a number above 0, such as 2.", param, ctx)
        return given


def policy_options(command: F) -> F:
    """Add the options that say how a run is run; the command takes them as `policy`.

    Args:
        command: The command's function.
    """

    @click.option(
        "--on-failure",
        type=click.Choice(list(_FAILURES)),
        default="continue",
        show_default=True,
        help="What a node that fails means to the others.",
    )
    @click.option(
        "--timeout", type=Duration(), metavar="TIME", help="How long the run may take, such as 90 or '5 min'."
    )
    @click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        help="At most so many calls at once; as many as there is room for.",
    )
    @click.option(
        "--weight",
        type=Weight(),
        default=1.0,
        show_default=True,
        help="The share of the run where several want the same executor.",
    )
    @click.option(
        "--no-cache",
        is_flag=True,
        help="Compute everything anew; what comes out is kept for later runs all the same.",
    )
    @functools.wraps(command)
    def with_policy(
        *args: Any,
        on_failure: Any,
        timeout: float | None,
        concurrency: int | None,
        weight: float,
        no_cache: bool,
        **others: Any,
    ) -> Any:
        policy = RunPolicy(
            on_failure=on_failure,
            timeout=timeout,
            concurrency=concurrency or 0,
            weight=weight,
            cache=not no_cache,
        )
        return command(*args, policy=policy, **others)

    return with_policy  # type: ignore[return-value]


def in_words(policy: RunPolicy) -> str:
    """How a run is run, where that is not as usual; empty where it is.

    Args:
        policy: How it is run.
    """
    usual, said = RunPolicy(), []
    if policy.on_failure != usual.on_failure:
        said.append(_FAILURES[policy.on_failure])
    if policy.timeout is not None:
        said.append(f"may take {seconds(policy.timeout)}")
    if policy.concurrency:
        said.append(f"has at most {policy.concurrency:,} calls out at once")
    if policy.weight != usual.weight:
        said.append(f"has a weight of {policy.weight:g}")
    if not policy.cache:
        said.append("computes everything anew")
    return ", ".join(said)
