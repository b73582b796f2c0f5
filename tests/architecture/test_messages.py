"""Every message of the family is known to its schemas, its reference and the files of what was released."""

import re

from symphony_ipc.schema import MESSAGE_MODULES

# What a contract class of the test kit says to itself is no part of the protocol.
OF_TESTS = "symphony_sdk.testing."


def test_every_module_that_registers_a_message_is_named_in_the_schema(members):
    found = set()
    for member in members:
        for package in member.packages:
            for file in package.rglob("*.py"):
                if re.search(r"^@message\(", file.read_text("utf-8"), re.MULTILINE):
                    found.add(".".join(file.relative_to(package.parent).with_suffix("").parts))
    inside = {module for module in found if not module.startswith(OF_TESTS)}
    assert len(inside) > 2
    of_extensions = {module for module in inside if not module.startswith(("symphony_sdk.", "symphony_ipc."))}
    assert inside - of_extensions == set(MESSAGE_MODULES)
