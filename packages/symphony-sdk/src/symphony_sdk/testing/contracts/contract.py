"""What every contract has: none of its tests can be replaced."""

from typing import Any


class Contract:
    """The root of all contracts. A subclass adds tests; one that replaces a test cannot be made.

    Raises:
        TypeError: A subclass defines a test that one of its bases has.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__mro__[1:]:
            for name in vars(base).keys() & vars(cls).keys():
                if name.startswith("test"):
                    raise TypeError(
                        f"{cls.__qualname__}.{name} replaces the test of {base.__qualname__}: "
                        "give your own test another name"
                    )
