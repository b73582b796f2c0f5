"""Workflows as Mermaid flowcharts, which README files and chats draw."""

import re

from symphony_workflow.drawing.figure import Figure, Style, figures
from symphony_workflow.model import Workflow

_SHAPES = {
    "instrument": ("(", ")"),
    "operator": ("[", "]"),
    "map": ("[[", "]]"),
    "branch": ("{{", "}}"),
    "switch": ("{{", "}}"),
    "join": ("[\\", "/]"),
    "loop": ("[[", "]]"),
    "subworkflow": ("[[", "]]"),
    "approval": ("[/", "\\]"),
    "input": ("([", "])"),
    "output": ("([", "])"),
    "unknown": ("[", "]"),
}
_CLASSES = {
    "instrument": "fill:#ede9fe,stroke:#7c3aed,color:#1e1b4b",
    "operator": "fill:#dbeafe,stroke:#2563eb,color:#172554",
    "control": "fill:#fef3c7,stroke:#b45309,color:#451a03",
    "port": "fill:#dcfce7,stroke:#15803d,color:#052e16",
    "unknown": "fill:#fff,stroke:#dc2626,color:#dc2626,stroke-dasharray:4",
}
_GROUPS = {"input": "port", "output": "port"}
_ARROWS: dict[Style, str] = {"data": "-->", "control": "-.->", "conditional": "-.->"}


def to_mermaid(workflow: Workflow) -> str:
    """The workflow as a flowchart; each workflow that it brings along is a subgraph of its own.

    Args:
        workflow: Any workflow, complete or not.
    """
    first, *inner = figures(workflow)
    lines = ["---", f"title: {_front_matter(first.title)}", "---", "flowchart TD", *_body(first, "n", "  ")]
    for number, figure in enumerate(inner):
        lines.append(f"  subgraph w{number} [{_quoted(figure.title)}]")
        lines += [*_body(figure, f"w{number}n", "    "), "  end"]
    lines += [f"  classDef {name} {style}" for name, style in _CLASSES.items()]
    return "\n".join([*lines, ""])


def _body(figure: Figure, prefix: str, indent: str) -> list[str]:
    lines = []
    for number, box in enumerate(figure.boxes):
        opening, closing = _SHAPES[box.kind]
        label = _quoted(box.name if box.detail == box.kind else f"{box.name}\n{box.detail}")
        group = box.kind if box.kind in _CLASSES else _GROUPS.get(box.kind, "control")
        lines.append(f"{indent}{prefix}{number}{opening}{label}{closing}:::{group}")
    for line in figure.lines:
        label = f"|{_quoted(line.label)}|" if line.label else ""
        lines.append(f"{indent}{prefix}{line.source} {_ARROWS[line.style]}{label} {prefix}{line.target}")
    return lines


def _quoted(text: str) -> str:
    """A string of Mermaid: all but letters, digits and a few harmless signs become its entities."""
    return (
        '"'
        + re.sub(r"[^\w \n.,:;→/()+-]", lambda char: f"#{ord(char[0])};", text).replace("\n", "<br/>")
        + '"'
    )


def _front_matter(text: str) -> str:
    """A string of YAML in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
