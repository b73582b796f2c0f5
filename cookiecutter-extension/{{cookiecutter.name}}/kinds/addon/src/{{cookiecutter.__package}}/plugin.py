"""The addon: a panel that shows bar charts, a command, and the operator that draws the charts."""

from collections.abc import Iterator
from html import escape
from typing import Any

from symphony_sdk import (
    Addon,
    ArtifactRef,
    CommandSpec,
    Context,
    Operator,
    PanelSpec,
    operator,
    provides_addons,
    provides_operators,
)


@operator("{{ cookiecutter.__id }}.draw-bars")
def draw_bars(ctx: Context, values: dict[str, float]) -> ArtifactRef:
    """Draw named values as a bar chart, an SVG picture."""
    longest = max([1e-9, *values.values()])
    rows = "".join(
        f'<text y="{30 * row + 20}">{escape(name)}</text>'
        f'<rect x="120" y="{30 * row + 5}" width="{300 * max(value, 0) / longest:.1f}" height="20"/>'
        for row, (name, value) in enumerate(values.items())
    )
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="420" height="{30 * len(values)}">{rows}</svg>'
    return ctx.artifacts.put(picture.encode(), name="bars.svg", media_type="image/svg+xml")


@provides_operators
def symphony_operators() -> Iterator[Operator[..., Any]]:
    """The operators of this extension."""
    yield draw_bars


@provides_addons
def symphony_addons() -> Iterator[Addon]:
    """The addons of this extension."""
    yield Addon(
        "{{ cookiecutter.__id }}.bars",
        title="{{ cookiecutter.__title }}",
        package="{{ cookiecutter.__package }}",
        panels=[PanelSpec("bars", "Bars", "panel.html", accepts=("image/svg+xml",))],
        commands=[CommandSpec("draw", "Draw bars", draw_bars.id)],
    )
