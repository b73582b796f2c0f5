"""Does once, before the first fork, what each worker would otherwise do for itself."""

import ctypes
import gc
import random
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import msgspec
from symphony_ipc.envelope import Envelope
from symphony_sdk import Context, Operator, operator, provides_operators
from symphony_sdk.loading import contributions_of, plugin_manager, prepare
from symphony_sdk.messages import MESSAGES

from symphony_isolation import bootstrap
from symphony_isolation.plan import Plan
from symphony_isolation.sandbox import kernel, landlock, namespaces, privileges, process_limits, seccomp, tree
from symphony_isolation.sandbox.policy import SandboxPolicy
from symphony_isolation.zygote.messages import Answer, Fork, Reap

_NEEDED = (bootstrap, kernel, landlock, namespaces, privileges, process_limits, seccomp, tree, random)
"""Imported for their workers' sake; `random` seeds itself anew in each child."""


def warm_up() -> None:
    """Build what is built at the first use, and share all of it with the children for good.

    Without `gc.freeze` the first collection in a child would write to every object, and so un-share every page.
    """
    ctypes.CDLL(None)
    own: tuple[type[msgspec.Struct], ...] = (Envelope, Plan, Answer, Fork, Reap)
    for message in (*own, *MESSAGES.values()):
        with suppress(msgspec.ValidationError):  # nothing is no message; but now the decoder knows its type
            msgspec.msgpack.decode(b"\xc0", type=message)
    _load_an_extension()
    prepare()
    _make_filters()
    gc.collect()
    gc.freeze()


def _make_filters() -> None:
    """Make the filter of system calls for what most extensions are: it is the same in each of their sandboxes."""
    with suppress(OSError):  # without Landlock there is no sandbox
        version = landlock.abi()
        for proxy in (False, True):
            policy = SandboxPolicy("full", proxy=proxy)
            seccomp.compiled(
                policy, pid=namespaces.INNER, pid_namespace=True, landlock_abi=version, report=True
            )


def _load_an_extension() -> None:
    id = "symphony.zygote"

    @operator(f"{id}.nothing")
    def nothing(ctx: Context, text: str = "") -> str:
        return text

    @provides_operators
    def symphony_operators() -> Iterator[Operator[..., str]]:
        yield nothing

    plugin = ModuleType(id)
    plugin.symphony_operators = symphony_operators  # type: ignore[attr-defined]
    contributions_of(id, plugin, plugin_manager(id, plugin))
