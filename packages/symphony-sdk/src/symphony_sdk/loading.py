"""Imports an extension's module and collects what it contributes, refusing what its contract forbids."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pluggy

from symphony_sdk.errors import ExtensionError, SymphonyError, foreign_error
from symphony_sdk.extension import Addon, Context, Instrument, Operator, Scorer
from symphony_sdk.hookspecs import ExtensionHooks, HostHooks
from symphony_sdk.markers import PROJECT

LIFECYCLE = ("load", "activate", "deactivate", "unload")
"""The steps of an extension's life that have a hook, in their order."""


Hook = Callable[..., list[Any]]
"""Calls the implementations of one hook with its arguments by name, and gives what each returned."""


def _nobody(**arguments: object) -> list[Any]:
    return []


class Contributions(msgspec.Struct):
    """What one extension contributes in its worker.

    Args:
        operations: Operators, instruments and scorers by id.
        addons: Addons.
        lifecycle: Implementations of the life cycle's hooks by step.
        health: Asks each implementation of `symphony_health`.
        save_state: Asks the implementation of `symphony_save_state`.
        restore_state: Gives the implementation of `symphony_restore_state` the state.
        hooks: Names of the hooks that it implements.
    """

    operations: "dict[str, Operator[..., Any] | Instrument]" = {}
    addons: tuple[Addon, ...] = ()
    lifecycle: dict[str, tuple[Callable[[Context], None], ...]] = {}
    health: Hook = _nobody
    save_state: Hook = _nobody
    restore_state: Hook = _nobody
    hooks: tuple[str, ...] = ()


def import_extension(extension: str, module: str) -> Any:
    """Import an extension's module.

    Args:
        extension: Id of the extension.
        module: Dotted name of its module.

    Raises:
        ExtensionError: It is not there, or its import raised anything at all.
    """
    try:
        return importlib.import_module(module)
    except SymphonyError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ExtensionError(
                f"the module {module!r} of the extension {extension!r} does not exist",
                code="SYM-E015",
                hint="Set `module` in its symphony.toml to a module of the package, and ship it in the wheel.",
            ) from error
        raise _import_error(extension, module, error) from error
    except BaseException as error:
        raise _import_error(extension, module, error) from error


def _import_error(extension: str, module: str, error: BaseException) -> ExtensionError:
    foreign = foreign_error(error, extension)
    reason = "called sys.exit" if isinstance(error, SystemExit) else f"raised {type(error).__name__}: {error}"
    return ExtensionError(
        f"the import of {module!r} of the extension {extension!r} {reason}",
        code="SYM-E016",
        hint="Mend the module, or `symphony disable` the extension.",
        file=foreign.file,
        line=foreign.line,
        traceback=foreign.traceback,
    )


_prepared: list[pluggy.PluginManager] = []


def prepare() -> None:
    """Make the next plugin manager before it is needed: the zygote does, for each of the processes forked from it."""
    _prepared.append(_manager())


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(ExtensionHooks)
    manager.add_hookspecs(HostHooks)
    return manager


def plugin_manager(extension: str, plugin: object) -> pluggy.PluginManager:
    """A plugin manager that knows every hook and this one extension.

    Args:
        extension: Id of the extension.
        plugin: Its module.

    Raises:
        ExtensionError: It implements a hook that does not exist, or takes arguments that the hook has not.
    """
    manager = _prepared.pop() if _prepared else _manager()
    try:
        manager.register(plugin, name=extension)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _hook_error(extension, plugin, error) from error
    return manager


def load_extension(extension: str, module: str) -> Contributions:
    """Import an extension and collect its contributions.

    Args:
        extension: Id of the extension.
        module: Dotted name of its module.

    Raises:
        ExtensionError: The import, a hook or a contribution breaks the contract.
    """
    plugin = import_extension(extension, module)
    return contributions_of(extension, plugin, plugin_manager(extension, plugin))


