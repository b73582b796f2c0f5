"""Assembles a filter of system calls: classic BPF over `struct seccomp_data`.

A rule is a list of checks, taken in order; the first that objects decides, and the call is allowed where none does.
Only the low 32 bits of an argument are compared: the kernel truncates to `int` what those arguments are.
See `linux/filter.h` and seccomp(2).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000
USER_NOTIF: Final = 0x7FC00000

_LOAD: Final = 0x20
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_BITS: Final = 0x45
_RETURN: Final = 0x06

_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_X32: Final = 0x40000000

Instruction = tuple[int, int, int, int]


def refusal(number: int) -> int:
    """The verdict that a call fails with an error; 0 pretends that it worked.

    Args:
        number: `errno`.
    """
    return 0x50000 | number


class Always(NamedTuple):
    """Objects to every call.

    Args:
        verdict: What becomes of it.
    """

    verdict: int

    def assemble(self) -> Iterator[Instruction]:
        """Its instructions."""
        yield _RETURN, 0, 0, self.verdict

    def objects(self, arguments: Sequence[int]) -> bool:
        """Whether it objects to a call with these arguments."""
        return True


class IfEqual(NamedTuple):
    """Objects where an argument is one of these values.

    Args:
        argument: Its position.
        values: What it must not be.
        verdict: What becomes of the call.
        mask: The bits that count.
    """

    argument: int
    values: tuple[int, ...]
    verdict: int
    mask: int = 0xFFFFFFFF

    def assemble(self) -> Iterator[Instruction]:
        """Its instructions."""
        yield from _load(self.argument, self.mask)
        for left, value in _counted_down(self.values):
            if left:
                yield _JUMP_EQUAL, left, 0, value
            else:
                yield _JUMP_EQUAL, 0, 1, value
        yield _RETURN, 0, 0, self.verdict

    def objects(self, arguments: Sequence[int]) -> bool:
        """Whether it objects to a call with these arguments."""
        return arguments[self.argument] & self.mask in self.values


class UnlessEqual(NamedTuple):
    """Objects where an argument is none of these values.

    Args:
        argument: Its position.
        values: What it may be.
        verdict: What becomes of the call.
        mask: The bits that count.
    """

    argument: int
    values: tuple[int, ...]
    verdict: int
    mask: int = 0xFFFFFFFF

    def assemble(self) -> Iterator[Instruction]:
        """Its instructions."""
        yield from _load(self.argument, self.mask)
        for left, value in _counted_down(self.values):
            yield _JUMP_EQUAL, left + 1, 0, value
        yield _RETURN, 0, 0, self.verdict

    def objects(self, arguments: Sequence[int]) -> bool:
        """Whether it objects to a call with these arguments."""
        return arguments[self.argument] & self.mask not in self.values


class IfBits(NamedTuple):
    """Objects where an argument has any of these bits.

    Args:
        argument: Its position.
        bits: What it must not have.
        verdict: What becomes of the call.
    """

    argument: int
    bits: int
    verdict: int

    def assemble(self) -> Iterator[Instruction]:
        """Its instructions."""
        yield from _load(self.argument)
        yield _JUMP_BITS, 0, 1, self.bits
        yield _RETURN, 0, 0, self.verdict

    def objects(self, arguments: Sequence[int]) -> bool:
        """Whether it objects to a call with these arguments."""
        return bool(arguments[self.argument] & self.bits)


class UnlessNull(NamedTuple):
    """Objects where a pointer is not null; both its halves are looked at.

    Args:
        argument: Its position.
        verdict: What becomes of the call.
    """

    argument: int
    verdict: int

    def assemble(self) -> Iterator[Instruction]:
        """Its instructions."""
        yield from _load(self.argument)
        yield _JUMP_EQUAL, 0, 2, 0
        yield _LOAD, 0, 0, 20 + 8 * self.argument
        yield _JUMP_EQUAL, 1, 0, 0
        yield _RETURN, 0, 0, self.verdict

    def objects(self, arguments: Sequence[int]) -> bool:
        """Whether it objects to a call with these arguments."""
        return arguments[self.argument] != 0


Check = Always | IfEqual | UnlessEqual | IfBits | UnlessNull
Rules = Mapping[int, Sequence[Check]]


def assemble(rules: Rules, *, architecture: int, newest: int, unknown: int) -> bytes:
    """The filter that holds calls to rules; calls without one are allowed.

    Args:
        rules: Checks by number of the system call.
        architecture: `AUDIT_ARCH_*`: who calls in another way, as 32-bit programs do, is killed, and so is x32.
        newest: The highest number that is allowed without a rule.
        unknown: Verdict on what is higher.
    """
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_JUMP_AT_LEAST, 0, 1, newest + 1),
        (_RETURN, 0, 0, unknown),
    ]
    for number, checks in sorted(rules.items()):
        body = [instruction for check in checks for instruction in check.assemble()]
        if not isinstance(checks[-1], Always):
            body.append((_RETURN, 0, 0, ALLOW))
        program.append((_JUMP_EQUAL, 0, len(body), number))
        program.extend(body)
    program.append((_RETURN, 0, 0, ALLOW))
    return b"".join(
        struct.pack("=HBBI", code, when_true, when_false, operand)
        for code, when_true, when_false, operand in program
    )


def _load(argument: int, mask: int = 0xFFFFFFFF) -> Iterator[Instruction]:
    yield _LOAD, 0, 0, 16 + 8 * argument
    if mask != 0xFFFFFFFF:
        yield _AND, 0, 0, mask


def _counted_down(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    for position, value in enumerate(values):
        yield len(values) - 1 - position, value
