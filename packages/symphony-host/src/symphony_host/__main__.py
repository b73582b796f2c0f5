"""The `symphony` command; `--version` and `--help` answer without importing a framework."""

import os
import sys


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code, as [symphony_host.cli.exits][] lists them.
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        import symphony_sdk

        print(f"symphony {symphony_sdk.__version__}")
        return 0
    if arguments in ([], ["--help"], ["-h"]) and "_SYMPHONY_COMPLETE" not in os.environ:
        from symphony_host.cli.front_page import front_page

        print(front_page())
        return 0
    from symphony_host.cli.root import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
