"""A model that runs on the processor: magika, which asks onnxruntime what a file is."""

from pathlib import Path

from magika import Magika
from symphony_sdk import Context, operator, provides_operators

CONTENT = {
    "a.py": "import os\n\n\nclass A:\n    def f(self):\n        return os.getcwd()\n" * 5,
    "a.json": '{"name": "value", "list": [1, 2, 3], "more": {"a": null}}',
    "a.html": "<!DOCTYPE html><html><head><title>t</title></head><body><p>text</p></body></html>",
    "a.txt": "The quick brown fox jumps over the lazy dog, and so on, and on, for a while. " * 10,
}


@operator("acme.magika.work")
def work(ctx: Context) -> dict[str, str]:
    """Classify files, one by one and together."""
    paths = [Path(name) for name in CONTENT]
    for path in paths:
        path.write_text(CONTENT[path.name])
    model = Magika()
    together = [result.output.label for result in model.identify_paths(paths)]
    single = model.identify_bytes(CONTENT["a.py"].encode())
    found = dict(zip(CONTENT, map(str, together), strict=True))
    return found | {"bytes": f"{single.output.label} {single.score:.2f}"}


@provides_operators
def symphony_operators():
    yield work
