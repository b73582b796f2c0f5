"""Confines the process of an extension with what the kernel offers: the wall between it and the user.

- Agreed on by host and child: `policy.py` what is to hold, made from what was granted and from what `interpreter.py`
  says that Python itself has to read.
- In the child: `confinement.py` the layers in their order; `namespaces.py`, `tree.py`, `landlock.py`, `privileges.py`,
  `process_limits.py`, `seccomp.py` each layer; `bpf.py`, `kernel.py` what they are made of.
- In the host: `probing.py` what the machine offers, by `trial.py`, remembered by `kept_trial.py`; `enclosure.py` the
  limits of one worker, held by `cgroup.py` or `watchdog.py`, with `processes.py`; `denials.py` what it was refused.
- In the host, unverified: `seatbelt.py` for macOS, `job_object.py` for Windows.

The names below are imported when they are first used: a worker imports nothing of the host's side.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_isolation.sandbox.confinement import LayerRefused, die_with, enter
    from symphony_isolation.sandbox.enclosure import Enclosure
    from symphony_isolation.sandbox.policy import TIERS, WANTED, Limits, SandboxPolicy, Tier, Wanted
    from symphony_isolation.sandbox.probing import (
        MEANING,
        Layer,
        Tiers,
        backend,
        choose,
        keep_in,
        probe,
        try_again,
        unenforced,
    )
    from symphony_isolation.sandbox.watchdog import Violation

__all__ = [
    "MEANING",
    "TIERS",
    "WANTED",
    "Enclosure",
    "Layer",
    "LayerRefused",
    "Limits",
    "SandboxPolicy",
    "Tier",
    "Tiers",
    "Violation",
    "Wanted",
    "backend",
    "choose",
    "die_with",
    "enter",
    "keep_in",
    "probe",
    "try_again",
    "unenforced",
]

_MODULES = {
    "LayerRefused": "confinement",
    "die_with": "confinement",
    "enter": "confinement",
    "Enclosure": "enclosure",
    "TIERS": "policy",
    "Limits": "policy",
    "SandboxPolicy": "policy",
    "Tier": "policy",
    "WANTED": "policy",
    "MEANING": "probing",
    "Layer": "probing",
    "Tiers": "probing",
    "Violation": "watchdog",
    "Wanted": "policy",
    "backend": "probing",
    "choose": "probing",
    "keep_in": "probing",
    "probe": "probing",
    "try_again": "probing",
    "unenforced": "probing",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
