"""Every hook of Symphony: what the host asks an extension, and what it answers.

An extension's module implements a hook by a function of its name, marked with `hookimpl` or with the typed
marker of that hook in [markers][symphony_sdk.markers]. Hooks hand out contributions once; nothing that
runs often goes through a hook. Hooks marked *worker* are called in the extension's own process, the others
only for extensions that run in the host.
"""

from collections.abc import Iterable
from typing import Any

import pluggy

from symphony_sdk.events import RunEvent
from symphony_sdk.extension import Addon, Context, Instrument, Operator, Scorer
from symphony_sdk.formats import WorkflowFormat
from symphony_sdk.markers import PROJECT
from symphony_sdk.providers import (
    BusUplink,
    CliCommand,
    Conductor,
    DataAccess,
    Editor,
    Executor,
    FrontendCommand,
    Observer,
    PitComponent,
    TierScheme,
    Transport,
    WorkflowTemplate,
)

_hookspec = pluggy.HookspecMarker(PROJECT)


class ExtensionHooks:
    """The hooks of extensions in workers, and the life cycle that every extension has."""

    @_hookspec
    def symphony_operators(self) -> "Iterable[Operator[..., object]]":  # type: ignore[empty-body]
        """Contribute operators. *Worker.*

        Returns:
            The operators of the extension.

        Example:
            ```python
            from symphony_sdk import Context, operator, provides_operators

            @operator("acme.text.shout")
            def shout(ctx: Context, text: str) -> str:
                "Turn a text into capitals."
                return text.upper()

            @provides_operators
            def symphony_operators():
                yield shout
            ```
        """

    @_hookspec
    def symphony_instruments(self) -> Iterable[Instrument]:  # type: ignore[empty-body]
        """Contribute instruments. *Worker.*

        Returns:
            The instruments of the extension; each is loaded when it is first needed.

        Example:
            ```python
            from symphony_sdk import Context, Instrument, provides_instruments

            class Mood(Instrument):
                "Tells the mood of a text."
                id = "acme.text.mood"

                def load(self, ctx: Context) -> None:
                    self.words = {"great": 1.0, "awful": -1.0}

                def infer(self, ctx: Context, text: str) -> float:
                    return sum(self.words.get(word, 0.0) for word in text.split())

            @provides_instruments
            def symphony_instruments():
                yield Mood()
            ```
        """

    @_hookspec
    def symphony_scorers(self) -> "Iterable[Scorer[..., Any]]":  # type: ignore[empty-body]
        """Contribute scorers, which say how good artifacts are. *Worker.*

        Returns:
            The scorers of the extension.

        Example:
            ```python
            from symphony_sdk import Artifact, Context, Rating, provides_scorers, scorer

            @scorer("acme.text.variety", accepts=("text/",))
            def variety(ctx: Context, artifact: Artifact, wanted: float = 0.5) -> Rating:
                "Rate how many of the words of a text are different ones."
                words = ctx.artifacts.get(artifact).decode(errors="replace").split()
                share = len(set(words)) / len(words) if words else 0.0
                return Rating(min(share / wanted, 1.0), f"{share:.0%} of {len(words)} words are different")

            @provides_scorers
            def symphony_scorers():
                yield variety
            ```
        """

    @_hookspec
    def symphony_addons(self) -> Iterable[Addon]:  # type: ignore[empty-body]
        """Contribute panels, commands and themes to the user interface. *Worker.*

        Returns:
            The addons of the extension.

        Example:
            ```python
            from symphony_sdk import Addon, PanelSpec, provides_addons

            @provides_addons
            def symphony_addons():
                yield Addon(
                    "acme.text.viewer",
                    title="Text viewer",
                    package="acme_text",
                    panels=[PanelSpec("main", "Text", "panel.html", accepts=("text/plain",))],
                )
            ```
        """

    @_hookspec
    def symphony_load(self, ctx: Context) -> None:
        """Prepare, once in each process of the extension, after the import and before anything else. *Worker.*

        Operations of an extension with this hook, or with any other of its life, use one process at a time unless
        its manifest says how many (`workers` in `[resources]`).

        Args:
            ctx: Settings, files and log of the extension.

        Example:
            ```python
            from symphony_sdk import Context, hookimpl

            @hookimpl
            def symphony_load(ctx: Context) -> None:
                ctx.log.info("loaded")
            ```
        """

    @_hookspec
    def symphony_activate(self, ctx: Context) -> None:
        """Begin to serve; calls come from now on. *Worker.*

        Args:
            ctx: Settings, files and log of the extension.

        Example:
            ```python
            from symphony_sdk import Context, hookimpl

            @hookimpl
            def symphony_activate(ctx: Context) -> None:
                ctx.log.info(f"active with {dict(ctx.config)}")
            ```
        """

    @_hookspec
    def symphony_deactivate(self, ctx: Context) -> None:
        """Stop serving; no call comes any more. *Worker.*

        Args:
            ctx: Settings, files and log of the extension.

        Example:
            ```python
            from symphony_sdk import Context, hookimpl

            @hookimpl
            def symphony_deactivate(ctx: Context) -> None:
                ctx.log.info("resting")
            ```
        """

    @_hookspec
    def symphony_unload(self, ctx: Context) -> None:
        """Give back what `symphony_load` took; the process ends after it. *Worker.*

        Args:
            ctx: Settings, files and log of the extension.

        Example:
            ```python
            from symphony_sdk import Context, hookimpl

            @hookimpl
            def symphony_unload(ctx: Context) -> None:
                ctx.log.info("bye")
            ```
        """

    @_hookspec
    def symphony_health(self, ctx: Context) -> str | None:
        """Say whether the extension can do its work. *Worker.*

        Called in a process of the extension before it gets its first call after a reload, and whenever somebody asks
        how the extension is. What it raises counts as its being unwell; so does taking longer than five seconds.

        Args:
            ctx: Settings, files and log of the extension.

        Returns:
            What is wrong, in a line for people; None or an empty text where nothing is.

        Example:
            ```python
            from pathlib import Path
            from symphony_sdk import Context, hookimpl

            @hookimpl
            def symphony_health(ctx: Context) -> str | None:
                words = Path(ctx.config["dictionary"])
                return None if words.exists() else f"the dictionary {words} is gone"
            ```
        """

    @_hookspec
    def symphony_save_state(self, ctx: Context) -> bytes:  # type: ignore[empty-body]
        """Hand over, when the extension is reloaded, what the new process would have to make anew. *Worker.*

        Called when the old process has ended its last call. It is for what is dear to make and good to have, such as
        a warm cache; what must survive a crash belongs in a file. Operations of an extension with this hook use one
        process at a time unless its manifest says how many; each hands over to the one of its own number.

        Args:
            ctx: Settings, files and log of the extension.

        Returns:
            The state, at most 8 MiB. Write down in it how it is laid out: a later version of the extension reads it.

        Example:
            ```python
            import json
            from symphony_sdk import Context, hookimpl

            seen: dict[str, int] = {}

            @hookimpl
            def symphony_save_state(ctx: Context) -> bytes:
                return json.dumps(seen).encode()
            ```
        """

    @_hookspec
    def symphony_restore_state(self, ctx: Context, version: str, data: bytes) -> None:
        """Take over what the old process of a reload has saved. *Worker.*

        Called after `symphony_activate` and before the first call. Where it raises, the reload is refused and the old
        process goes on.

        Args:
            ctx: Settings, files and log of the extension.
            version: Version of the extension that saved it.
            data: What its `symphony_save_state` returned.

        Example:
            ```python
            import json
            from symphony_sdk import Context, hookimpl

            seen: dict[str, int] = {}

            @hookimpl
            def symphony_restore_state(ctx: Context, version: str, data: bytes) -> None:
                seen.update(json.loads(data))
            ```
        """


