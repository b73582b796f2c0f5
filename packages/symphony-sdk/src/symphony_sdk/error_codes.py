"""Every error code of Symphony, with the text that `symphony explain CODE` prints.

The letter after `SYM-` names the part: M manifest, E extension, C configuration, W workflow, R run,
A artifact, P permission, T transport, O port, X internal. A code is never reused for another meaning.
"""

from typing import NamedTuple


class ErrorCode(NamedTuple):
    """One entry of the catalogue.

    Args:
        title: A few words, without a full stop.
        explanation: Why it happens and how to mend it, for a person who has just met it.
    """

    title: str
    explanation: str


CATALOGUE: dict[str, ErrorCode] = {
    # -- X: internal -------------------------------------------------------------------------------
    "SYM-X001": ErrorCode(
        "Internal error",
        "Symphony met a state that its own code rules out, or an error of a newer version. Please report it "
        "with the output of `symphony doctor --json`.",
    ),
    # -- M: manifest -------------------------------------------------------------------------------
    "SYM-M001": ErrorCode(
        "Manifest is invalid",
        "The `symphony.toml` of an extension says something that its schema does not allow. The message names "
        "the line and what was expected there.",
    ),
    # -- E: extension ------------------------------------------------------------------------------
    "SYM-E001": ErrorCode(
        "Extension failed",
        "An extension could not be loaded or did something that its contract forbids. The host and the other "
        "extensions go on; `symphony doctor` lists it with its reason.",
    ),
    "SYM-E010": ErrorCode(
        "Operation has no usable signature",
        "The ports of an operator or an instrument are read from the annotations of its function. Annotate "
        "every parameter and the result with JSON-like types, and return what the annotation says.",
    ),
    "SYM-E011": ErrorCode(
        "Operation id is malformed",
        "The id of an operation or an addon is `publisher.extension.name` in lower case: at least three parts "
        "of letters, digits and hyphens.",
    ),
    "SYM-E012": ErrorCode(
        "Addon is inconsistent",
        "An addon names a package or a file that is not there, or uses one id twice. Its files lie inside its "
        "package and are shipped in the wheel.",
    ),
    "SYM-E013": ErrorCode(
        "Operation is unknown",
        "No installed and enabled extension brings an operation of this id. `symphony list --operations` shows "
        "those that there are.",
    ),
    "SYM-E014": ErrorCode(
        "Extension raised an error",
        "The extension's own code raised an exception that is no SymphonyError. The traceback says where; only "
        "that call failed.",
    ),
    "SYM-E015": ErrorCode(
        "Extension's module is missing",
        "The `module` of the extension's symphony.toml cannot be imported because it does not exist.",
    ),
    "SYM-E016": ErrorCode(
        "Extension's import failed",
        "Importing the extension's module raised an exception or called `sys.exit`. The host goes on without "
        "the extension.",
    ),
    "SYM-E017": ErrorCode(
        "Contribution is given twice",
        "Two contributions have one id, in one extension or in two. The message names both; disable one of "
        "them or rename it.",
    ),
    "SYM-E018": ErrorCode(
        "Contribution has the wrong type",
        "A hook handed out something else than its specification says. The documentation of the hook has a "
        "complete example.",
    ),
    "SYM-E019": ErrorCode(
        "Hook is implemented wrongly",
        "An extension implements a hook that does not exist, or takes arguments that the hook does not have. "
        "Use the typed markers: a type checker then finds it first.",
    ),
    # -- C: configuration --------------------------------------------------------------------------
    "SYM-C001": ErrorCode(
        "Setting is invalid",
        "A value from the configuration file, a `SYMPHONY_*` variable or the command line is unknown or of the "
        "wrong type. The message names the source and the setting.",
    ),
    # -- W: workflow -------------------------------------------------------------------------------
    "SYM-W001": ErrorCode(
        "Workflow is invalid",
        "The workflow has one or more faults; each is listed with its node and a hint. `symphony validate FLOW` "
        "shows them without running anything.",
    ),
    # -- R: run ------------------------------------------------------------------------------------
    "SYM-R001": ErrorCode(
        "Run failed",
        "One or more nodes of a run failed. What had succeeded is kept: `symphony resume RUN` runs the rest.",
    ),
    "SYM-R003": ErrorCode(
        "Cancelled",
        "The run or the call was cancelled before it ended. `symphony resume RUN` goes on from there.",
    ),
    # -- A: artifact -------------------------------------------------------------------------------
    "SYM-A001": ErrorCode(
        "Artifact cannot be used",
        "An artifact is missing, damaged, or could not be written. The message names its id.",
    ),
    "SYM-A002": ErrorCode(
        "Artifact is not there",
        "No artifact has this id: it was never stored in this store, or it was removed. `symphony "
        "artifacts list` shows those that there are.",
    ),
    "SYM-A003": ErrorCode(
        "Artifact's id is ambiguous",
        "Several artifacts begin with the characters that were given. The message names some of them; "
        "give more characters of the one that is meant.",
    ),
    "SYM-A004": ErrorCode(
        "Artifact's id is malformed",
        "The id of an artifact is `b3-` and 64 hex digits in lower case, the BLAKE3 hash of its bytes. "
        "Where an artifact is looked up, the first characters of it are enough; where it is removed, they"
        " are not.",
    ),
    "SYM-A005": ErrorCode(
        "Artifact is damaged",
        "What the store holds under this id is not what was stored: the disk lost or changed bytes, or "
        "somebody else wrote in the store's directory. Such bytes are never handed out. Storing the same "
        "bytes again mends the artifact, so running the node again that made it is enough.",
    ),
    "SYM-A006": ErrorCode(
        "Artifact store refuses",
        "The disk is full, the directory cannot be read or written by this user, the disk reports an "
        "error, or another process holds the store. The message says which. What was stored before is "
        "kept.",
    ),
    "SYM-A007": ErrorCode(
        "Artifact store is closed",
        "The store was used after it was closed, or in a process forked from the one that opened it. Open"
        " the store in each process that uses it.",
    ),
    "SYM-A008": ErrorCode(
        "Artifact store's layout is unknown",
        "The `format` file of the store's directory names a layout that this version cannot read: it was "
        "made by a newer one, or it is the directory of something else. Nothing in it was changed.",
    ),
    "SYM-A009": ErrorCode(
        "Artifact store's index is damaged",
        "SQLite cannot read the store's index. The objects beside it are not touched; restore the index "
        "from a backup.",
    ),
    "SYM-A010": ErrorCode(
        "Artifact is described wrongly",
        "The name, the media type, the metadata or the lineage of an artifact cannot be kept: metadata is"
        " text by text, and all of it is Unicode that can be encoded. Or the durability is none of `os`, "
        "`group` and `sync`, or a range begins before the first byte.",
    ),
    # -- P: permission -----------------------------------------------------------------------------
    "SYM-P001": ErrorCode(
        "Permission denied",
        "An extension used a file, a host, a system feature or a model that its manifest does not declare. Its "
        "author declares it under `[[permissions.required]]` or `[[permissions.optional]]`.",
    ),
    # -- T: transport ------------------------------------------------------------------------------
    "SYM-T001": ErrorCode(
        "Message cannot be sent",
        "Two processes of Symphony could not talk to each other. The message names both ends.",
    ),
    "SYM-T002": ErrorCode(
        "Malformed message",
        "Bytes from another process are not a message of the protocol: too long, not MessagePack, or of the "
        "wrong shape. The connection is closed; nothing of it is executed.",
    ),
    "SYM-T003": ErrorCode(
        "Peer is gone",
        "The process at the other end closed its connection or died before it answered.",
    ),
    "SYM-T004": ErrorCode(
        "Deadline exceeded",
        "No answer came within the time that the request allowed.",
    ),
    # -- O: port -----------------------------------------------------------------------------------
    "SYM-O001": ErrorCode(
        "Port has no adapter",
        "A part of Symphony that was asked for is not installed or not enabled. The message names the package "
        "that brings it.",
    ),
}
