"""What a result depends on, as a key: equal for two calls only if nothing that matters is different.

A key is the SHA-256 of the identity of the operation (its id and version, its extension, that one's version and
fingerprint, and those of the models of other extensions that it may run) and of the encoded inputs, by port; those that
the node's cache policy ignores are left out. Values stay encoded: equal bytes are equal values. A reference to an artifact
is a value like any other; its id stands for the bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.permissions import Access, PermissionSet
from symphony_sdk.ports.extension import ExtensionInfo
from symphony_workflow.model import CachePolicy, InstrumentNode, LoopNode, MapNode, OperatorNode

KEY_BYTES = 16

Caller = OperatorNode | InstrumentNode | MapNode | LoopNode
"""A node whose calls the executor runs, unless it runs a workflow of the file."""

Call = tuple[str, CachePolicy]
"""What such a node runs, and when an earlier result stands in for that."""

_OF_MODELS = "model:"
_LARGE = 32 << 10
_REMEMBERED = 8

_encode = msgspec.msgpack.Encoder(order="sorted").encode


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was known of an operation when a run began.

    Args:
        version: Version of the operation's meaning.
        idempotent: Whether running it twice with the same inputs is the same as once.
        extension: Id of the extension that brings it.
        release: Version of that extension.
        fingerprint: Changes with its content and its settings; empty where that is not known.
        models: Changes with what the models are that it may run; empty where it may run none.
        pure: Whether its result depends on nothing beside that and its inputs.
        short: Whether it takes less to compute than to look up.
    """

    version: int
    idempotent: bool
    extension: str = ""
    release: str = ""
    fingerprint: str = ""
    pure: bool = True
    short: bool = False
    models: str = ""


Identities = Mapping[tuple[str, CachePolicy], bytes]
"""What results depend on beside their inputs, by the operation and the policy of a node that uses it.

A result that may depend on files, the network or the system is kept for nodes that say how long it counts.
"""


def known_operations(
    calls: Iterable[Call], operations: Mapping[str, OperationSpec], infos: Sequence[ExtensionInfo]
) -> dict[str, Known]:
    """What is known of some operations, by id; those that no usable extension brings are left out.

    Args:
        calls: The operations.
        operations: Every operation by its id.
        infos: Every installed extension.
    """
    extensions = {info.id: info for info in infos}
    found = {}
    for name in {name for name, _ in calls}:
        spec, info = operations.get(name), extensions.get(name.rpartition(".")[0])
        if spec is not None and info is not None:
            models = _models(info, infos)
            pure = _is_pure(spec, info) and (spec.pure or all(_is_pure(*model) for model in models))
            found[name] = Known(
                spec.version,
                spec.idempotent,
                info.id,
                info.version,
                info.fingerprint,
                pure,
                spec.short,
                _digest(models),
            )
    return found


def identities(calls: Iterable[Call], known: Mapping[str, Known]) -> Identities:
    """The identities of those operations whose results may stand in for later calls.

    Args:
        calls: The operations.
        known: What is known of them.
    """
    return {
        (name, policy): identity(name, known[name], policy.ignore)
        for name, policy in calls
        if name in known and is_kept(known[name], policy)
    }


def is_kept(known: Known, policy: CachePolicy) -> bool:
    """Whether results of an operation may stand in for later calls of a node.

    Args:
        known: What is known of the operation.
        policy: The policy of the node.
    """
    kept = known.idempotent and not known.short and (known.pure or policy.ttl is not None)
    return kept and policy.use == "auto"


def identity(operation: str, known: Known, ignore: Sequence[str] = ()) -> bytes:
    """What the result of an operation depends on beside its inputs, as 32 bytes.

    Args:
        operation: Id of the operation.
        known: What is known of it.
        ignore: Input ports that make no difference to the result.
    """
    return sha256(_encode((operation, msgspec.structs.astuple(known), sorted(ignore)))).digest()


def _is_pure(spec: OperationSpec, info: ExtensionInfo) -> bool:
    return not any(map(_is_outside, info.permissions)) if spec.pure is None else spec.pure


def _is_outside(permission: str) -> bool:
    return not permission.startswith(_OF_MODELS)


def _models(info: ExtensionInfo, infos: Sequence[ExtensionInfo]) -> list[tuple[OperationSpec, ExtensionInfo]]:
    """The models of others that an extension may run, and those that these may run, each with its extension."""
    found: dict[str, tuple[OperationSpec, ExtensionInfo]] = {}
    callers, known = [info], {info.id}
    for caller in callers:
        own = PermissionSet.parse(each for each in caller.permissions if each.startswith(_OF_MODELS))
        for other in infos if own.permissions else ():
            if other.id == caller.id:
                continue
            for spec in other.operations:
                if spec.kind == "instrument" and own.covers(Access("model", "execute", spec.id)):
                    found[spec.id] = spec, other
                    if other.id not in known:
                        known.add(other.id)
                        callers.append(other)
    return [found[name] for name in sorted(found)]


def _digest(models: Sequence[tuple[OperationSpec, ExtensionInfo]]) -> str:
    used = [(spec.id, spec.version, info.version, info.fingerprint) for spec, info in models]
    return sha256(_encode(used)).hexdigest() if used else ""


class Keys:
    """Makes the keys of calls."""

    def __init__(self) -> None:
        self._large: dict[int, tuple[bytes, bytes]] = {}

    def key(self, identity: bytes, inputs: Mapping[str, bytes]) -> bytes:
        """The key of a call.

        Args:
            identity: What its result depends on beside its inputs.
            inputs: Encoded values by port name, without those that make no difference.
        """
        encoded = _encode(inputs)
        if len(encoded) > _LARGE:
            encoded = _encode({port: self._digested(value) for port, value in inputs.items()})
        return sha256(identity + encoded).digest()[:KEY_BYTES]

    def _digested(self, value: bytes) -> bytes | tuple[bytes]:
        """A large value as its digest, which no value looks like; it may be given to many nodes, one after the other."""
        if len(value) <= _LARGE:
            return value
        known = self._large.get(id(value))
        if known is None:
            while len(self._large) >= _REMEMBERED:
                del self._large[next(iter(self._large))]
            known = self._large[id(value)] = value, sha256(value).digest()
        return (known[1],)
