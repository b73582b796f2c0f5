"""What every contract has: the test that none of its tests was replaced."""


class Contract:
    """The root of all contracts."""

    def test_no_test_of_the_contract_is_replaced(self) -> None:
        """A subclass adds tests; a rule that it replaced would be a rule that nobody checks."""
        contract_tests: dict[str, type] = {}
        for owner in reversed(type(self).__mro__):
            for name, value in vars(owner).items():
                if not name.startswith("test"):
                    continue
                inherited = contract_tests.setdefault(name, owner)
                assert inherited is owner or value is getattr(inherited, name), (
                    f"{owner.__qualname__}.{name} replaces the test of {inherited.__qualname__}: "
                    "give your own test another name"
                )
