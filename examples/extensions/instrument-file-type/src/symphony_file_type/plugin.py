"""The instrument: Google's magika model, run offline on the CPU."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from symphony_sdk import Context, Instrument, provides_instruments


class FileEntry(msgspec.Struct, frozen=True):
    """A file to classify.

    Args:
        path: Absolute path.
        relative: Path to show to people.
        size: Bytes.
    """

    path: str
    relative: str
    size: int


class ClassifiedFile(FileEntry, frozen=True):
    """A file and what it is.

    Args:
        path: Absolute path.
        relative: Path to show to people.
        size: Bytes.
        label: What the model says it is, such as `python`; `unreadable` where it cannot be read.
        group: The kind of content, such as `code` or `image`.
        mime: Media type.
        is_text: Whether it is text.
        score: How sure the model is, from 0 to 1.
    """

    label: str
    group: str
    mime: str
    is_text: bool
    score: float


class FileType(Instrument):
    """Tells what a file is by its content, with the magika model."""

    id = "symphony.file-type.classify"
    title = "Classify a file"

    def load(self, ctx: Context) -> None:
        """Load the model that the magika package ships."""
        from magika import Magika  # numpy and onnxruntime take a second: not while the ports are read

        self._model: Any = Magika()
        ctx.log.info(f"loaded {self._model.get_model_name()}")

    def infer(
        self,
        ctx: Context,
        file: Annotated[FileEntry, msgspec.Meta(description="The file to classify")],
    ) -> ClassifiedFile:
        """Classify a file; one that cannot be read is labelled so, and the workflow goes on."""
        about = (file.path, file.relative, file.size)
        result = self._model.identify_path(ctx.files.check(file.path, "read"))
        if not result.ok:
            ctx.log.warning(f"{file.relative}: {result.status}")
            return ClassifiedFile(*about, "unreadable", "unknown", "", False, 0.0)
        kind = result.prediction.output
        return ClassifiedFile(
            *about, str(kind.label), kind.group, kind.mime_type, kind.is_text, float(result.score)
        )

    def unload(self) -> None:
        """Forget the model."""
        del self._model


@provides_instruments
def symphony_instruments() -> Iterator[Instrument]:
    """The instruments of this extension."""
    yield FileType()
