"""The formats are an extension like any other, and tell their files from those of each other."""

import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files

import pluggy
import pytest
from symphony_sdk.hookspecs import HostHooks
from symphony_sdk.manifest import parse
from symphony_sdk.markers import PROJECT
from symphony_workflow_formats import plugin

NAMES = {"comfyui", "comfyui-api", "wfformat", "n8n", "cwl"}


def test_its_entry_point_names_its_manifest():
    (point,) = entry_points(group="symphony.extensions", name="workflow-formats")
    package, _, file = point.value.partition(":")
    manifest = parse((files(package) / file).read_text("utf-8"), file=file)
    assert (manifest.extension.id, manifest.extension.runs) == ("symphony.workflow-formats", "host")


def test_its_hook_gives_every_format_and_a_writer_for_all_but_two(formats):
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HostHooks)
    manager.register(plugin)
    manager.check_pending()
    ((*given,),) = manager.hook.symphony_workflow_formats()
    assert {one.name for one in given} == NAMES
    assert {one.name for one in given if one.write is None} == {"comfyui", "n8n"}


def test_registering_it_imports_no_format_and_nothing_heavy():
    code = (
        "import sys; from symphony_workflow_formats import plugin; list(plugin.symphony_workflow_formats())\n"
        "print(sorted({'yaml', 'pydantic', 'symphony_workflow', 'symphony_workflow_formats.n8n'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


FILES = {
    "comfyui": [
        b'{"last_node_id": 3, "nodes": [], "links": []}',
        b'{"version": 1, "state": {"lastNodeId": 3}, "nodes": [], "links": []}',
        b'{"nodes": [{"widgets_values": []}], "links": []}',
    ],
    "comfyui-api": [b'{"3": {"class_type": "KSampler", "inputs": {}}}'],
    "wfformat": [b'{"name": "x", "schemaVersion": "1.5", "workflow": {"specification": {"tasks": []}}}'],
    "n8n": [
        b'{"nodes": [{"type": "n8n-nodes-base.set"}], "connections": {}}',
        b'{"nodes": [{"type": "@n8n/n8n-nodes-langchain.agent"}], "connections": {}}',
        b'{"nodes": [{"parameters": {"text": "{\\"last_node_id\\": 3, \\"links\\": []}"}}], "connections": {}}',
    ],
    "cwl": [
        b"#!/usr/bin/env cwl-runner\ncwlVersion: v1.2\nclass: Workflow\n",
        b'{"cwlVersion": "v1.2", "$graph": []}',
        b'{\n  "class": "Workflow",\n  "cwlVersion": "v1.2"}',
    ],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, many in FILES.items() for data in many])
def test_each_format_knows_its_files_best(formats, name, data):
    sure = {each: format.detect(data) for each, format in formats.items()}
    assert max(sure, key=sure.__getitem__) == name
    assert sorted(sure.values())[-2] < sure[name] <= 1


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b'{"schema": 2, "id": "x", "nodes": {}}'])
def test_what_is_of_no_format_is_known_to_none(formats, data):
    assert {format.detect(data) for format in formats.values()} == {0.0}
