"""The thin host of Symphony: discovery, plugins, configuration and the `symphony` command."""
