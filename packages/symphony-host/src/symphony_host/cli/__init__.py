"""The command line of Symphony. A command's module is imported when that command is called."""
