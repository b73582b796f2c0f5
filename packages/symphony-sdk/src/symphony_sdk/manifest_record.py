"""A validated manifest as the host's index keeps it: read back without pydantic and without tomllib."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from symphony_sdk import config_schema
from symphony_sdk.permissions import Permission, PermissionSet

Kind = Literal[
    "instrument",
    "operator",
    "addon",
    "pit",
    "transport",
    "editor",
    "executor",
    "conductor",
    "data",
    "ui",
    "bridge",
]
Runs = Literal["worker", "host"]
Pricing = Literal["free", "freemium", "paid"]


class ExtensionRequirement(msgspec.Struct, frozen=True):
    """Another extension that this one needs.

    Args:
        id: Its id.
        version: The range of its versions (PEP 440), `*` for any.
        optional: Whether this one works without it.
    """

    id: str
    version: str = "*"
    optional: bool = False


class Requires(msgspec.Struct, frozen=True):
    """What an extension needs around it.

    Args:
        symphony: The range of Symphony's versions (PEP 440), `*` for any.
        extensions: Other extensions.
        after: Ids of extensions that load first where they are there at all.
    """

    symphony: str = "*"
    extensions: tuple[ExtensionRequirement, ...] = ()
    after: tuple[str, ...] = ()


class Resources(msgspec.Struct, frozen=True):
    """The most that an extension's worker may use.

    Args:
        memory: Bytes.
        cpu: Cores.
        gpu: Devices.
        processes: Processes at a time.
        load_timeout: Seconds from its start until it is ready.
        workers: Worker processes that its operations may run in; 0 where their kind decides.
        threads: Threads of all its processes.
        disk: Bytes by which the files that it may write may grow.
    """

    memory: int
    cpu: float
    gpu: float
    processes: int
    load_timeout: float
    workers: int = 0
    threads: int = 256
    disk: int = 4 << 30


class Marketplace(msgspec.Struct, frozen=True):
    """How the marketplace shows an extension.

    Args:
        categories: Slugs, the first one is where it is listed.
        keywords: Words that a search finds it by.
        screenshots: Paths of images, relative to the manifest.
        pricing: Whether it costs money.
        homepage: An `https` address, or nothing.
    """

    categories: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    screenshots: tuple[str, ...] = ()
    pricing: Pricing = "free"
    homepage: str = ""


class ManifestRecord(msgspec.Struct, frozen=True):
    """All that a manifest says, with every default filled in.

    Args:
        id: `publisher.name`.
        kind: What the extension is.
        module: The dotted name of the module with its hooks.
        runs: In which process that module is imported.
        inherits: The id of the extension whose defaults were taken, or nothing.
        requires: What it needs around it.
        permissions: What it asks to be allowed.
        resources: The most that its worker may use.
        config: The JSON Schema of its settings.
        marketplace: How it is shown to those who look for one.
        templates: Paths of workflow templates, relative to the manifest.
    """

    id: str
    kind: Kind
    module: str
    runs: Runs
    inherits: str
    requires: Requires
    permissions: tuple[Permission, ...]
    resources: Resources
    config: dict[str, Any]
    marketplace: Marketplace
    templates: tuple[str, ...] = ()

    @classmethod
    def from_index(cls, document: Mapping[str, Any]) -> "ManifestRecord":
        """The record that [to_index][symphony_sdk.manifest.Manifest.to_index] was called on.

        Args:
            document: An entry of the index, decoded from JSON.

        Raises:
            msgspec.ValidationError: `document` is not such an entry: the index is to be built again.
            ManifestError: SYM-M006, a permission in it is malformed: likewise.
        """
        return msgspec.convert(document, cls)

    def to_index(self) -> dict[str, Any]:
        """This record as JSON-able values, the inverse of `from_index`."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    def permission_set(self, roots: Mapping[str, str] | None = None) -> PermissionSet:
        """All permissions, required and optional.

        Args:
            roots: The absolute path that each variable of a path stands for here.
        """
        return PermissionSet(self.permissions, roots or {})

    def config_defaults(self) -> dict[str, Any]:
        """The default of each setting that has one."""
        return config_schema.defaults(self.config)

    def validate_config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings to run with: `values`, and the defaults where they say nothing.

        Args:
            values: What the user has set, by name.

        Raises:
            ConfigurationError: SYM-C001, listing every setting that is unknown, missing or wrong.
        """
        return config_schema.validate(self.config, values, owner=self.id)
