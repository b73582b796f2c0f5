"""Typed ports from annotations, and the one decoder that a function's inputs go through.

A parameter is an input port; its annotation is the port's type and its default makes it optional. The
return annotation is the output: each key of a `TypedDict` is a port, `None` is no port, and any other type
is the one port `result`.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from symphony_sdk.contributions import PortSpec
from symphony_sdk.errors import ExtensionError, MalformedMessage
from symphony_sdk.values import DECODING_ERRORS, decode_hook, encode, encode_hook, schema_hook


class Signature:
    """The ports of a function, and the way of values through them.

    Args:
        function: An operator's function, or an instrument's bound or unbound `infer`.
        owner: Name for errors, such as the operation's id.
        skip: How many leading parameters are not ports: the context, or `self` and the context.

    Raises:
        ExtensionError: A parameter or the result has no annotation, a type that has no JSON Schema, or the
            function takes `*args` or `**kwargs`.
    """

    def __init__(self, function: Callable[..., Any], *, owner: str, skip: int) -> None:
        self.owner = owner
        code = inspect.unwrap(function).__code__
        self._place = {"file": code.co_filename, "line": code.co_firstlineno}
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:
            raise self._error(f"the annotations of {owner!r} cannot be read: {error}") from error
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) < skip:
            raise self._error(f"{owner!r} takes no context", "Make `ctx: Context` its first parameter.")
        fields: list[Any] = []
        inputs: list[PortSpec] = []
        for parameter in parameters[skip:]:
            fields.append(self._field(parameter, hints))
            inputs.append(self._input(parameter, hints))
        self.inputs = tuple(inputs)
        try:
            self._struct = msgspec.defstruct("Inputs", fields, kw_only=True, forbid_unknown_fields=True)
        except TypeError as error:
            raise self._error(
                f"a default of {owner!r} would be shared between calls: {error}",
                "Make the default's class frozen, or use None as the default.",
            ) from error
        self._decoder = msgspec.msgpack.Decoder(self._struct, dec_hook=decode_hook)
        if "return" not in hints:
            raise self._error(f"{owner!r} has no return annotation", "Write `-> TYPE`, or `-> None`.")
        self._returns = hints["return"]
        self._names_outputs = typing.is_typeddict(_bare(self._returns))
        self.outputs = self._outputs(self._returns)

    def decode(self, inputs: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
        """The keyword arguments that encoded inputs stand for.

        Args:
            inputs: Encoded values by port name.

        Raises:
            MalformedMessage: A value is missing, unknown, or not of its port's type.
        """
        try:
            arguments = self._decoder.decode(encode(inputs))
        except DECODING_ERRORS as error:
            raise MalformedMessage(
                f"the inputs of {self.owner!r} do not fit its ports: {error}",
                hint=f"Its inputs are {', '.join(port.name for port in self.inputs) or 'none'}.",
                details={"operation": self.owner},
            ) from error
        return msgspec.structs.asdict(arguments)

    def encode(self, result: Any) -> dict[str, msgspec.Raw]:
        """The encoded outputs that a function's result stands for.

        Args:
            result: What the function returned.

        Raises:
            ExtensionError: The result is not of the annotated type.
        """
        try:
            if not self.outputs:
                if result is not None:
                    raise TypeError(f"expected None, got {type(result).__name__}")
                return {}
            # A round trip through builtins checks the value against the annotation that others rely on.
            plain = msgspec.to_builtins(result, builtin_types=(bytes,), enc_hook=encode_hook)
            msgspec.convert(plain, self._returns, dec_hook=decode_hook)
            values = plain if self._names_outputs else {"result": plain}
            return {name: msgspec.Raw(encode(value)) for name, value in values.items()}
        except (TypeError, *DECODING_ERRORS) as error:
            raise self._error(
                f"{self.owner!r} returned what its annotation {self._returns!r} does not allow: {error}",
                "Return a value of the annotated type, or change the annotation.",
            ) from error

    def _field(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise self._error(
                f"the parameter {str(parameter)!r} of {self.owner!r} cannot be a port",
                "Name every input as a parameter that can be passed by keyword.",
            )
        if parameter.name not in hints:
            raise self._error(
                f"the parameter {parameter.name!r} of {self.owner!r} has no annotation",
                f"Write `{parameter.name}: TYPE`; the annotation is the type of the port.",
            )
        if parameter.default is parameter.empty:
            return (parameter.name, hints[parameter.name])
        default = parameter.default
        if isinstance(default, list | dict | set):
            return (
                parameter.name,
                hints[parameter.name],
                msgspec.field(default_factory=lambda: type(default)(default)),
            )
        return (parameter.name, hints[parameter.name], default)

    def _input(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> PortSpec:
        schema = self._schema(parameter.name, hints[parameter.name])
        required = parameter.default is parameter.empty
        default = None if required else _json_like(parameter.default)
        return PortSpec(
            name=parameter.name,
            schema=schema,
            required=required,
            default=default,
            description=_description(hints[parameter.name]),
        )

    def _outputs(self, returns: Any) -> tuple[PortSpec, ...]:
        if returns is type(None):
            return ()
        bare = _bare(returns)
        if not typing.is_typeddict(bare):
            return (PortSpec("result", self._schema("result", returns), description=_description(returns)),)
        return tuple(
            PortSpec(
                name=key,
                schema=self._schema(key, hint),
                required=key in bare.__required_keys__,
                description=_description(hint),
            )
            for key, hint in typing.get_type_hints(bare, include_extras=True).items()
        )

    def _schema(self, port: str, hint: Any) -> dict[str, Any]:
        try:
            schema: dict[str, Any] = _json_like(msgspec.json.schema(hint, schema_hook=schema_hook))
        except Exception as error:
            raise self._error(
                f"the port {port!r} of {self.owner!r} has a type that JSON Schema cannot say: {error}",
                "Use JSON-like types, dataclasses, TypedDicts, msgspec Structs, enums, dates or paths.",
            ) from error
        return schema

    def _error(self, message: str, hint: str = "") -> ExtensionError:
        return ExtensionError(message, code="SYM-E010", hint=hint, **self._place)


def _json_like(value: Any) -> Any:
    """`value` as JSON has it, with lists for tuples: what the host decodes is equal to what was declared."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=encode_hook))


def _bare(hint: Any) -> Any:
    """`hint` without `Annotated`."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _description(hint: Any) -> str:
    if typing.get_origin(hint) is not typing.Annotated:
        return ""
    metas = (meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta))
    return next((meta.description for meta in metas if meta.description), "")
