"""The thin host of Symphony: discovery, plugins, configuration and the `symphony` command."""

__version__ = "0.1.0"