class HostHooks:
    """The hooks of extensions that run in the host: the parts of Symphony itself."""

    @_hookspec
    def symphony_pit_components(self) -> Iterable[PitComponent]:  # type: ignore[empty-body]
        """Provide components of the Pit.

        Returns:
            Providers, at most one of each role.

        Example:
            ```python
            from symphony_sdk import PitComponent, provides_pit_components

            def create_store(services):
                from acme_store.store import Store
                return Store(services.data_dir)

            @provides_pit_components
            def symphony_pit_components():
                yield PitComponent("artifact_store", create_store)
            ```
        """

    @_hookspec
    def symphony_executors(self) -> Iterable[Executor]:  # type: ignore[empty-body]
        """Provide places where nodes run.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import Executor, provides_executors

            def create_executor(services):
                from acme_cluster.executor import ClusterExecutor
                return ClusterExecutor(services.config["address"])

            @provides_executors
            def symphony_executors():
                yield Executor("acme", create_executor)
            ```
        """

    @_hookspec
    def symphony_transports(self) -> Iterable[Transport]:  # type: ignore[empty-body]
        """Provide ways for processes to talk.

        Returns:
            Providers, each with a scheme of its own.

        Example:
            ```python
            from symphony_sdk import Transport, provides_transports

            def create_transport(services):
                from acme_wire.transport import CarrierPigeon
                return CarrierPigeon()

            @provides_transports
            def symphony_transports():
                yield Transport("pigeon", create_transport)
            ```
        """

    @_hookspec
    def symphony_artifact_tiers(self) -> Iterable[TierScheme]:  # type: ignore[empty-body]
        """Provide places away from this machine that keep the sealed files of the Artifact Store.

        Returns:
            Providers, each with a scheme of its own.

        Example:
            ```python
            from symphony_sdk import TierScheme, provides_artifact_tiers

            def create_opener(services):
                from acme_tape.tier import TapeTier
                return TapeTier

            @provides_artifact_tiers
            def symphony_artifact_tiers():
                yield TierScheme("tape", create_opener)
            ```
        """

    @_hookspec
    def symphony_bus_uplinks(self) -> Iterable[BusUplink]:  # type: ignore[empty-body]
        """Provide buses that the host's own can join, such as one between machines.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import BusUplink, provides_bus_uplinks

            async def connect(services):
                from acme_broker.uplink import Broker
                return await Broker.connect(services.config["url"])

            @provides_bus_uplinks
            def symphony_bus_uplinks():
                yield BusUplink("acme", connect)
            ```
        """

    @_hookspec
    def symphony_editors(self) -> Iterable[Editor]:  # type: ignore[empty-body]
        """Provide text editors.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import Editor, provides_editors

            def create_editor(services):
                from acme_editor.adapter import AcmeEditor
                return AcmeEditor(services.data_dir)

            @provides_editors
            def symphony_editors():
                yield Editor("acme", create_editor)
            ```
        """

    @_hookspec
    def symphony_conductors(self) -> Iterable[Conductor]:  # type: ignore[empty-body]
        """Provide conductors.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import Conductor, provides_conductors

            def create_conductor(services):
                from acme_conductor.rules import Rules
                return Rules(services.pit)

            @provides_conductors
            def symphony_conductors():
                yield Conductor("acme", create_conductor)
            ```
        """

    @_hookspec
    def symphony_data_access(self) -> Iterable[DataAccess]:  # type: ignore[empty-body]
        """Provide the access to users, projects, workflows and extensions.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import DataAccess, provides_data_access

            def create_data(services):
                from acme_data.client import Client
                return Client(services.config["url"])

            @provides_data_access
            def symphony_data_access():
                yield DataAccess("acme", create_data)
            ```
        """

    @_hookspec
    def symphony_commands(self) -> Iterable[FrontendCommand]:  # type: ignore[empty-body]
        """Provide commands that user interfaces can call.

        Returns:
            Commands, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import FrontendCommand, provides_commands

            def greet(name: str) -> str:
                return f"Hello, {name}"

            @provides_commands
            def symphony_commands():
                yield FrontendCommand("acme.greet", "Greet somebody", greet)
            ```
        """

    @_hookspec
    def symphony_cli(self) -> Iterable[CliCommand]:  # type: ignore[empty-body]
        """Add commands to `symphony`; their modules are imported when they are called.

        Returns:
            Commands, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import CliCommand, provides_cli

            @provides_cli
            def symphony_cli():
                yield CliCommand("greet", "Greet somebody", "acme_text.cli:greet")
            ```
        """

    @_hookspec
    def symphony_message_types(self) -> Iterable[type]:  # type: ignore[empty-body]
        """Contribute messages to the protocol.

        Returns:
            Classes that are decorated with `message`.

        Example:
            ```python
            import msgspec
            from symphony_sdk import message, provides_message_types

            @message("acme.greeting")
            class Greeting(msgspec.Struct, frozen=True):
                name: str

            @provides_message_types
            def symphony_message_types():
                yield Greeting
            ```
        """

    @_hookspec
    def symphony_workflow_templates(self) -> Iterable[WorkflowTemplate]:  # type: ignore[empty-body]
        """Contribute templates that users make workflows of, where the manifest cannot say which.

        The files that ship with an extension stand in `[templates]` of its manifest, which needs no code to
        run. This hook is for an extension in the host whose templates depend on its settings.

        Returns:
            Templates, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import WorkflowTemplate, provides_workflow_templates

            @provides_workflow_templates
            def symphony_workflow_templates():
                yield WorkflowTemplate("tidy", "Tidy a folder", "acme_text", "tidy.json")
            ```
        """

    @_hookspec
    def symphony_workflow_formats(self) -> Iterable[WorkflowFormat]:  # type: ignore[empty-body]
        """Contribute formats of other programs, for `symphony import` and `symphony export`.

        A reader keeps whatever it cannot take over in the metadata of the node that it makes instead, and says so in a
        note.

        Returns:
            Formats, each with a name of its own.

        Example:
            ```python
            import json
            from symphony_sdk import FormatNote, ImportedWorkflow, WorkflowFormat, provides_workflow_formats

            def detect(data):
                return 0.9 if data.startswith(b'{"acme_steps"') else 0.0

            def read(data, *, name, mapping):
                nodes, notes = {}, []
                for step in json.loads(data)["acme_steps"]:
                    known = mapping.get(step["type"])
                    uses = known.uses if known else "acme.imported.step"
                    nodes[step["id"]] = {"kind": "operator", "uses": uses, "metadata": {"acme": step}}
                    if known is None:
                        notes.append(FormatNote(step["id"], step["id"], step["type"], "it is unknown", "a placeholder"))
                return ImportedWorkflow({"schema": 1, "id": name, "nodes": nodes}, tuple(notes))

            @provides_workflow_formats
            def symphony_workflow_formats():
                yield WorkflowFormat("acme", "Steps of Acme", ".acme.json", detect, read)
            ```
        """

    @_hookspec
    def symphony_observers(self) -> Iterable[Observer]:  # type: ignore[empty-body]
        """Provide what watches runs and needs more of the host than the events: its settings, the Pit, an end.

        Returns:
            Providers, each with a name of its own.

        Example:
            ```python
            from symphony_sdk import Observer, provides_observers

            def create_observer(services):
                from acme_monitor.observer import Monitor
                return Monitor(services.config["address"], services.pit) if services.config["address"] else None

            @provides_observers
            def symphony_observers():
                yield Observer("acme", create_observer)
            ```
        """

    @_hookspec
    def symphony_event(self, event: RunEvent) -> None:
        """See an event of a run as it happens. An error of one observer is recorded and harms no other.

        Args:
            event: What happened.

        Example:
            ```python
            from symphony_sdk import hookimpl

            @hookimpl
            def symphony_event(event) -> None:
                print(event.run, event.sequence, type(event).__name__)
            ```
        """
