"""Pictures of workflows: a tree or a graph for the terminal, Graphviz, Mermaid and SVG."""

from symphony_workflow.drawing.dot import to_dot
from symphony_workflow.drawing.graph import draw_graph
from symphony_workflow.drawing.mermaid import to_mermaid
from symphony_workflow.drawing.svg import to_svg
from symphony_workflow.drawing.tree import draw_tree

__all__ = ["draw_graph", "draw_tree", "to_dot", "to_mermaid", "to_svg"]
