"""Workflows in the language of Graphviz."""

from symphony_workflow.drawing.figure import Box, Figure, Style, figures
from symphony_workflow.drawing.text import printable
from symphony_workflow.model import Workflow

_SHAPES = {
    "instrument": 'style="rounded,filled" fillcolor="#ede9fe" color="#7c3aed"',
    "operator": 'style=filled fillcolor="#dbeafe" color="#2563eb"',
    "map": 'shape=box3d style=filled fillcolor="#ccfbf1" color="#0d9488"',
    "branch": 'shape=hexagon style=filled fillcolor="#fef3c7" color="#b45309"',
    "switch": 'shape=hexagon style=filled fillcolor="#fef3c7" color="#b45309"',
    "join": 'shape=invtrapezium style=filled fillcolor="#f1f5f9" color="#475569"',
    "loop": 'shape=octagon style=filled fillcolor="#ccfbf1" color="#0d9488"',
    "subworkflow": 'peripheries=2 style=filled fillcolor="#ccfbf1" color="#0d9488"',
    "approval": 'shape=house style=filled fillcolor="#fce7f3" color="#be185d"',
    "input": 'shape=ellipse style=filled fillcolor="#dcfce7" color="#15803d"',
    "output": 'shape=ellipse style=filled fillcolor="#dcfce7" color="#15803d" peripheries=2',
    "unknown": 'style=dashed color="#dc2626" fontcolor="#dc2626"',
}
_LINES: dict[Style, str] = {"data": "solid", "control": "dotted", "conditional": "dashed"}


def to_dot(workflow: Workflow) -> str:
    """The workflow as a digraph; each workflow that it brings along is a cluster of its own.

    Args:
        workflow: Any workflow, complete or not.
    """
    first, *inner = figures(workflow)
    lines = [
        f"digraph {_quoted(printable(workflow.id))} {{",
        f"  label={_quoted(first.title)} labelloc=t",
        '  node [shape=box fontname="sans-serif" fontsize=11]',
        '  edge [fontname="sans-serif" fontsize=9]',
        *_body(first, "n", "  "),
    ]
    for number, figure in enumerate(inner):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(figure.title)}"]
        lines += [*_body(figure, f"w{number}_", "    "), "  }"]
    return "\n".join([*lines, "}", ""])


def _body(figure: Figure, prefix: str, indent: str) -> list[str]:
    boxes = [
        f"{indent}{prefix}{number} [label={_label(box)} tooltip={_quoted(box.note)} {_SHAPES[box.kind]}]"
        for number, box in enumerate(figure.boxes)
    ]
    lines = [
        f"{indent}{prefix}{line.source} -> {prefix}{line.target} [style={_LINES[line.style]}"
        + (f" label={_quoted(line.label)}]" if line.label else "]")
        for line in figure.lines
    ]
    return boxes + lines


def _label(box: Box) -> str:
    return f"{_quoted(box.name)[:-1]}\\n{_quoted(box.detail)[1:]}"


def _quoted(text: str) -> str:
    """A string of Graphviz: backslashes would start its escapes, which insert the names of other things."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
