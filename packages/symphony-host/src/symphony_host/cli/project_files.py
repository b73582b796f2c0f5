"""Finds what ships beside the code: in the checkout that one works in, or inside the installed package."""

from pathlib import Path

from symphony_sdk.errors import PortError


def checkout() -> Path | None:
    """The checkout of Symphony around the working directory or around this file; None outside of one."""
    for place in (Path.cwd(), Path(__file__).resolve()):
        for directory in (place, *place.parents):
            if (directory / "examples" / "workflows" / "code-atlas.json").is_file():
                return directory
    return None


def shipped(relative: str) -> Path:
    """A file or folder of the checkout, or the copy of it that the wheel has.

    Args:
        relative: Its path in the checkout.

    Raises:
        PortError: SYM-O080, it is in neither.
    """
    root = checkout()
    packaged = Path(__file__).resolve().parents[1] / "shipped" / Path(relative).name
    for path in ((root / relative) if root else packaged, packaged):
        if path.exists():
            return path
    raise PortError(
        f"{relative} did not come with this installation of symphony-host",
        code="SYM-O080",
        hint="Install symphony-host again.",
    )
