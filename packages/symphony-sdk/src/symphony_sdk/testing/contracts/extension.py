"""The contract of every extension that runs in a worker."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from symphony_sdk.contributions import Rating, rating_fault
from symphony_sdk.extension import Addon, Instrument, Operator, Scorer
from symphony_sdk.loading import LIFECYCLE, Contributions, load_extension
from symphony_sdk.manifest import Manifest
from symphony_sdk.manifest import load as load_manifest
from symphony_sdk.testing.context import recording_context
from symphony_sdk.testing.contracts.contract import Contract
from symphony_sdk.testing.sample_artifact import SampleArtifact
from symphony_sdk.values import decode, encode

_QUIET_IMPORT = """
import importlib, sys
importlib.import_module(sys.argv[1])
assert "symphony_host" not in sys.modules, "the module imports the host"
"""


class ExtensionContract(Contract):
    """What every extension keeps. Subclass it in your tests:

    ```python
    class TestMyExtension(ExtensionContract):
        package = "acme_text"
        examples = {"acme.text.word-count": {"text": "to be or not to be"}}
    ```

    Attributes:
        package: Import name of the package that holds `symphony.toml`.
        examples: Inputs by the id of the operation; each operation is run with its example. What is a
            [SampleArtifact][symphony_sdk.testing.sample_artifact.SampleArtifact] is put into the Artifact Store first.
        config: Settings to run with; those of the manifest's defaults unless given.
        models: What stands in for models of other extensions, as of `recording_context`.
    """

    package: ClassVar[str] = ""
    examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    config: ClassVar[Mapping[str, Any]] = {}
    models: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    @property
    def manifest_path(self) -> Path:
        """Where the manifest lies, found without importing the package."""
        assert self.package, "set `package` to the import name of the package that holds symphony.toml"
        spec = find_spec(self.package)
        assert spec is not None and spec.submodule_search_locations, f"{self.package} is not installed"
        return Path(spec.submodule_search_locations[0]) / "symphony.toml"

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return load_manifest(self.manifest_path)

    def load(self) -> Contributions:
        """The extension's contributions, loaded as in a worker."""
        return load_extension(self.manifest.extension.id, self.manifest.extension.module)

    def test_the_manifest_is_valid(self) -> None:
        """Every key is known and every value is allowed."""
        assert self.manifest.extension.id

    def test_an_entry_point_names_the_manifest(self) -> None:
        """The host finds the extension when its distribution is installed."""
        values = {point.value for point in entry_points(group="symphony.extensions")}
        assert f"{self.package}:symphony.toml" in values, (
            f'write `[project.entry-points."symphony.extensions"]` with the value "{self.package}:symphony.toml"'
        )

    def test_the_import_is_quiet(self) -> None:
        """Importing the module prints nothing, warns of nothing and imports nothing of the host."""
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", _QUIET_IMPORT, self.manifest.extension.module],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")

    def test_every_hook_exists_and_has_the_right_arguments(self) -> None:
        """Hooks and contributions are what their specifications say."""
        assert self.load().hooks, "the module implements no hook: mark a function with @provides_operators"

    def test_it_contributes_what_its_kind_promises(self) -> None:
        """An operator extension brings operators, an instrument extension instruments, an addon addons."""
        contributions = self.load()
        kind = self.manifest.extension.kind
        wanted = {"operator": Operator, "instrument": Instrument, "addon": Addon}.get(kind)
        found = [*contributions.operations.values(), *contributions.addons]
        assert wanted is None or any(isinstance(item, wanted) for item in found), (
            f"the manifest says kind = {kind!r}, and the module contributes no {kind}"
        )

    def test_every_operation_is_described(self) -> None:
        """An operation has a title and a description that people can read in a drawing."""
        for id, operation in self.load().operations.items():
            assert operation.spec.title, f"{id} has no title"
            assert operation.spec.description, f"{id} has no docstring"

    def test_what_the_host_keeps_of_it_survives_the_wire(self) -> None:
        """Ports and addons are the same after they were encoded and decoded."""
        contributions = self.load()
        for spec in [operation.spec for operation in contributions.operations.values()]:
            assert decode(encode(spec), type(spec)) == spec
        for addon in contributions.addons:
            assert decode(encode(addon.spec), type(addon.spec)) == addon.spec

    def test_its_life_cycle_can_be_repeated(self) -> None:
        """Load, activate, deactivate and unload work twice in one process."""
        contributions = self.load()
        context = self._context()
        for step in (*LIFECYCLE, *LIFECYCLE):
            for hook in contributions.lifecycle[step]:
                hook(context)

    def test_each_example_runs(self) -> None:
        """Each operation takes its example and returns what its annotation says; a scorer, what can be kept."""
        contributions = self.load()
        unknown = set(self.examples) - set(contributions.operations)
        assert not unknown, f"`examples` names operations that the extension has not: {sorted(unknown)}"
        for id, inputs in self.examples.items():
            operation = contributions.operations[id]
            context = self._context()
            given = {
                port: value.put(context) if isinstance(value, SampleArtifact) else value
                for port, value in inputs.items()
            }
            arguments = operation.signature.decode(
                {port: msgspec.Raw(encode(value)) for port, value in given.items()}
            )
            if isinstance(operation, Instrument):
                operation.load(context)
                try:
                    result = _finished(operation.infer(context, **arguments))
                finally:
                    operation.unload()
            else:
                result = _finished(operation.function(context, **arguments))
            required = {port.name for port in operation.spec.outputs if port.required}
            assert required <= set(operation.signature.encode(result))
            if isinstance(operation, Scorer) and isinstance(result, Rating):
                assert not rating_fault(result), f"{id} gave {result}: {rating_fault(result)}"
                kind = arguments["artifact"].media_type
                assert kind.startswith(operation.accepts or ""), (
                    f"{id} is not asked about {kind}, as its example is"
                )

    def _context(self) -> Any:
        declared = self.manifest
        return recording_context(
            config={**declared.config_defaults(), **self.config},
            permissions=[str(permission) for permission in declared.permission_set()],
            models=self.models,
        )


def _finished(result: Any) -> Any:
    if not hasattr(result, "__await__"):
        return result
    import asyncio

    async def wait() -> Any:
        return await result

    return asyncio.run(wait())
