"""The filter of system calls decides as its rules say: its program is run here, one instruction after another."""

import re
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_isolation.sandbox import Limits, SandboxPolicy, bpf, kernel, landlock, seccomp

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003

paths = st.lists(st.just("/bin/true"), max_size=1).map(tuple)
policies = st.builds(
    SandboxPolicy,
    st.sampled_from(["full", "fallback"]),
    execute=paths,
    limits=st.builds(Limits, processes=st.integers(0, 3)),
)
surroundings = st.tuples(st.integers(1, 1 << 22), st.booleans(), st.integers(1, 9))
small = st.sampled_from([0, 1, 2, 5, 8, 10, 15, 1026, 0x10000, 0x5412, 0x10000000, 0o4755, 0o1000, 17])
words = st.one_of(small, small.map(lambda low: low | 1 << 32), st.integers(0, (1 << 64) - 1))
arguments = st.lists(words, min_size=6, max_size=6)


def decided(program, number, arguments, architecture):
    """What a program of classic BPF returns; as `linux/filter.h` says."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    code = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        operation, when_true, when_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += when_true if accumulator == operand else when_false
            case 0x35:
                at += when_true if accumulator >= operand else when_false
            case 0x45:
                at += when_true if accumulator & operand else when_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")


def rules_of(policy, surrounding):
    pid, pid_namespace, abi = surrounding
    return seccomp.rules(policy, pid=pid, pid_namespace=pid_namespace, landlock_abi=abi)


def numbered(rules):
    return {kernel.NUMBERS[name]: checks for name, checks in rules.items() if name in kernel.NUMBERS}


@given(policies, surroundings, st.data(), arguments)
def test_each_call_is_decided_as_the_first_check_that_objects_says(policy, surrounding, data, arguments):
    rules = numbered(rules_of(policy, surrounding))
    number = data.draw(st.one_of(st.sampled_from(sorted(rules)), st.integers(0, kernel.NEWEST)))
    expected = next((check.verdict for check in rules.get(number, ()) if check.objects(arguments)), bpf.ALLOW)
    program = bpf.assemble(rules, architecture=X86_64, newest=kernel.NEWEST, unknown=bpf.refusal(38))
    assert decided(program, number, arguments, X86_64) == expected


@given(policies, surroundings, st.integers(0, (1 << 32) - 1), arguments)
def test_a_call_in_another_way_or_of_another_time_is_never_allowed(policy, surrounding, number, arguments):
    rules = numbered(rules_of(policy, surrounding))
    program = bpf.assemble(rules, architecture=X86_64, newest=kernel.NEWEST, unknown=bpf.refusal(38))
    for architecture in (I386, AARCH64):
        assert decided(program, number, arguments, architecture) == bpf.KILL_PROCESS
    assert decided(program, number | 0x40000000, arguments, X86_64) == bpf.KILL_PROCESS
    if number > kernel.NEWEST:
        assert decided(program, number, arguments, X86_64) != bpf.ALLOW


@given(
    policies,
    surroundings,
    st.sampled_from(["socket", "ptrace", "mount", "unshare", "bpf", "io_uring_setup"]),
    arguments,
)
def test_the_worst_is_refused_whatever_the_policy_and_the_arguments(policy, surrounding, name, arguments):
    rules = rules_of(policy, surrounding)
    for report in (False, True):
        program = seccomp.program(rules, report=report)
        verdict = decided(program, kernel.NUMBERS[name], arguments, kernel.ARCHITECTURES[kernel.MACHINE])
        assert verdict == bpf.USER_NOTIF if report else verdict & 0x7FFF0000 == 0x50000


@given(policies, surroundings, arguments)
def test_without_a_program_to_execute_and_processes_to_start_there_is_only_a_thread(
    policy, surrounding, arguments
):
    program = seccomp.program(rules_of(policy, surrounding))
    flags = arguments[0] & 0xFFFFFFFF

    def allowed(name):
        architecture = kernel.ARCHITECTURES[kernel.MACHINE]
        return decided(program, kernel.NUMBERS[name], arguments, architecture) == bpf.ALLOW

    outside = flags & 0x7E020000
    assert allowed("clone") == (
        not outside and not flags & 0xA000 and (policy.starts_processes or bool(flags & 0x10000))
    )
    assert allowed("execve") == bool(policy.execute)
    assert not allowed("clone3")
    own = arguments[0] & 0xFFFFFFFF == surrounding[0]
    contained = surrounding[1] or surrounding[2] >= landlock.SCOPES
    assert allowed("kill") == (own or (policy.starts_processes and contained))


@given(surroundings, arguments)
def test_only_in_a_network_of_its_own_may_it_open_sockets_to_its_proxy(surrounding, arguments):
    program = seccomp.program(rules_of(SandboxPolicy("full", proxy=True), surrounding))
    architecture = kernel.ARCHITECTURES[kernel.MACHINE]
    family, kind, protocol = (one & 0xFFFFFFFF for one in arguments[:3])
    tcp = family in (2, 10) and kind & 0xF == 1 and protocol in (0, 6)
    made = decided(program, kernel.NUMBERS["socket"], arguments, architecture) == bpf.ALLOW
    connected = decided(program, kernel.NUMBERS["connect"], arguments, architecture) == bpf.ALLOW
    assert made == (tcp and surrounding[1])
    assert connected == surrounding[1]
    assert decided(program, kernel.NUMBERS["listen"], arguments, architecture) != bpf.ALLOW


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
@pytest.mark.parametrize(
    ("file", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_the_numbers_of_system_calls_are_those_of_the_headers(file, column):
    if not Path(file).exists():
        pytest.skip(f"{file} is not installed")
    known = re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", Path(file).read_text())
    known = {name: int(number) for name, number in known}
    ours = {name: numbers[column] for name, numbers in kernel._NUMBERS.items()}
    if column == 0:
        ours |= kernel._OLD
    wrong = {name: number for name, number in ours.items() if known.get(name, number) != number}
    assert wrong == {}
    assert len(known.keys() & ours.keys()) > 80


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_the_constants_of_landlock_are_those_of_another_implementation():
    landlockpy = pytest.importorskip("landlockpy")
    for access in landlock.Access:
        assert landlockpy.AccessFS[access.name] == access
    for abi in range(1, 8):
        assert int(landlockpy.fs_for_abi(abi)) == (1 << landlock._BITS.get(abi, 16)) - 1
        assert int(landlockpy.net_for_abi(abi)) == (landlock._NETWORK if abi >= 4 else 0)
        assert int(landlockpy.scope_for_abi(abi)) == (landlock._SCOPES if abi >= landlock.SCOPES else 0)
    try:
        abi = landlock.abi()
    except OSError as error:
        pytest.skip(f"no Landlock: {error}")
    assert landlockpy.abi_version() == abi
