import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module

import click
from markdown.extensions.toc import slugify
from symphony_host.cli.commands import COMMANDS
from symphony_host.cli.root import root
from symphony_host.configuration import Settings, load_settings
from symphony_sdk import manifest
from symphony_workflow import loads, templates

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_RUNNER = """
import sys
from symphony_sdk.testing import recording_context

for file in sys.argv[1:]:
    names = {"__name__": "__main__"}
    exec(compile(open(file, encoding="utf-8").read(), file, "exec"), names)
    for name, value in list(names.items()):
        if name.startswith("test_"):
            value(recording_context())
"""


def anchors(page) -> set[str]:
    return {slugify(heading, "-") for heading in page.headings}


def broken_links(docs, pages) -> list[str]:
    broken = []
    for name, page in pages.items():
        for target, anchor in _LINK.findall(page.prose):
            if "://" in target:
                continue
            path = (page.path.parent / target).resolve() if target else page.path
            found = path.relative_to(docs.resolve()).as_posix() if path.is_relative_to(docs.resolve()) else ""
            if found.startswith("assets/") and path.is_file():  # a picture
                continue
            if found not in pages or (anchor and anchor not in anchors(pages[found])):
                broken.append(f"{name}: {target}#{anchor}")
    return broken


def test_every_link_between_pages_leads_somewhere(docs, pages):
    assert sum(len(_LINK.findall(page.prose)) for page in pages.values()) > 50
    assert broken_links(docs, pages) == []


def test_a_link_to_a_heading_that_is_gone_is_found(docs, pages):
    page = pages["index.md"]
    text = page.text
    try:
        page.text = text + "\n[gone](reference/hooks.md#symphony_gone) [away](nowhere.md)\n"
        assert broken_links(docs, pages) == [
            "index.md: reference/hooks.md#symphony_gone",
            "index.md: nowhere.md#",
        ]
    finally:
        page.text = text


def test_the_navigation_has_every_page_once(docs, pages):
    site = tomllib.loads((docs.parent / "zensical.toml").read_text("utf-8"))

    def files(entries):
        for entry in entries:
            for value in entry.values():
                yield from files(value) if isinstance(value, list) else [value]

    assert sorted(files(site["project"]["nav"])) == sorted(pages)


def test_every_block_says_what_language_it_is(pages):
    languages = {"python", "toml", "json", "console", "text", "mermaid", "sh"}
    unknown = [
        (name, block.language)
        for name, page in pages.items()
        for block in page.blocks
        if block.language not in languages
    ]
    assert not unknown


def test_every_python_block_runs(pages, tmp_path):
    failed = []
    for name, page in pages.items():
        # The blocks of the tutorial are files of its project: its own test runs them.
        texts = [block.text for block in page.blocks if block.language == "python" and not block.title]
        # An example of the reference stands alone; the blocks of any other page are one program.
        sources = texts if name.startswith("reference/") or not texts else ["\n".join(texts)]
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir()
        files = [folder / f"block_{number}.py" for number in range(len(sources))]
        for file, source in zip(files, sources, strict=True):
            file.write_text(source, "utf-8")
        if files:
            ran = subprocess.run(
                [sys.executable, "-c", _RUNNER, *map(str, files)],
                cwd=folder,
                env=os.environ
                | {
                    "SYMPHONY_DATA_DIR": str(tmp_path / "data"),
                    "SYMPHONY_CACHE_DIR": str(tmp_path / "cache"),
                    "SYMPHONY_CONFIG_DIR": str(tmp_path / "config"),
                },
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if ran.returncode:
                failed.append(f"{name}: {ran.stderr}")
    assert not failed, "\n".join(failed)


def test_every_manifest_workflow_and_configuration_on_a_page_is_valid(pages, tmp_path):
    checked = set()
    config = tmp_path / "config.toml"
    for name, page in pages.items():
        for block in page.blocks:
            if block.language == "json" and "template" in json.loads(block.text):
                assert templates.check_template(templates.loads(block.text)) == []
                checked.add("template")
            elif block.language == "json":
                assert loads(block.text).nodes
                checked.add("workflow")
            elif block.language == "toml":
                document = tomllib.loads(block.text)
                if "schema" in document:
                    assert manifest.parse(block.text, file=name).extension.id
                    checked.add("manifest")
                elif document.keys() <= {*Settings._fields, "extensions"}:
                    config.write_text(block.text, "utf-8")
                    assert load_settings(file=config, environ={}).file == config
                    checked.add("configuration")
    assert checked == {"workflow", "template", "manifest", "configuration"}


def test_every_command_on_a_page_exists_with_its_options(pages):
    checked = 0
    for name, page in pages.items():
        for block in page.blocks:
            if block.language == "console":
                for line in re.findall(r"^\$ (?:[A-Z_]+=\S+ )*symphony (.+)$", block.text, re.MULTILINE):
                    check_command(name, shlex.split(line))
                    checked += 1
    assert checked > 20


def check_command(page: str, words: list[str]) -> None:
    assert words[0] in COMMANDS, f"{page}: symphony {words[0]}"
    module, _, attribute = COMMANDS[words[0]].target.partition(":")
    command, rest = getattr(import_module(module), attribute), words[1:]
    if isinstance(command, click.Group) and (rest or not command.invoke_without_command):
        child = command.get_command(click.Context(command), rest[0])
        assert child is not None, f"{page}: symphony {' '.join(words)}"
        command, rest = child, rest[1:]
    _, _, given = command.make_parser(
        click.Context(command, parent=click.Context(root, **root.context_settings))
    ).parse_args(list(rest))
    arguments = [each for each in command.params if isinstance(each, click.Argument) and each.required]
    assert len(arguments) <= len(given), f"{page}: symphony {' '.join(words)}"
