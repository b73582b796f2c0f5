"""What is said of a timeline in words: its headline, its description, the note of a bar."""

from symphony_workflow.drawing.text import shorten

from symphony_host.cli.text import moment, seconds
from symphony_host.timeline.record import Bar, BarState, Timeline

STATE_WORDS: dict[BarState, str] = {
    "completed": "",
    "failed": "failed",
    "retried": "failed, tried again",
    "stopped": "stopped with the run",
    "running": "still runs",
    "waiting": "waits for a person",
    "reused": "reused from another run",
}


def headline(timeline: Timeline) -> tuple[str, str]:
    """The title of a timeline, and its facts in a line.

    Args:
        timeline: What is told of.
    """
    facts = [
        f"{timeline.state} after {seconds(timeline.seconds)}",
        f"{timeline.nodes:,} nodes",
    ]
    for count, what in (
        (timeline.count("failed"), "failed"),
        (timeline.count("retried"), "retried"),
        (timeline.count("reused"), "reused"),
        (timeline.skipped, "skipped"),
        (len(timeline.pauses), "paused"),
    ):
        facts += [f"{count:,} {what}"] if count else []
    return f"{timeline.workflow}: run {timeline.run}", f"{' · '.join(facts)} · began {moment(timeline.begin)}"


def description(timeline: Timeline) -> str:
    """What a picture of a timeline shows, in words.

    Args:
        timeline: What is told of.
    """
    path = [shorten(name, 40) for name in timeline.path]
    told = " then ".join(path if len(path) <= 8 else [*path[:4], "...", *path[-3:]])
    return (
        f"{headline(timeline)[1]}. The critical path has {len(path):,} nodes: {told}."
        if path
        else f"{headline(timeline)[1]}."
    )


def note_of(bar: Bar) -> str:
    """All there is to say of a bar, for where a pointer rests on it.

    Args:
        bar: The bar.
    """
    item = f"[{bar.item}]" if bar.item >= 0 else ""
    told = [f"{bar.operation} · {seconds(bar.seconds)}, from {bar.start:.3f} s to {bar.end:.3f} s"]
    if bar.attempt > 1:
        told.append(f"attempt {bar.attempt}")
    if bar.start - bar.ready > 0.0005:
        told.append(f"had waited {seconds(bar.start - bar.ready)}")
    if bar.place:
        told.append(f"on {bar.place}")
    if STATE_WORDS[bar.state]:
        told.append(STATE_WORDS[bar.state])
    if bar.note:
        told.append(shorten(bar.note, 300))
    if bar.critical:
        told.append("on the critical path")
    return "\n".join([shorten(f"{bar.node}{item}", 200), *(shorten(one, 320) for one in told)])
