"""What the extension tells and gives the host."""

import asyncio
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import symphony_transport_nats
from symphony_ipc.bus import Bus
from symphony_sdk import manifest
from symphony_sdk.messages import Done
from symphony_transport_nats import NatsSettings
from symphony_transport_nats.plugin import symphony_bus_uplinks


def read_manifest():
    text = importlib.resources.files(symphony_transport_nats).joinpath("symphony.toml").read_text("utf-8")
    return manifest.parse(text, file="symphony.toml")


def test_every_setting_of_the_manifest_is_one_of_the_uplink_with_the_same_default():
    parsed = read_manifest()
    settings = parsed.config.model_dump(exclude_none=True)["properties"]
    assert settings.keys() == set(NatsSettings.__struct_fields__)
    given = {name: setting["default"] for name, setting in settings.items() if "default" in setting}
    assert NatsSettings.of(given) == NatsSettings()


def test_a_node_joins_by_what_the_extension_provides(server):
    async def main():
        (provider,) = symphony_bus_uplinks()
        assert provider.name == "nats"
        bus = Bus("host")
        await bus.join(await provider.connect(SimpleNamespace(config={"url": server.url})))
        async with await bus.subscribe("kept", durable="plugin"):
            await bus.deliver("kept", Done())
        await bus.close()

    asyncio.run(main())


def test_reading_the_hooks_imports_neither_the_client_nor_an_event_loop():
    code = (
        "import sys, symphony_transport_nats.plugin as plugin\n"
        "assert [each.name for each in plugin.symphony_bus_uplinks()] == ['nats']\n"
        "print(sorted({'nats', 'asyncio', 'symphony_ipc', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_the_example_of_the_readme_runs(server):
    readme = Path(__file__).parents[1] / "README.md"
    (source,) = re.findall(r"^```python\n(.*?)^```$", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", source, server.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("LogLine(level='info', text='hello')\n", "")


def test_a_name_that_the_package_does_not_have_is_said():
    try:
        _ = symphony_transport_nats.Nonsense
    except AttributeError as error:
        assert "Nonsense" in str(error)
    else:
        raise AssertionError("it has")
