"""The rules of a JSON-RPC conversation, without any input or output: lines come in, lines go out."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from symphony_sdk.errors import MalformedMessage, SymphonyError, TransportError, foreign_error

from symphony_ipc.framing import DECODING_FAILURES, describe
from symphony_ipc.jsonrpc.failures import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    ErrorObject,
    error_object,
    error_of,
    rpc_error,
)
from symphony_ipc.jsonrpc.lines import LINE_LIMIT

_log = logging.getLogger(__name__)

Id = int | str
"""Number of a request; ours are numbers, those of a peer may be text."""

Answer = msgspec.Raw | SymphonyError
"""The result of a request, not yet decoded, or why there is none."""

_BIGGEST_ID: Final = 2**64 - 1


class Method(NamedTuple):
    """What is done where the other end names a method.

    Args:
        params: Type of its parameters; None where it has none.
        handle: Takes the parameters and returns the result, or an awaitable of it where the peer is
            asynchronous. What it raises is the answer.
    """

    params: Any
    handle: Callable[[Any], Any]


Methods = Mapping[str, Method]
"""What the other end may ask for and tell, by name."""


class Faults(msgspec.Struct):
    """What came in and could not be used.

    Args:
        malformed: Lines that are no messages, and those that were too long.
        unknown: Methods that are not known, and answers to what was never asked.
        refused: Parameters that a method does not take.
        failed: Notifications whose method raised.
        blank: Empty lines.
    """

    malformed: int = 0
    unknown: int = 0
    refused: int = 0
    failed: int = 0
    blank: int = 0


class _Line(msgspec.Struct):
    id: Id | msgspec.UnsetType | None = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct, omit_defaults=True):
    id: Id | msgspec.UnsetType
    method: str
    params: Any = msgspec.UNSET


class _Result(msgspec.Struct):
    id: Id
    result: Any


class _Failure(msgspec.Struct):
    id: Id | None
    error: ErrorObject


_NULL: Final = msgspec.Raw(b"null")
_LINE: Final = msgspec.json.Decoder(_Line)
_ENCODER: Final = msgspec.json.Encoder()


class _Known(NamedTuple):
    decode: Callable[[Any], Any]
    empty: bytes
    handle: Callable[[Any], Any]


class Dialogue:
    """One end of a conversation.

    Args:
        methods: What the other end may ask for and tell.
        send: Takes each line to be sent, with its end.
        later: Takes a method, the number of the request and the awaitable of its result, to call `succeed` or
            `raised` in the end; None where methods must return at once.
        max_line: Bytes that a line may have.

    Attributes:
        faults: What came in and could not be used.
    """

    def __init__(
        self,
        methods: Methods,
        send: Callable[[bytes], None],
        *,
        later: Callable[[str, Id | None, Awaitable[Any]], None] | None = None,
        max_line: int = LINE_LIMIT,
    ) -> None:
        self.faults = Faults()
        self._methods = {name: _known(method) for name, method in methods.items()}
        self._send = send
        self._later = later
        self._max_line = max_line
        self._last_id = 0
        self._asked: dict[Id, Callable[[Answer], None]] = {}

    def ask(self, method: str, params: Any, answered: Callable[[Answer], None]) -> int:
        """Send a request.

        Args:
            method: Its name.
            params: Its parameters; None for none.
            answered: Takes the answer, once.

        Returns:
            Its number.

        Raises:
            TransportError: It is too long or cannot be encoded.
        """
        call = _Call(self._last_id + 1, method, msgspec.UNSET if params is None else params)
        line = self._encode(call, method)
        self._last_id += 1
        self._asked[self._last_id] = answered
        self._send(line)
        return self._last_id

    def forget(self, id: int) -> None:
        """Do not wait for an answer any more.

        Args:
            id: Number of the request.
        """
        self._asked.pop(id, None)

    def tell(self, method: str, params: Any = None) -> None:
        """Send a notification.

        Args:
            method: Its name.
            params: Its parameters; None for none.

        Raises:
            TransportError: It is too long or cannot be encoded.
        """
        call = _Call(msgspec.UNSET, method, msgspec.UNSET if params is None else params)
        self._send(self._encode(call, method))

    def succeed(self, id: Id, result: Any) -> None:
        """Answer a request; a result that cannot be sent becomes the error that says so.

        Args:
            id: Its number.
            result: What came out.
        """
        try:
            line = self._encode(_Result(id, result), "a result")
        except TransportError as error:
            self.fail(id, error)
        else:
            self._send(line)

    def fail(self, id: Id | None, error: SymphonyError) -> None:
        """Answer a request with an error.

        Args:
            id: Its number; None where what came in had none.
            error: Why.
        """
        found = error_object(error)
        try:
            line = self._encode(_Failure(id, found), "an error")
        except TransportError:
            line = self._encode(_Failure(id, ErrorObject(found.code, found.message[:1000])), "an error")
        self._send(line)

    def note(self, method: str, error: SymphonyError) -> None:
        """Take note of a notification whose method raised.

        Args:
            method: Its name.
            error: What was raised.
        """
        self.faults.failed += 1
        _log.warning("%s: %s", describe(method), error)

    def take(self, line: bytes | None) -> None:
        """Take a line from the other end; never raises for what is in it.

        Args:
            line: The line without its end; None for one that was too long.
        """
        if line is None:
            self._malformed(INVALID_REQUEST, f"a line has more than {self._max_line:,} bytes")
            return
        if not line or line.isspace():
            self.faults.blank += 1
            return
        try:
            found = _LINE.decode(line)
        except msgspec.ValidationError as error:
            self._malformed(INVALID_REQUEST, f"not a message: {error}")
        except DECODING_FAILURES as error:
            self._malformed(PARSE_ERROR, f"not JSON: {error}")
        else:
            self._dispatch(found)

    def end(self, reason: SymphonyError) -> None:
        """Answer all that was asked with the reason why nothing will come any more.

        Args:
            reason: Why.
        """
        asked, self._asked = self._asked, {}
        for answered in asked.values():
            answered(reason)

    def _dispatch(self, line: _Line) -> None:
        if line.method is msgspec.UNSET:
            if _given(line.result) or _given(line.error):
                self._answered(line, line.error if _said(line.error) else None)
            else:
                self._malformed(INVALID_REQUEST, "neither a method nor a result nor an error is given")
        elif line.id is None or (isinstance(line.id, int) and not 0 <= line.id <= _BIGGEST_ID):
            self._malformed(INVALID_REQUEST, "the id of a request is a number of 64 bits, or text")
        else:
            self._called(line.method, None if line.id is msgspec.UNSET else line.id, line.params)

    def _called(self, name: str, id: Id | None, raw: msgspec.Raw) -> None:
        method = self._methods.get(name)
        if method is None:
            self.faults.unknown += 1
            if id is not None:
                self.fail(id, rpc_error(METHOD_NOT_FOUND, f"there is no method {describe(name)}"))
            return
        given = bytes(raw)
        try:
            params = method.decode(method.empty if given in (b"", b"[]", b"{}", b"null") else given)
        except DECODING_FAILURES as error:
            self.faults.refused += 1
            if id is not None:
                self.fail(id, rpc_error(INVALID_PARAMS, f"the parameters of {name} are wrong: {error}"))
            return
        try:
            result = method.handle(params)
            if self._later is not None and isinstance(result, Awaitable):
                self._later(name, id, result)
                return
        except Exception as error:  # noqa: BLE001 - the method is foreign code; whoever asked gets its error
            self.raised(name, id, error)
            return
        if id is not None:
            self.succeed(id, result)

    def raised(self, method: str, id: Id | None, error: BaseException) -> None:
        """Answer, or take note, where a method raised.

        Args:
            method: Its name.
            id: Number of the request; None for a notification.
            error: What it raised.
        """
        known = foreign_error(error, method)
        if id is None:
            self.note(method, known)
        elif isinstance(error, SymphonyError):
            self.fail(id, known)
        else:
            self.fail(id, rpc_error(INTERNAL_ERROR, known.message, known.details))

    def _answered(self, line: _Line, error: msgspec.Raw | None) -> None:
        if line.id is None or line.id is msgspec.UNSET:
            self.faults.malformed += 1  # what the other end thinks of a line that it could not read
            return
        answered = self._asked.pop(line.id, None)
        if answered is None:
            if not (isinstance(line.id, int) and 0 < line.id <= self._last_id):  # else it came too late
                self.faults.unknown += 1
        elif error is None and not _given(line.result):
            self.faults.malformed += 1
            answered(MalformedMessage("an answer has neither a result nor an error"))
        elif error is not None and _said(line.result):
            self.faults.malformed += 1
            answered(MalformedMessage("an answer has both a result and an error"))
        else:
            answered(line.result if error is None else error_of(error))

    def _malformed(self, code: int, text: str) -> None:
        self.faults.malformed += 1
        self.fail(None, rpc_error(code, text))

    def _encode(self, message: msgspec.Struct, what: str) -> bytes:
        try:
            line = _ENCODER.encode(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TransportError(
                f"{what} cannot be encoded as JSON: {error}",
                code="SYM-T011",
                hint="Parameters and results hold JSON-like values, dataclasses and Structs.",
            ) from error
        if len(line) > self._max_line:
            raise TransportError(
                f"{what} has {len(line):,} bytes; a line may have {self._max_line:,}",
                code="SYM-T051",
                hint="Send less at a time.",
            )
        # Only a value that was encoded elsewhere can hold a line break, and there it is white space.
        return (line.replace(b"\n", b" ") if b"\n" in line else line) + b"\n"


def result_of(answer: Answer, kind: Any, method: str) -> Any:
    """The decoded result of a request.

    Args:
        answer: What the other end answered.
        kind: Type that the result must have.
        method: What was asked.

    Raises:
        SymphonyError: The one that was answered.
        MalformedMessage: The result is of another type.
    """
    if isinstance(answer, SymphonyError):
        raise answer
    try:
        return msgspec.json.decode(answer, type=kind)
    except DECODING_FAILURES as error:
        raise MalformedMessage(f"the result of {method} is wrong: {error}") from error


def _given(member: msgspec.Raw) -> bool:
    return memoryview(member).nbytes > 0


def _said(member: msgspec.Raw) -> bool:
    """Whether a member says something: some peers send `null` for the one of result and error that is not."""
    return _given(member) and member != _NULL


def _known(method: Method) -> _Known:
    info = msgspec.inspect.type_info(method.params)
    if isinstance(info, msgspec.inspect.NoneType):
        return _Known(lambda given: _no_params(given), b"null", method.handle)
    array = (
        info.array_like
        if isinstance(info, msgspec.inspect.StructType)
        else isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType)
    )
    decoder = msgspec.json.Decoder(method.params)
    return _Known(decoder.decode, b"[]" if array else b"{}", method.handle)


def _no_params(given: bytes) -> None:
    """A method without parameters takes none, however that is written."""
    if given != b"null":
        raise ValueError("it takes none")
