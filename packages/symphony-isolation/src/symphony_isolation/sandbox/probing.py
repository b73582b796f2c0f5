"""Finds out which tier of the sandbox this machine offers, by trying each layer, and chooses one.

Nothing is concluded from versions: a kernel that knows a layer may have it switched off, for this user or here. That
all of them work is remembered where the host has said that it keeps such things.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
from symphony_sdk.errors import PermissionDenied

from symphony_isolation.sandbox import cgroup, job_object, seatbelt
from symphony_isolation.sandbox.kept_trial import KeptTrial
from symphony_isolation.sandbox.policy import TIERS, Tier, Wanted

_TRIAL_TIMEOUT: Final = 20.0
_NEEDED: Final[dict[Tier, tuple[str, ...]]] = {
    "full": ("namespaces", "file tree", "Landlock", "privileges", "seccomp"),
    "fallback": ("Landlock", "privileges", "seccomp"),
    "none": (),
}
_OF_PLATFORM: Final = {"darwin": seatbelt, "win32": job_object}


class Layer(msgspec.Struct, frozen=True):
    """One layer of the sandbox on this machine.

    Args:
        name: Such as `Landlock`.
        stops: What it is there for, in a few words.
        reason: Why it does not work here; empty where it does.
    """

    name: str
    stops: str
    reason: str = ""

    @property
    def works(self) -> bool:
        """Whether it works here."""
        return not self.reason


class Tiers(msgspec.Struct, frozen=True):
    """What this machine offers.

    Args:
        layers: Every layer.
    """

    layers: tuple[Layer, ...]

    @property
    def best(self) -> Tier:
        """The tier that enforces the most; `none` where no sandbox can be made."""
        return next(tier for tier in TIERS if not self.missing(tier))

    def missing(self, tier: Tier) -> list[Layer]:
        """The layers that a tier needs and that do not work here.

        Args:
            tier: The tier.
        """
        known = {layer.name: layer for layer in self.layers}
        names = _NEEDED[tier] if tier != "unverified" else (backend() or "a sandbox of the platform",)
        needed = [known.get(name) or Layer(name, "", f"not on {sys.platform}") for name in names]
        return [layer for layer in needed if not layer.works]


MEANING: Final[dict[Tier, str]] = {
    "full": "an extension sees its own files and processes alone, and no network",
    "fallback": "an extension opens only files that were granted, and has no network; it can see which other files "
    "and processes there are",
    "unverified": "an extension does what the sandbox of this platform lets through; nobody has seen that hold one",
    "none": "an extension does what the user may do",
}
"""What each tier means for the user."""

_STOPS: Final = {
    "namespaces": "seeing or touching other processes, and any network",
    "file tree": "seeing that a file exists that was not granted",
    "Landlock": "opening files that were not granted, and signals to other programs",
    "privileges": "acting as an administrator",
    "seccomp": "sockets, programs, and the kernel's larger doors",
    "control groups": "using more memory, processor time or threads than allowed, counted by the kernel",
}


_kept: KeptTrial | None = None


def keep_in(directory: Path) -> None:
    """Remember from now on, over starts of the host, that all layers work.

    Args:
        directory: Where, which no extension may write to.
    """
    global _kept
    _kept = KeptTrial(directory)


def try_again() -> None:
    """Remember nothing of what was found out: a layer that worked was refused."""
    if _kept is not None:
        _kept.forget()
    probe.cache_clear()


@functools.cache
def probe() -> Tiers:
    """What this machine offers; found out once in a process, and not again where it is remembered that all works."""
    if sys.platform != "linux":
        own = _OF_PLATFORM.get(sys.platform)
        return Tiers(() if own is None else (Layer(own.NAME, own.STOPS, own.missing()),))
    if _kept is not None and _kept.holds():
        reasons = _control_groups()
    else:
        reasons = _tried()
        if _kept is not None and not any(reasons[name] for name in _NEEDED["full"]):
            _kept.put()
        reasons |= _control_groups()
    return Tiers(tuple(Layer(name, stops, reasons.get(name, "")) for name, stops in _STOPS.items()))


def backend() -> str:
    """Name of the sandbox that this platform has instead of those of Linux, such as `Seatbelt`; empty for none."""
    own = _OF_PLATFORM.get(sys.platform)
    return own.NAME if own is not None else ""


def unenforced(tier: Tier) -> tuple[str, ...]:
    """What an extension can do in a tier although its policy says otherwise, for people; known where unverified.

    Args:
        tier: The tier.
    """
    own = _OF_PLATFORM.get(sys.platform)
    return own.UNENFORCED if tier == "unverified" and own is not None else ()


def choose(wanted: Wanted) -> Tier:
    """The tier to run extensions in.

    Args:
        wanted: The setting `sandbox`: `auto` is the best verified tier of this machine, `unverified` the best one.

    Raises:
        PermissionDenied: SYM-P020, the machine does not offer it; nothing runs with less than was wanted. SYM-P022, it
            offers none but an unverified one, which was not wanted.
    """
    if wanted == "none":
        return "none"
    tiers = probe()
    tier = tiers.best if wanted == "auto" or wanted == "unverified" else wanted
    missing = tiers.missing(tier if tier != "none" else "unverified" if backend() else "fallback")
    if missing:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in missing)
        what = "any sandbox" if tier == "none" else f"the sandbox {wanted!r}"
        lesser = wanted == "full" and not tiers.missing("fallback")
        raise PermissionDenied(
            f"this machine does not offer {what}: {reasons}",
            code="SYM-P020",
            hint='Set `sandbox = "auto"` to use the tier `fallback`, which works here.'
            if lesser
            else '`symphony doctor` shows each layer. `sandbox = "none"` runs extensions unconfined: set it only '
            "where you trust every one of them.",
            details={"missing": {layer.name: layer.reason for layer in missing}},
        )
    if tier == "unverified" and wanted == "auto":
        raise PermissionDenied(
            f"the only sandbox here is {backend()}, and nobody has seen it hold an extension: those that you do not "
            "trust are not started in it",
            code="SYM-P022",
            hint='Name the extension in `trusted`, or set `sandbox = "unverified"` for all of them; `symphony '
            "doctor` shows what is not enforced.",
            details={"backend": backend(), "unenforced": list(unenforced(tier))},
        )
    return tier


def _tried() -> dict[str, str]:
    reasons = dict.fromkeys(_NEEDED["full"], "it could not be tried")
    command = [sys.executable, "-I", "-m", "symphony_isolation.sandbox.trial"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and fixed words
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_TIMEOUT, check=True
        )
        reasons.update(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        reasons = dict.fromkeys(reasons, f"it could not be tried: {error}")
    return reasons


def _control_groups() -> dict[str, str]:
    try:
        cgroup.base()
    except OSError as error:
        return {"control groups": f"{error.strerror or error}; the host watches instead, 100 times a second"}
    return {}
