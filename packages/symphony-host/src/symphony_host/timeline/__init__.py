"""The timeline of a run: what ran when and where, drawn as SVG or as a page that can be zoomed."""

from symphony_host.timeline.page import to_html
from symphony_host.timeline.picture import to_svg
from symphony_host.timeline.record import Bar, Pause, Timeline, timeline_of

__all__ = ["Bar", "Pause", "Timeline", "timeline_of", "to_html", "to_svg"]
