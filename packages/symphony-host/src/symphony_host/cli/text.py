"""Text for a terminal: columns, amounts for people, and foreign text made harmless."""

from collections.abc import Iterable, Sequence


def clean(text: str) -> str:
    """`text` on one line without control characters, which could move the cursor or recolour the terminal.

    Args:
        text: Anything, perhaps from an extension.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text).strip()


def columns(rows: Iterable[Sequence[str]], *, indent: int = 0) -> list[str]:
    """Rows as lines whose cells stand below each other; the last cell may be of any length.

    Args:
        rows: The cells of each row, all rows of one length.
        indent: Spaces before each line.
    """
    table = [[clean(cell) for cell in row] for row in rows]
    if not table:
        return []
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]) - 1)]
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((" " * indent + "  ".join([*cells, row[-1]])).rstrip())
    return lines


def seconds(amount: float) -> str:
    """A duration for people, such as `0.21 s` or `3 min 05 s`.

    Args:
        amount: Seconds.
    """
    if amount < 99.5:
        return f"{amount:.2f} s" if amount < 9.995 else f"{amount:.1f} s"
    minutes, rest = divmod(round(amount), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(amount: int) -> str:
    """A number of bytes for people, such as `12.3 KiB`.

    Args:
        amount: Bytes.
    """
    if amount < 1024:
        return f"{amount} B"
    value = float(amount)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1000 or unit == "TiB":
            return f"{value:.1f} {unit}"
    raise AssertionError("the loop returns at the last unit")


def moment(at: float) -> str:
    """A Unix time as local date and time.

    Args:
        at: Seconds since 1970.
    """
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as `1 node` or `3 nodes`.

    Args:
        number: How many.
        noun: What one of them is called.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
