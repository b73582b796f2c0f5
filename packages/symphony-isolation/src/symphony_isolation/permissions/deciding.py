"""The order in which a permission is decided: what the administrator denies comes first, what nobody said last."""

from typing import Literal

import msgspec

Outcome = Literal["allow", "deny", "ask"]
Rule = Literal[
    "undeclared",
    "protected",
    "policy-deny",
    "user-deny",
    "policy-allow",
    "user-allow",
    "ask",
    "default",
    "audit-only",
]


class Decision(msgspec.Struct, frozen=True):
    """What was decided, and by which rule.

    Args:
        outcome: `ask` where the user has said nothing yet and can be asked.
        rule: `undeclared`: the manifest does not name it. `protected`: Symphony keeps its own things there. `policy-...`: the administrator's file says so.
            `user-...`: a grant of the user says so. `ask`, `default`: nobody has said anything.
            `audit-only`: it would have been denied or asked, and is allowed to be recorded.
    """

    outcome: Outcome
    rule: Rule

    @property
    def allowed(self) -> bool:
        """Whether it may be done now."""
        return self.outcome == "allow"


def decide(
    *,
    declared: bool,
    policy_denies: bool,
    user_denies: bool,
    policy_allows: bool,
    user_allows: bool,
    askable: bool,
) -> Decision:
    """The decision, and the first rule that makes it.

    Args:
        declared: Whether the extension's manifest names it; what it does not name cannot be allowed.
        policy_denies: Whether the administrator denies it.
        user_denies: Whether the user denies it.
        policy_allows: Whether the administrator allows it.
        user_allows: Whether the user allows it.
        askable: Whether there is somebody to ask.
    """
    if not declared:
        return Decision("deny", "undeclared")
    if policy_denies:
        return Decision("deny", "policy-deny")
    if user_denies:
        return Decision("deny", "user-deny")
    if policy_allows:
        return Decision("allow", "policy-allow")
    if user_allows:
        return Decision("allow", "user-allow")
    return Decision("ask", "ask") if askable else Decision("deny", "default")