def contributions_of(extension: str, plugin: object, manager: pluggy.PluginManager) -> Contributions:
    """What an imported extension contributes.

    Args:
        extension: Id of the extension.
        plugin: Its module.
        manager: The plugin manager that knows this one extension.

    Raises:
        ExtensionError: A hook or a contribution breaks the contract. What its own code raises passes through.
    """
    operations: dict[str, Operator[..., Any] | Instrument] = {}
    for kind, hook in (
        (Operator, "symphony_operators"),
        (Instrument, "symphony_instruments"),
        (Scorer, "symphony_scorers"),
    ):
        for operation in collect(manager, extension, hook, kind):
            _ = operation.spec  # its annotations are read, and refused, now
            _check_namespace(extension, operation.id)
            if operation.id in operations:
                raise ExtensionError(
                    f"the extension {extension!r} contributes {operation.id!r} twice",
                    code="SYM-E017",
                    hint="Give each operation an id of its own.",
                )
            operations[operation.id] = operation
    addons = collect(manager, extension, "symphony_addons", Addon)
    for addon in addons:
        _check_namespace(extension, addon.spec.id)
    return Contributions(
        operations=operations,
        addons=tuple(addons),
        lifecycle={
            step: tuple(impl.function for impl in getattr(manager.hook, f"symphony_{step}").get_hookimpls())
            for step in LIFECYCLE
        },
        health=manager.hook.symphony_health,
        save_state=_once(manager, extension, "symphony_save_state"),
        restore_state=_once(manager, extension, "symphony_restore_state"),
        hooks=tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ())),
    )


def _once(manager: pluggy.PluginManager, extension: str, hook: str) -> Hook:
    caller: pluggy.HookCaller = getattr(manager.hook, hook)
    if len(caller.get_hookimpls()) > 1:
        raise ExtensionError(
            f"the extension {extension!r} implements {hook} twice",
            code="SYM-E019",
            hint="Keep one of them: an extension has one state.",
        )
    return caller


def _check_namespace(extension: str, id: str) -> None:
    if not id.startswith(f"{extension}."):
        raise ExtensionError(
            f"the extension {extension!r} contributes {id!r}, which lies outside of its own namespace",
            code="SYM-E011",
            hint=f"Begin the id with the extension's own: `{extension}.`",
        )


def collect(manager: pluggy.PluginManager, extension: str, hook: str, kind: type) -> list[Any]:
    """What an extension contributes by one hook.

    Args:
        manager: The plugin manager that knows this one extension.
        extension: Id of the extension.
        hook: Name of the hook.
        kind: What the hook hands out.

    Raises:
        ExtensionError: SYM-E018, it handed out something else. What its own code raises passes through.
    """
    found: list[Any] = []
    for contributed in getattr(manager.hook, hook)():
        if not isinstance(contributed, Iterable) or isinstance(contributed, str | bytes):
            raise ExtensionError(
                f"{hook} of the extension {extension!r} returned {type(contributed).__name__}",
                code="SYM-E018",
                hint=f"Yield or return an iterable of {kind.__name__}.",
            )
        for item in contributed:
            if not isinstance(item, kind):
                hint = f"Yield instances of {kind.__name__}."
                if inspect.isclass(item) and issubclass(item, kind):
                    hint = f"Yield an instance: write {item.__name__}()."
                elif callable(item) and kind in (Operator, Scorer):
                    hint = f"Decorate the function with @{kind.__name__.lower()}."
                raise ExtensionError(
                    f"{hook} of the extension {extension!r} contributed {item!r}", code="SYM-E018", hint=hint
                )
            found.append(item)
    return found


def _hook_error(extension: str, plugin: object, error: pluggy.PluginValidationError) -> ExtensionError:
    known = [name for hooks in (ExtensionHooks, HostHooks) for name in vars(hooks) if name[0] != "_"]
    marked = {
        opts.get("specname") or name: value
        for name, value in vars(plugin).items()
        if isinstance(opts := getattr(value, f"{PROJECT}_impl", None), dict)
    }
    for name, function in marked.items():
        code = getattr(function, "__code__", None)
        place = {"file": code.co_filename, "line": code.co_firstlineno} if code else {}
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            return ExtensionError(
                f"the extension {extension!r} implements {name!r}, which is no hook of Symphony",
                code="SYM-E019",
                hint=f"Did you mean {near[0]!r}?" if near else "The documentation lists every hook.",
                **place,
            )
    text = " ".join(str(error).split())
    return ExtensionError(
        f"the extension {extension!r} implements a hook with a wrong signature: {text}",
        code="SYM-E019",
        hint="Take only the arguments that the hook has; any of them may be left out.",
    )
