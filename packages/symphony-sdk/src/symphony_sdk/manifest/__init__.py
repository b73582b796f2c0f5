"""The manifest of an extension, `symphony.toml`: its schema, one module a section, and its reader.

Imports pydantic, which a worker and a warm host do without: they read
[ManifestRecord][symphony_sdk.manifest_record.ManifestRecord].
"""

from symphony_sdk.manifest.config import ConfigSection, Setting
from symphony_sdk.manifest.extension import ExtensionSection
from symphony_sdk.manifest.inheritance import resolve
from symphony_sdk.manifest.marketplace import MarketplaceSection
from symphony_sdk.manifest.model import SCHEMA, Manifest
from symphony_sdk.manifest.permissions import DeclaredPermission, PermissionsSection
from symphony_sdk.manifest.reader import FILE_NAME, LARGEST, load, load_document, parse
from symphony_sdk.manifest.requires import ExtensionRequirementSection, RequiresSection
from symphony_sdk.manifest.resources import ResourcesSection
from symphony_sdk.manifest.templates import TemplatesSection

__all__ = [
    "FILE_NAME",
    "LARGEST",
    "SCHEMA",
    "ConfigSection",
    "DeclaredPermission",
    "ExtensionRequirementSection",
    "ExtensionSection",
    "Manifest",
    "MarketplaceSection",
    "PermissionsSection",
    "RequiresSection",
    "ResourcesSection",
    "Setting",
    "TemplatesSection",
    "load",
    "load_document",
    "parse",
    "resolve",
]
