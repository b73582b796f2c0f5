"""What the extension tells and gives the host."""

import importlib.resources
import os
import subprocess
import sys

import pluggy
import pytest
import symphony_tier_objects
from symphony_sdk import manifest
from symphony_sdk.hookspecs import HostHooks
from symphony_sdk.markers import PROJECT
from symphony_tier_objects import plugin


def test_each_scheme_has_a_tier_that_opens_at_its_urls(tmp_path):
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HostHooks)
    manager.register(plugin)
    manager.check_pending()
    (given,) = manager.hook.symphony_artifact_tiers()
    schemes = {each.scheme: each for each in given}
    assert schemes.keys() == {"s3", "gs", "az", "file"}
    (tmp_path / "tier").mkdir()
    tier = schemes["file"].create(None)(f"file://{tmp_path}/tier")
    assert tier.put("a", b"x")
    assert (tmp_path / "tier/a").read_bytes() == b"x"


def test_the_manifest_is_one():
    text = importlib.resources.files(symphony_tier_objects).joinpath("symphony.toml").read_text("utf-8")
    assert manifest.parse(text, file="symphony.toml").extension.id == "symphony.tier-objects"


def test_reading_the_hooks_imports_no_client():
    code = (
        "import sys, symphony_tier_objects.plugin as plugin\n"
        "assert len([*plugin.symphony_artifact_tiers()]) == 4\n"
        "print(sorted({'obstore', 'pydantic'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, timeout=60)
    assert printed == "[]\n"


def test_a_name_that_the_package_does_not_have_is_said():
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = symphony_tier_objects.Nonsense
