"""The one tree of errors that every part of Symphony raises and every boundary carries.

An error says what was found and where (`message`), what to do (`hint`), and carries facts for programs
(`details`). Its `code` is stable: `symphony explain CODE` prints the entry of
[CATALOGUE][symphony_sdk.error_codes.CATALOGUE] that belongs to it.
"""

import traceback
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from symphony_sdk.error_codes import CATALOGUE

_SHORT_TEXT: Final = 4096  # characters kept of each text of an error that is too large to be sent


class ErrorPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of an error crosses a boundary: a process, HTTP, the user interface, a log.

    Args:
        code: The stable code, such as `SYM-M012`.
        message: What was found, where, and what was expected.
        hint: What to do about it; empty where nothing can be said.
        details: Facts for programs; values are JSON-like.
        file: The file that the error is in; empty where there is none.
        line: The line in `file`, counted from 1; 0 where unknown.
        column: The column in `line`, counted from 1; 0 where unknown.
        traceback: The formatted traceback of foreign code, for the author of that code.
    """

    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = {}
    file: str = ""
    line: int = 0
    column: int = 0
    traceback: str = ""


class SymphonyError(Exception):
    """The root of every error that Symphony raises on purpose.

    Args:
        message: What was found, where, and what was expected.
        code: A code of the catalogue; the class's own code unless given.
        hint: What to do about it.
        details: Facts for programs; JSON-like values.
        file: The file that the error is in.
        line: The line in `file`, counted from 1; 0 where unknown.
        column: The column in `line`, counted from 1; 0 where unknown.
        traceback: The formatted traceback of foreign code.

    Raises:
        LookupError: `code` starts with `SYM-` and the catalogue does not hold it. Extensions use a
            prefix of their own, such as `ACME-001`.
    """

    default_code: ClassVar[str] = "SYM-X001"
    prefix: ClassVar[str] = "SYM-"
    codes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        details: Mapping[str, Any] | None = None,
        file: str = "",
        line: int = 0,
        column: int = 0,
        traceback: str = "",
    ) -> None:
        super().__init__(message)
        code = code or self.default_code
        if code.startswith("SYM-") and code not in CATALOGUE:
            raise LookupError(f"{code} is not in symphony_sdk.error_codes.CATALOGUE: add it there")
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})
        self.file = file
        self.line = line
        self.column = column
        self.traceback = traceback

    @property
    def place(self) -> str:
        """`file:line:column`, as far as each is known."""
        parts = [self.file, *(str(number) for number in (self.line, self.column) if number)]
        return ":".join(part for part in parts if part)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.message}"

    def payload(self) -> ErrorPayload:
        """This error as a wire type; nothing of it is lost."""
        return ErrorPayload(
            code=self.code,
            message=self.message,
            hint=self.hint,
            details=self.details,
            file=self.file,
            line=self.line,
            column=self.column,
            traceback=self.traceback,
        )


class ManifestError(SymphonyError):
    """A `symphony.toml` is missing, malformed or says something impossible."""

    default_code = "SYM-M001"
    prefix = "SYM-M"


class ExtensionError(SymphonyError):
    """An extension cannot be found, resolved, loaded, or broke its contract."""

    default_code = "SYM-E001"
    prefix = "SYM-E"


class ModelFailed(ExtensionError):
    """A model of another extension could not be run, or failed; `details["code"]` has the code of what went wrong."""

    default_code = "SYM-E045"


class ConfigurationError(SymphonyError):
    """A setting is unknown or has a value that it cannot have."""

    default_code = "SYM-C001"
    prefix = "SYM-C"


class WorkflowError(SymphonyError):
    """A workflow file cannot be read, or the workflow in it cannot run."""

    default_code = "SYM-W001"
    prefix = "SYM-W"


class RunError(SymphonyError):
    """A run, or a node of it, failed, timed out or was cancelled."""

    default_code = "SYM-R001"
    prefix = "SYM-R"


class ArtifactError(SymphonyError):
    """An artifact is missing, damaged, or cannot be stored."""

    default_code = "SYM-A001"
    prefix = "SYM-A"


class AccessFailed(SymphonyError):
    """An extension was allowed what it asked of the host, and cannot have it: it is not there, or not to be reached."""

    default_code = "SYM-P030"
    codes = ("SYM-P035", "SYM-P038", "SYM-P042", "SYM-P043", "SYM-P044", "SYM-P045", "SYM-P046")


class PermissionDenied(SymphonyError):
    """An extension did what its permissions do not cover."""

    default_code = "SYM-P001"
    prefix = "SYM-P"


class TransportError(SymphonyError):
    """A message cannot be sent, or what came in is not one."""

    default_code = "SYM-T001"
    prefix = "SYM-T"


class MalformedMessage(TransportError):
    """Bytes from another process are not a message of the protocol."""

    default_code = "SYM-T002"


class BusError(TransportError):
    """The bus cannot do what was asked: a topic, an endpoint or a way of delivery that it does not have."""

    default_code = "SYM-T020"
    codes = ("SYM-T021", "SYM-T022", "SYM-T023", "SYM-T024", "SYM-T025", "SYM-T026")


class PeerGone(TransportError):
    """The process at the other end closed its connection or died."""

    default_code = "SYM-T003"


class DeadlineExceeded(TransportError):
    """No answer came before the deadline of a request."""

    default_code = "SYM-T004"


class Cancelled(RunError):
    """The work was cancelled by the one who asked for it."""

    default_code = "SYM-R003"


class PortError(SymphonyError):
    """A port has no adapter, or an adapter was used outside its contract."""

    default_code = "SYM-O001"
    prefix = "SYM-O"


def error_from_payload(payload: ErrorPayload) -> SymphonyError:
    """The error that `payload` was made from, as the most specific class known for its code.

    Args:
        payload: What came over a boundary.
    """
    kind = _class_of(payload.code, SymphonyError)
    code = payload.code
    details = dict(payload.details)
    if code.startswith("SYM-") and code not in CATALOGUE:  # a newer Symphony at the other end
        details["code"] = code
        code = SymphonyError.default_code
    return kind(
        payload.message,
        code=code,
        hint=payload.hint,
        details=details,
        file=payload.file,
        line=payload.line,
        column=payload.column,
        traceback=payload.traceback,
    )


def payload_within(error: SymphonyError, limit: int) -> ErrorPayload:
    """What of an error crosses a boundary that takes only so much; short where it is too large or has no encoding.

    Args:
        error: The error.
        limit: Bytes that it may have encoded.
    """
    payload = error.payload()
    try:
        if len(msgspec.msgpack.encode(payload)) < limit:
            return payload
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass  # details are not JSON-like, or text is not Unicode: the short form has neither
    return ErrorPayload(
        code=error.code,
        message=_printable(error.message),
        hint=_printable(error.hint),
        details={"shortened": True},
        file=_printable(error.file),
        line=error.line,
        column=error.column,
        traceback=_printable(error.traceback),
    )


def _printable(text: str) -> str:
    return text[-_SHORT_TEXT:].encode(errors="backslashreplace").decode()


def foreign_error(error: BaseException, owner: str) -> SymphonyError:
    """What an extension's own code raised, as an error that crosses the boundary with its traceback.

    Args:
        error: What was raised.
        owner: Id of the extension.
    """
    if isinstance(error, SymphonyError):
        return error
    if type(error).__name__ == "CancelledError":
        return Cancelled(f"the call of {owner!r} was cancelled")
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    text = f": {error}" if str(error) else ""
    return ExtensionError(
        f"{owner!r} raised {type(error).__qualname__}{text}",
        code="SYM-E014",
        hint="This is an error of the extension; its traceback says where.",
        details={"exception": type(error).__qualname__},
        file=last.filename if last else "",
        line=last.lineno or 0 if last else 0,
        traceback="".join(traceback.format_exception(error)),
    )


def _class_of(code: str, root: type[SymphonyError]) -> type[SymphonyError]:
    for child in root.__subclasses__():
        if child.__module__ != __name__:
            continue
        found = _class_of(code, child)
        if found is not child or child.default_code == code or code in child.codes:
            return found
        if "prefix" in vars(child) and code.startswith(child.prefix):
            return child
    return root
