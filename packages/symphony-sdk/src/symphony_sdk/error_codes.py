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
    "SYM-M002": ErrorCode(
        "Manifest cannot be read",
        "There is no `symphony.toml` where the entry point says, or it is empty, unreadable or larger than "
        "1 MiB. The most frequent cause is a wheel that leaves the file out: look for it with `unzip -l`.",
    ),
    "SYM-M003": ErrorCode(
        "Manifest is not TOML",
        "The `symphony.toml` is not UTF-8 or not TOML 1.0. The message names the line and column where the "
        "reader gave up; the fault is there or just before, often a missing quote or bracket.",
    ),
    "SYM-M004": ErrorCode(
        "Manifest needs a newer Symphony",
        "The `schema` of the manifest is newer than this Symphony reads. Upgrade Symphony, or install a "
        "version of the extension that was made for this one.",
    ),
    "SYM-M005": ErrorCode(
        "Manifest cannot inherit",
        "`extension.inherits` names an extension that is not installed, or one that inherits from this one "
        "in turn. The message shows the chain.",
    ),
    "SYM-M006": ErrorCode(
        "Permission is malformed",
        "A permission is a type (file, network, system, model), scopes (read, write, execute) and a resource "
        "in the grammar of its type, as in `file:read:${project}/**`, `network:read:api.example.org:443`, "
        "`system:read:environment:NAME` or `model:execute:openai/whisper-*`. A path starts with `/` or a "
        "variable and holds no `..`; `**` stands alone between slashes.",
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
        "The id of an operation or an addon is `publisher.extension.name` in lower case, and begins with the id of "
        "the extension that brings it, so that no extension can take another's name.",
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
    "SYM-E020": ErrorCode(
        "Entry point is malformed",
        "An entry point of the group `symphony.extensions` is a top-level package, a colon and a file in it, "
        "as in `acme_text:symphony.toml`. The distribution's `entry_points.txt` says something else, or cannot "
        "be read.",
    ),
    "SYM-E021": ErrorCode(
        "Package of the entry point is missing",
        "The entry point names a package that cannot be found, or that is a single module: a manifest lies in "
        "a directory. The wheel may leave the package out, or its name is misspelt.",
    ),
    "SYM-E022": ErrorCode(
        "Two extensions have one id",
        "Two installed distributions bring an extension of the same id. None of them is used, because nobody "
        "can know which one is meant. Uninstall all of them but one.",
    ),
    "SYM-E023": ErrorCode(
        "Required extension is not installed",
        "`requires.extensions` of the manifest names an extension that no installed distribution brings.",
    ),
    "SYM-E024": ErrorCode(
        "Installed version does not fit",
        "The manifest needs Symphony or another extension in a range of versions that the installed one is "
        "not in. The message names the version that was found, the range, and who needs it.",
    ),
    "SYM-E025": ErrorCode(
        "Extensions need each other in a circle",
        "No order exists in which these extensions could load. The message shows the circle; remove one of its "
        "links from `requires.extensions` or `requires.after`.",
    ),
    "SYM-E026": ErrorCode(
        "Required extension cannot be used",
        "An extension that this one needs is broken, disabled, or failed to start. The message names the chain "
        "down to the first cause.",
    ),
    "SYM-E027": ErrorCode(
        "Extension may not run in the host",
        'The manifest says `runs = "host"`, which gives its code everything that you may do. Only Symphony\'s '
        "own parts and the extensions in the setting `trusted` may.",
    ),
    "SYM-E028": ErrorCode(
        "Extension is unknown",
        "No installed extension has this id. `symphony list` shows those that are installed.",
    ),
    "SYM-E029": ErrorCode(
        "State cannot follow",
        "An extension was to be led from one state of its life to one that cannot follow it, such as from "
        "discovered to active. This is an error of whoever drives the life cycle.",
    ),
    "SYM-E030": ErrorCode(
        "Worker does not start",
        "The process of an extension could not be started, or came to its end while it loaded the extension. "
        "The message has its exit code or signal and the last lines that it printed.",
    ),
    "SYM-E031": ErrorCode(
        "Worker is too slow to load",
        "An extension was not imported and activated within its `load_timeout`. Do slow work in "
        "`Instrument.load` or in the operation, or raise `load_timeout` under `[resources]` of its symphony.toml.",
    ),
    "SYM-E032": ErrorCode(
        "Extension is quarantined",
        "The worker of an extension crashed four times within a minute, so it is started no more, however "
        "often Symphony is started, until its code or its settings change. The message says how it crashed last. "
        "`symphony reload EXTENSION` or `symphony enable EXTENSION` gives it one more try.",
    ),
    "SYM-E033": ErrorCode(
        "Extension is unknown",
        "No installed extension has this id, or the one that has it does not run in a worker.",
    ),
    "SYM-E034": ErrorCode(
        "Extension cannot be used",
        "The extension is installed and disabled, or could not be read. The message says why; `symphony enable` "
        "and `symphony doctor` help.",
    ),
    "SYM-E035": ErrorCode(
        "Worker asks for what it may not",
        "A worker asked the host for something that is not meant for it: artifacts of a node that it does not "
        "work on, more bytes at once than are allowed, or an unknown service.",
    ),
    "SYM-E036": ErrorCode(
        "Extension was stopped",
        "A call came while the extension, or Symphony itself, was being stopped.",
    ),
    "SYM-E044": ErrorCode(
        "No workers on this platform",
        "Symphony cannot start the process of an extension on Windows so far: a worker is handed its sockets when it "
        "is started, which Windows does in another way. The limits of a job object are made for it, and nothing runs "
        "without them. Run Symphony in the Windows Subsystem for Linux.",
    ),
    "SYM-E045": ErrorCode(
        "Model failed",
        "An extension ran a model of another extension with `ctx.models`, and that failed: its code raised, its process "
        "died, the inputs do not fit its ports, or its extension cannot be used. The message names the model and has "
        "what it said; `details` has the code of that.",
    ),
    "SYM-E047": ErrorCode(
        "Extension was not reloaded",
        "New processes of an extension were started with its code as it is now, and did not come up: the code raised, "
        "the extension said that it is not well, or the state of the old one could not be taken over. Nothing was "
        "lost: the old processes go on with the code that they have. Mend what the message says and reload again.",
    ),
    "SYM-E048": ErrorCode(
        "Extension cannot be reloaded",
        'The extension runs in the host itself, as its `runs = "host"` says, and Python cannot take a module out of a '
        "process that runs. Start Symphony again.",
    ),
    "SYM-E049": ErrorCode(
        "Extension is not well",
        "The extension's own `symphony_health` says that it cannot do its work, raised an error, or did not answer in "
        "time. The message has what it said.",
    ),
    "SYM-E050": ErrorCode(
        "State cannot be handed over",
        "When an extension is reloaded, its `symphony_save_state` hands at most 8 MiB of bytes to the new process. It "
        "returned something else or too much.",
    ),
    "SYM-E051": ErrorCode(
        "Symphony does not answer",
        "A process of Symphony that runs did not take the command within ten seconds. It may be stopped or very busy.",
    ),
    "SYM-E052": ErrorCode(
        "Nothing to develop here",
        "`symphony dev` takes the id of an installed extension, or a folder with the code of one that is installed in "
        "editable form (`pip install -e FOLDER`), so that Symphony runs the files that you edit.",
    ),
    "SYM-E053": ErrorCode(
        "Contributions are too large",
        "The JSON Schemas of the ports that an extension contributes have more objects and lists in all than the host "
        "keeps of one extension. Annotate ports with simpler types.",
    ),
    "SYM-E080": ErrorCode(
        "Added command cannot be imported",
        "An extension added a command to `symphony`, and importing that command failed. All other commands work; "
        "disable the extension or install another version of it.",
    ),
    # -- C: configuration --------------------------------------------------------------------------
    "SYM-C001": ErrorCode(
        "Setting is invalid",
        "A value from the configuration file, a `SYMPHONY_*` variable or the command line is unknown or of the "
        "wrong type. The message names the source and the setting.",
    ),
    "SYM-C002": ErrorCode(
        "Configuration file cannot be read",
        "The file that `--config` or `SYMPHONY_CONFIG` names is not there, or a configuration file cannot be "
        "read or is not TOML. The message names the line and column where the reader gave up.",
    ),
    "SYM-C030": ErrorCode(
        "Setting of the telemetry cannot be used",
        "A setting of symphony.telemetry has the right type, but is no address of this machine, no URL, or no list of "
        "headers. Runs go on; nothing is told of them until it is mended.",
    ),
    "SYM-C031": ErrorCode(
        "Address for metrics is taken",
        "Metrics for Prometheus are served by each process that runs something, and another one has the address of the "
        "setting `prometheus` already. The run goes on; give each process an address of its own, or use `textfile`.",
    ),
    "SYM-C032": ErrorCode(
        "OpenTelemetry is not installed",
        "The setting `otlp` of symphony.telemetry asks for traces and metrics by OpenTelemetry, whose libraries are no "
        "part of a plain installation. Install `symphony-telemetry[otel]`.",
    ),
    "SYM-C033": ErrorCode(
        "File of metrics cannot be written",
        "The file that the setting `textfile` of symphony.telemetry names cannot be written: its folder is missing, "
        "may not be written to, or is full. Runs go on; the next look at them tries again.",
    ),
    "SYM-C035": ErrorCode(
        "Timeline cannot be written",
        "The picture of a run could not be saved: the folder is missing or may not be written to, or the disk is "
        "full. The run itself is not affected. Name another file: `symphony runs timeline RUN -o FILE`.",
    ),
    "SYM-C040": ErrorCode(
        "Command line is wrong",
        "What was typed after `symphony` names something that does not exist or has the wrong form. "
        "`symphony COMMAND --help` shows what can be given, with an example.",
    ),
    "SYM-C041": ErrorCode(
        "The system refused",
        "A file or a directory could not be read or written. The message names it; `symphony doctor` checks the "
        "directories that Symphony writes to.",
    ),
    "SYM-C042": ErrorCode(
        "Project cannot be made",
        "`symphony new` could not write the project of an extension, because its folder exists already or "
        "cannot be written to. Nothing was written over and nothing of the project was left behind.",
    ),
    # -- W: workflow -------------------------------------------------------------------------------
    "SYM-W001": ErrorCode(
        "Workflow is invalid",
        "The workflow has one or more faults; each is listed with its node and a hint. `symphony validate FLOW` "
        "shows them without running anything.",
    ),
    "SYM-W002": ErrorCode(
        "Workflow cannot be read",
        "The file is missing, may not be read, is too large, or is not UTF-8. Give `symphony` the path of "
        "a workflow file in JSON.",
    ),
    "SYM-W003": ErrorCode(
        "Workflow is not JSON",
        "The text of the workflow file breaks the rules of JSON; the message names the line and column. A "
        "key that stands twice in one object is refused too, because one of the two would be lost.",
    ),
    "SYM-W004": ErrorCode(
        "Workflow has the wrong shape",
        "The file is JSON, but not a workflow: a key is missing, or unknown where none may be, or holds a value of the wrong "
        "kind. The message lists every such place with its path, such as `nodes.walk.retry.attempts`. "
        "`symphony validate --schema` prints what may stand where.",
    ),
    "SYM-W005": ErrorCode(
        "Workflow is of a newer format",
        "A newer Symphony wrote the file. Upgrade this one; an older Symphony does not guess what the new "
        "format means. It publishes no JSON Schema of that format either.",
    ),
    "SYM-W006": ErrorCode(
        "Workflow cannot be written",
        "Two parts share a name, an unknown field has the name of a known one, a value is not one that JSON can "
        "hold, or the file cannot be written. "
        "Nothing was changed on disk.",
    ),
    "SYM-W010": ErrorCode(
        "Workflow has a cycle",
        "Nodes wait for each other in a ring, so that none could ever start. The message names the ring; "
        "remove one of its edges.",
    ),
    "SYM-W011": ErrorCode(
        "Unknown node",
        "An edge or an output names a node that the workflow does not have.",
    ),
    "SYM-W012": ErrorCode(
        "Unknown port",
        "An edge, a parameter or an output names a port that the node does not have, or an input that the "
        "workflow does not have.",
    ),
    "SYM-W013": ErrorCode(
        "Unknown node type",
        "A node uses an operator or instrument that no installed extension offers. Correct the name, or "
        "install the extension that brings it.",
    ),
    "SYM-W014": ErrorCode(
        "Wrong kind of node",
        "The node says `operator` where it uses an instrument, or the other way round.",
    ),
    "SYM-W015": ErrorCode(
        "Port types do not fit",
        "A value of the one port's type is not always a value of the other's. The message shows both "
        "types. An integer fits a number; what may be null fits only where null is allowed.",
    ),
    "SYM-W016": ErrorCode(
        "Missing input",
        "An input that the node needs gets no value: neither an edge leads to it nor do the node's params "
        "set it.",
    ),
    "SYM-W017": ErrorCode(
        "Input given twice",
        "Two edges, or an edge and a parameter, give a value to one input port, and only one could count.",
    ),
    "SYM-W018": ErrorCode(
        "Not connected",
        "No edge leads to or from the node, or no edge takes the workflow's input. The workflow runs all "
        "the same.",
    ),
    "SYM-W019": ErrorCode(
        "Name is taken",
        "Two nodes, inputs or outputs of one workflow have the same name.",
    ),
    "SYM-W020": ErrorCode(
        "Not allowed here",
        "An id or a name has letters that it may not have, or a number is out of its range, such as a "
        "retry with no attempts.",
    ),
    "SYM-W021": ErrorCode(
        "Expression is invalid",
        "A condition, or a value that is written as an expression, is not CEL, is too long, uses a name or a "
        "function that there is not, or cannot work with the types that it is given. The condition of an edge "
        "can use the output ports of the node that it comes from, those of a branch or switch its inputs, that "
        "of a loop the outputs of an iteration, and a value of a node its other inputs and `inputs.NAME`.",
    ),
    "SYM-W022": ErrorCode(
        "Map over no list",
        "A map node is given a single value where it needs the list of items to go through.",
    ),
    "SYM-W023": ErrorCode(
        "Workflow is empty",
        "The workflow has no nodes, so there is nothing to run.",
    ),
    "SYM-W024": ErrorCode(
        "Node can never run",
        "Every way to the node is closed: a condition on it is always false, a decision never takes it, or "
        "it waits for a node that never runs. The workflow runs without it.",
    ),
    "SYM-W025": ErrorCode(
        "Ways exclude each other",
        "A node waits for two outputs of one branch, switch or approval, of which each run takes only one, "
        "or a join waits for more inputs than it has. It could never run. Bring such ways together in a "
        "join.",
    ),
    "SYM-W026": ErrorCode(
        "Fan-out without a bound",
        "A map takes a list of any length, or maps and loops within each other multiply to more than a "
        "million calls. Give `max_items`, or lower the bounds.",
    ),
    "SYM-W027": ErrorCode(
        "Impossible resources",
        "A node needs a negative amount of something, or more than any place to run it offers, and would "
        "wait for ever.",
    ),
    "SYM-W028": ErrorCode(
        "Other version of a node type",
        "The node was made for another version of its operator or instrument than is installed. For a newer"
        " one the extension has to be upgraded; with an older one the node may behave differently than when"
        " it was made.",
    ),
    "SYM-W029": ErrorCode(
        "Unknown field",
        "The file has a field that this version of Symphony does not know. It is kept when the file is "
        "written again, and does nothing. Names that begin with `x-`, `//` or `$comment` are notes and "
        "never reported.",
    ),
    "SYM-W030": ErrorCode(
        "Expression failed",
        "A condition, or a value that is written as an expression, could not be evaluated with the values of "
        "this run: a value is missing, the types do not fit the operators, the result is no JSON, or that of "
        "a condition is not true or false.",
    ),
    "SYM-W040": ErrorCode(
        "Impossible change of state",
        "A run or node was to change to a state that cannot follow its present one, such as resuming what "
        "is running already.",
    ),
    "SYM-W050": ErrorCode(
        "Builder was used wrongly",
        "The Python code that builds a workflow gave something that cannot be part of it. The message "
        "names the line of that code.",
    ),
    "SYM-W060": ErrorCode(
        "Binary workflow is damaged",
        "The file is not a binary workflow, was cut off or changed on its way, or claims more than it holds. Nothing "
        "of it was read. Fetch it again, or export the workflow again from its JSON.",
    ),
    "SYM-W061": ErrorCode(
        "Binary workflow is of a newer container",
        "A newer Symphony wrote the file, in a container that this one does not know. Upgrade this one, or export "
        "the workflow as JSON where it was made.",
    ),
    "SYM-W062": ErrorCode(
        "Signature cannot be read",
        "There is no file of a signature beside the workflow, or what is there is not the signature of a workflow. "
        "`symphony sign FLOW --key KEY` makes one.",
    ),
    "SYM-W063": ErrorCode(
        "Signature does not hold",
        "The workflow was changed after it was signed, the signature was changed, or another key than the given "
        "ones made it. Do not run the workflow before you know why: ask whoever signed it.",
    ),
    "SYM-W064": ErrorCode(
        "Key cannot be used",
        "The file of a key is missing, exists already where a new one was to be made, or does not hold an Ed25519 "
        "key in PEM without a passphrase. Signing needs the private key, verifying its public part.",
    ),
    "SYM-W065": ErrorCode(
        "Unknown form of a workflow",
        "A workflow was to be exported in a form that Symphony does not write. The message lists those that it does; "
        "the extension of the file or `--to` chooses one.",
    ),
    "SYM-W066": ErrorCode(
        "Exported file cannot be written",
        "The file of an export or of a signature could not be written: its folder is missing, is full, or may not be "
        "written to. What was there before is unchanged.",
    ),
    "SYM-W070": ErrorCode(
        "Inputs do not fit the workflow",
        "A run was given inputs that the workflow does not declare, of another type, or not all that it "
        "requires. Every fault is listed; give each as `--input NAME=VALUE`.",
    ),
    "SYM-W071": ErrorCode(
        "Expression takes too much",
        "With the values of this run, evaluating an expression may take more work or memory than is allowed: "
        "macros inside of macros over long lists, `map` or `filter` over more than about 1,500 items, or "
        "texts that grow. So may a value that holds more than a million others, or nests more than 100 deep. An "
        "operator is the place for such work.",
    ),
    "SYM-W072": ErrorCode(
        "Workflow cannot be written as Python",
        "A workflow holds something that no file could hold either, such as a value that is not JSON, so no "
        "Python code can build it.",
    ),
    "SYM-W080": ErrorCode(
        "Sub-workflow runs itself",
        "Sub-workflows of the file run each other in a ring, so that none could ever end. Use a loop, which"
        " has a bound.",
    ),
    "SYM-W081": ErrorCode(
        "Sub-workflow is not used",
        "No node runs the sub-workflow, neither directly nor by way of another one.",
    ),
    "SYM-W082": ErrorCode(
        "Condition never changes",
        "A condition is always true or always false, or a case of a switch comes after one that holds "
        "whenever it does; so one way is never taken, or the condition is of no use.",
    ),
    "SYM-W083": ErrorCode(
        "Nothing follows",
        "Nothing follows any way out of a branch, switch or approval, or nothing follows one case of a "
        "switch.",
    ),
    "SYM-W089": ErrorCode(
        "networkx is not installed",
        "A workflow was to become a graph of networkx, which Symphony itself does not need. Install it "
        "beside Symphony.",
    ),
    "SYM-W090": ErrorCode(
        "Template is broken",
        "A template file cannot be read, is not JSON, or has faults: keys that are unknown, a parameter whose "
        "default does not fit, a place holder that names no parameter. Every fault is listed with its place; "
        "`symphony template validate FILE` also makes workflows of it and checks those.",
    ),
    "SYM-W091": ErrorCode(
        "Template is of a newer format",
        "The template was written for a later version of Symphony. Upgrade Symphony, or ask the template's "
        "author for one in the older format.",
    ),
    "SYM-W093": ErrorCode(
        "Values do not fit the template",
        "Values for the parameters of a template are missing, unknown or wrong, or cannot stand where the "
        "template puts them. Every fault is listed with its parameter and its place; `symphony template show ID` "
        "says what each parameter takes.",
    ),
    "SYM-W094": ErrorCode(
        "Template is not there",
        "The library has no template of that id or no such version of it, or its file is broken. "
        "`symphony template list` shows those that can be used, and names the broken ones.",
    ),
    "SYM-W095": ErrorCode(
        "Workflow of the template is too large",
        "With these values the template would make a workflow of more than a million values or of more than "
        "64 million characters.",
    ),
    "SYM-W096": ErrorCode(
        "Template cannot be written",
        "The library has a template of that id and version already, or its folder cannot be written to. Templates "
        "that others may have used do not change: give the new one a new version.",
    ),
    "SYM-W097": ErrorCode(
        "Not a literal of the workflow",
        "A parameter was to take the place of something that is not there, is computed by an expression, is a "
        "condition, or lies within another parameter's place.",
    ),
    "SYM-W098": ErrorCode(
        "Workflow is from no template",
        "Only a workflow that was made from a template can be made again with a newer version of it: its "
        "metadata says which template, which version and which values.",
    ),
    "SYM-W099": ErrorCode(
        "Template makes no workflow",
        "With these values, what the template makes does not have the shape of a workflow. Give other values, or "
        "tell the template's author.",
    ),
    "SYM-W100": ErrorCode(
        "Unknown workflow format",
        "The file looks like none of the formats that the installed extensions read, or like several, or a format "
        "was named that there is not. Name it with `--from`; `symphony import --help` lists them.",
    ),
    "SYM-W101": ErrorCode(
        "File of another program cannot be read",
        "It is missing, too large, nests too deeply, holds a value that JSON cannot, or is not the JSON or YAML "
        "that its format is written in. Nothing was written.",
    ),
    "SYM-W102": ErrorCode(
        "File of another program has the wrong shape",
        "The file can be read, but a part of it is missing or of another kind than its format says. The message "
        "names the place. Save it again with the program that it comes from.",
    ),
    "SYM-W103": ErrorCode(
        "Format cannot be written",
        "Symphony reads this format and does not write it, or nothing of the workflow can be said in it.",
    ),
    "SYM-W104": ErrorCode(
        "Mapping of node types is wrong",
        "The file given with `--map` cannot be read, or maps a node type to what is no id of an operation. It is "
        'TOML: a table for each node type, such as `[KSampler]` with `uses = "acme.image.sample"`.',
    ),
    "SYM-W105": ErrorCode(
        "Import or export is not exact",
        "With `--strict`, a workflow of which something could not be taken over is refused. The notes say what. "
        "Nothing was written.",
    ),
    # -- R: run ------------------------------------------------------------------------------------
    "SYM-R001": ErrorCode(
        "Run failed",
        "One or more nodes of a run failed. What had succeeded is kept: `symphony resume RUN` runs the rest.",
    ),
    "SYM-R002": ErrorCode(
        "Unknown run",
        "There is no run of this id in the data directory. `symphony run` prints the id of each run that it starts.",
    ),
    "SYM-R003": ErrorCode(
        "Cancelled",
        "The run or the call was cancelled before it ended. `symphony resume RUN` goes on from there.",
    ),
    "SYM-R004": ErrorCode(
        "Executor cannot run the workflow",
        "No executor of that name is installed, or it has no place that could ever run a node.",
    ),
    "SYM-R005": ErrorCode(
        "Run is in the wrong state",
        "What was asked for is not possible in the state that the run is in, such as resuming a completed run or "
        "cancelling one that has ended.",
    ),
    "SYM-R006": ErrorCode(
        "Run belongs to another process",
        "Another process of Symphony that is alive works on the run. Steer it from there; a run is taken over "
        "only from a process that has ended.",
    ),
    "SYM-R007": ErrorCode(
        "Log of runs is damaged",
        "The file that remembers the runs is no database, or a part of it cannot be read. A damaged run can be "
        "started anew; others are not affected unless the whole file is damaged.",
    ),
    "SYM-R008": ErrorCode(
        "Log of runs cannot be written",
        "The disk is full, or the data directory may not be written to. Runs pause and keep in memory what is not "
        "written yet. Make room, then resume them from the same process to lose nothing.",
    ),
    "SYM-R009": ErrorCode(
        "Log of runs is of a newer Symphony",
        "A newer Symphony wrote the log. Upgrade this one; an older Symphony does not guess what is in it.",
    ),
    "SYM-R010": ErrorCode(
        "Map node has no list",
        "The input that a map node goes over was given no value, or one that is no list.",
    ),
    "SYM-R011": ErrorCode(
        "Result is no value",
        "An operation gave bytes that are not one MessagePack value. This is an error of the extension or of the "
        "executor.",
    ),
    "SYM-R012": ErrorCode(
        "Run was interrupted",
        "The process that ran the workflow ended before the run did. What had completed is kept: "
        "`symphony resume RUN` runs the rest.",
    ),
    "SYM-R013": ErrorCode(
        "Result cannot be stored",
        "A result is too large for the log of runs and the Artifact Store could not take it. Make room for the "
        "store, then resume the run.",
    ),
    "SYM-R040": ErrorCode(
        "Executor is unknown",
        "The run asks for an executor that no installed extension provides. Install the one that brings it, or "
        "name another with `--executor`.",
    ),
    "SYM-R060": ErrorCode(
        "Run has no such node",
        "A command names a node that the workflow of the run does not have. `symphony runs show RUN` lists its nodes.",
    ),
    "SYM-R061": ErrorCode(
        "Node cannot be retried",
        "Only a node that has ended can run again, and only while nothing that depends on it is under way. Without a "
        "node, a retry needs nodes that failed. Wait for what is under way or pause the run, then try again.",
    ),
    "SYM-R062": ErrorCode(
        "Node cannot be skipped",
        "What has completed cannot be skipped any more. `symphony runs rerun` begins a new run from its results.",
    ),
    "SYM-R063": ErrorCode(
        "Node waits for no answer",
        "Only a node that waits for a person can be answered, and only once. `symphony runs show RUN` says which wait.",
    ),
    "SYM-R064": ErrorCode(
        "Person is no approver",
        "The workflow names who may answer this node, and the person who answered is none of them. Ask one of those "
        "that the message names.",
    ),
    "SYM-R065": ErrorCode(
        "Run's id is ambiguous",
        "Several runs have an id that begins with the characters that were given. Give more of them; `symphony runs "
        "list` shows the ids.",
    ),
    "SYM-R066": ErrorCode(
        "Process of the run does not answer",
        "Another process works on the run and did not take the command in time; it was withdrawn. That process may be "
        "stopped or overloaded. End it, and the command takes effect at once.",
    ),
    "SYM-R067": ErrorCode(
        "Change cannot be made",
        "A new run from an old one was to change something that the workflow does not have, or a param of an input "
        "that an edge feeds. Change what is before the edge, or the workflow itself.",
    ),
    "SYM-R068": ErrorCode(
        "Result is lost",
        "A result that a node needs to run again cannot be read back from the Artifact Store. Retry the node that "
        "made it; what depends on it runs again, too.",
    ),
    "SYM-R080": ErrorCode(
        "Workflow cannot run inside of this one",
        "A map, loop or sub-workflow node runs a workflow that is not in the file, that runs inside of itself, or that "
        "lies more than 32 workflows deep. Add it to `workflows`; to repeat a workflow, use a loop.",
    ),
    "SYM-R081": ErrorCode(
        "No place for a node",
        "A node needs more cores, memory or devices at once than the executor will ever have, so nothing was started. "
        "Lower its `resources`, or name an executor that has as much.",
    ),
    "SYM-R082": ErrorCode(
        "List is too long",
        "A map node was given more items than its `max_items` allows. Raise that, or give it a shorter list.",
    ),
    "SYM-R083": ErrorCode(
        "Loop reached its bound",
        "A loop ran as often as its `max_iterations` allows, and its condition did not hold. Raise the bound, or let "
        'the loop complete with what it has: `on_limit = "complete"`.',
    ),
    "SYM-R084": ErrorCode(
        "Workflow inside of a run took too long",
        "A sub-workflow, an iteration of a loop or an item of a map was given so many seconds, and they passed. What "
        "was left of it was skipped, and running operations were told to stop.",
    ),
    "SYM-R085": ErrorCode(
        "Nobody answered in time",
        "A node waited for a person, its time passed, and its `on_timeout` is to fail then. `symphony runs retry` asks "
        "again.",
    ),
    "SYM-R086": ErrorCode(
        "Run has too many nodes",
        "The workflows that run inside of a run have more than 250,000 nodes together. Give maps shorter lists, or do "
        "more of the work inside of one operation.",
    ),
    "SYM-R087": ErrorCode(
        "Workflow inside of a run failed",
        "Nodes of a sub-workflow, of an iteration of a loop or of an item of a map failed, and with them the node that "
        "runs it. The message names them. Mend the cause, then resume the run: what has completed is kept.",
    ),
    "SYM-R088": ErrorCode(
        "Call was lost with its place again and again",
        "A call was made four times in a row, and each time the worker process or the machine where it ran was gone "
        "before it ended. Often it is the call itself that ends it, such as by taking more memory than there is. The "
        "message names the places; `symphony doctor` and the log of the extension say more.",
    ),
    "SYM-R089": ErrorCode(
        "Node took too long, and its executor let it",
        "The `timeout` of a node passed, its executor did nothing about that for another 5 seconds, and the call was "
        "stopped by force. Raise the `timeout`, or let the operation do less at a time.",
    ),
    "SYM-R090": ErrorCode(
        "Node was silent for too long",
        "A node has an `idle_timeout`, and its operation reported nothing for so long. It was told to stop, and after 5 "
        "seconds by force. Let the operation call `ctx.progress` or `ctx.heartbeat` while it works, or raise the "
        "`idle_timeout`.",
    ),
    "SYM-R091": ErrorCode(
        "Run took too long",
        "The run was started with a timeout, and that passed; pauses, and the time for which no process worked on it, do "
        "not count. What has completed is kept: `symphony resume` gives the run as much time again.",
    ),
    "SYM-R092": ErrorCode(
        "Policy of a run cannot be obeyed",
        "A run was to be started with a timeout, a concurrency or a weight that makes no sense. The message says which. "
        "Nothing was started.",
    ),
    "SYM-R100": ErrorCode(
        "Run may still go on",
        "Only the log of a run that is completed or cancelled, and on which nobody works, is compacted. Wait for its "
        "end, or cancel it.",
    ),
    "SYM-R120": ErrorCode(
        "Library of an engine is not installed",
        "The package of an executor is light by itself; the library that it stands on, such as Dask, is an extra. "
        "The hint has the command that installs it.",
    ),
    "SYM-R121": ErrorCode(
        "Cluster cannot be reached",
        "Nothing answers at the address of the cluster, a cluster could not be started on this machine, or none of "
        "its machines was ready in time. See that the cluster runs and that the address is right.",
    ),
    "SYM-R122": ErrorCode(
        "Machine has another Symphony",
        "A machine of the cluster runs another version of Symphony than the host, and takes no calls. The message "
        "names both. Install the same version on both.",
    ),
    "SYM-R123": ErrorCode(
        "Machine lacks an extension",
        "An extension that a node uses has to be installed on the machines of the cluster, in the version and with the "
        "code that the host has. The message says what the machine has instead, and the hint how to install it.",
    ),
    "SYM-R124": ErrorCode(
        "Machine was lost",
        "The machine that a call ran on was killed, or the connection to it broke. The call runs again on another "
        "machine where its operation is idempotent; calls on other machines are not touched.",
    ),
    "SYM-R125": ErrorCode(
        "No machine for a call",
        "All machines of the cluster that could run a call were lost, and none came back in time; the setting "
        "`patience` of the executor's extension says how long calls wait. See that the machines run, then resume the run.",
    ),
    # -- A: artifact -------------------------------------------------------------------------------
    "SYM-A001": ErrorCode(
        "Artifact cannot be used",
        "An artifact is missing, damaged, or could not be written. The message names its id.",
    ),
    "SYM-A002": ErrorCode(
        "Artifact is not there",
        "No artifact has this id: it was never stored in this store, or it was removed. `symphony "
        "artifacts list` shows those that there are. The message says where one was removed and can still be restored.",
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
        "`group` and `sync`, or a range begins before the first byte, or a hold has no reason.",
    ),
    "SYM-A040": ErrorCode(
        "Artifact must not be removed",
        "The artifact is pinned, or it is held. The message names each reason. Unpin it and release it of each reason; "
        "a hold is given by somebody who needs the artifact, so ask them first.",
    ),
    "SYM-A041": ErrorCode(
        "Tag is not there",
        "No artifact has this tag, or tags are not written so: a tag is 1 to 128 letters and digits, with `.`, `_`, "
        "`-` and `/` inside of it, and does not begin with `b3-`, as ids do.",
    ),
    "SYM-A042": ErrorCode(
        "Artifact is not in that state",
        "An artifact was to be released of a hold that it does not have, or restored where it was not removed, or "
        "related to itself or in a way that there is not: an artifact is `derived-from` another, `produced-by` a run, "
        "or `replaces` another. The message says which.",
    ),
    "SYM-A020": ErrorCode(
        "Query cannot be understood",
        "A search names a field that there is not, gives a value that is none of its kind, only says what must not be "
        "there, or is too long. The message says which. Words are looked for in `text`, `name`, `tag` and `facts`, which "
        "are the metadata; `metadata.KEY`, `type`, `run`, `extension` and `quality` can be asked for by name. What is to "
        "be taken as it is, such as an address, stands in double quotes.",
    ),
    "SYM-A021": ErrorCode(
        "Artifacts cannot be indexed",
        "The words of all texts are kept in memory while they are searched, in `$XDG_RUNTIME_DIR` or `/dev/shm`, and there "
        "is no room or no right to write there. What is stored is safe, and `symphony artifacts list` finds it.",
    ),
    "SYM-A022": ErrorCode(
        "Sealed index of words is damaged",
        "A file in the folder `search` of the store is not what was written there. No artifact is touched: the next search "
        "makes it anew from what is stored. But the disk may be failing.",
    ),
    "SYM-A011": ErrorCode(
        "Artifact shared what was collected",
        "While a stream was stored, a collection freed something that it shares with other artifacts. Nothing of it "
        "is stored; store it again.",
    ),
    "SYM-A025": ErrorCode(
        "Not a score",
        "A score has the id and the version of its scorer, and a value from 0 to 1; its inputs are text by names. The "
        "message says what was given.",
    ),
    "SYM-A026": ErrorCode(
        "Scorer gave no rating",
        "What a scorer gave is not a number from 0 to 1 with a reason of at most 1,000 characters. The message names the "
        "scorer and what it gave. Nothing of it is kept, an earlier score of it stays, and the scores of other scorers "
        "are kept. Tell the author of the extension.",
    ),
    "SYM-A027": ErrorCode(
        "Scorer is unknown",
        "No usable extension brings a scorer of that id. `symphony list --operations` shows what each extension brings, "
        "and `symphony doctor` what is wrong with those that cannot be used.",
    ),
    "SYM-A028": ErrorCode(
        "No scorer rates these artifacts",
        "Each scorer says how the media types begin that it rates, and none of those that were asked rates one of the "
        "artifacts. Ask others, or store the artifact with the media type that it has: `symphony artifacts put --type`.",
    ),
    "SYM-A029": ErrorCode(
        "Input of scorers is unknown",
        "An input was given that none of the scorers takes which were asked. The hint names those that they take.",
    ),
    "SYM-A030": ErrorCode(
        "Keys of the artifact store are damaged",
        "The file `keys` in the store's directory is not what was written there: the disk lost or changed "
        "bytes, or somebody else wrote in it. Every bit of it is checked, and it is never used as it is. "
        "Restore it from its newest backup; without it nothing in the store can be read.",
    ),
    "SYM-A031": ErrorCode(
        "Keys of the artifact store are gone",
        "The store's directory has packs and no file `keys`. New keys would not open them, so none were "
        "made. Restore the file from its newest backup.",
    ),
    "SYM-A032": ErrorCode(
        "Passphrase of the artifact store is wrong",
        "The store's keys are sealed with a passphrase, and `SYMPHONY_ARTIFACT_PASSPHRASE` is not set, is "
        "empty, or is another one. A passphrase that was lost cannot be found out.",
    ),
    "SYM-A033": ErrorCode(
        "Master key of the artifact store is missing",
        "The file `keys` names the system's keyring or a file in the user's configuration directory as the "
        "place of the master key, and there is none there, another one, or one that others can read. A "
        "store that was copied to another computer or user needs its master key there, too. The message "
        "names the key and the place.",
    ),
    "SYM-A034": ErrorCode(
        "Pack's key cannot be opened",
        "The key of a pack of artifacts is sealed with a key that this store does not have, or its header is "
        "damaged. The first happens where the file `keys` is older than the pack: it was restored from an "
        "old backup, or another process rotated the keys since this one opened the store.",
    ),
    "SYM-A035": ErrorCode(
        "Keys of the artifact store need a newer Symphony",
        "The file `keys` was written by a newer version, in a form that this one does not read. Nothing in "
        "it was changed.",
    ),
    "SYM-A036": ErrorCode(
        "Keys of the artifact store cannot be kept",
        "The file `keys` or the file of master keys in the user's configuration directory cannot be read or "
        "written: the disk is full, or the user has not the right. Where keys were to be rotated, the old "
        "ones still hold. A store that is sealed with `SYMPHONY_ARTIFACT_PASSPHRASE` needs no file there.",
    ),
    "SYM-A050": ErrorCode(
        "Tier of artifacts cannot be used",
        "The place that the setting `tier` of symphony.artifact-store names cannot be reached, or it refuses: the "
        "network is down, the bucket is not there, or the credentials do not allow it. The message names the URL, the "
        "reason, and the artifact where one was read. Nothing is lost; what is on this machine is stored and read as "
        "ever.",
    ),
    "SYM-A051": ErrorCode(
        "There is no tier of artifacts",
        "The setting `tier` of symphony.artifact-store is empty, is no URL, or has a scheme that no usable extension "
        'provides. Set it, such as `tier = "s3://bucket/folder"`; symphony-tier-objects brings `s3`, `gs`, `az` and '
        "`file`.",
    ),
    "SYM-A052": ErrorCode(
        "Tier is that of another store",
        "At the URL of the setting `tier` there are the keys of another artifact store. Two stores in one place would "
        "mix their packs, so nothing was written. Set another folder of the bucket, or bring that store here by "
        "`symphony artifacts tier restore` into an empty data directory.",
    ),
    "SYM-A053": ErrorCode(
        "Pack in the tier is not what was put there",
        "A pack in the tier is gone, shorter, or has other bytes than were sealed. The message names it. While it is on "
        "this machine, too, nothing is lost: delete the copy in the tier and back up again. A pack that is in the tier "
        "alone must come back from a version or a backup of the bucket.",
    ),
    "SYM-A054": ErrorCode(
        "Store cannot be rebuilt from the tier",
        "A store is only rebuilt where there is none: this one has artifacts, or another process uses it, or the tier "
        "has no keys of any store. Set an empty data directory, and the URL to which the store was backed up.",
    ),
    "SYM-A060": ErrorCode(
        "Bundle cannot be read or written",
        "The file of a bundle of artifacts is not there, may not be read or written by this user, or its disk is full. "
        "A bundle is written whole or not at all, so an older file of that name is as it was.",
    ),
    "SYM-A061": ErrorCode(
        "Not a bundle",
        "What was to be imported is no bundle of artifacts, or what is at its beginning and its end, where it says what "
        "it holds, is damaged or cut off. Nothing of it was imported. Copy it again from where it was made.",
    ),
    "SYM-A062": ErrorCode(
        "Bundle is refused",
        "The bundle is made as none is that Symphony makes: it has members with other names, or two with the same one, "
        "or compressed ones, or sizes or lines that are not true or are too large. Such a file may mean harm. Nothing "
        "of it was imported, but for what its first lines told where a later one is wrong. Export it again from the "
        "store that it comes from; to import files of your own, store them by `symphony artifacts put`.",
    ),
    "SYM-A063": ErrorCode(
        "Bundle needs a newer Symphony",
        "The bundle was made by a newer version, in a form that this one does not read. Nothing of it was imported.",
    ),
    "SYM-A064": ErrorCode(
        "Passphrase of a bundle is missing or wrong",
        "The bundle is sealed, and `SYMPHONY_BUNDLE_PASSPHRASE` is not set, is empty or is another one than it was "
        "exported with; or the first bytes of the file are damaged. A passphrase that was lost cannot be found out.",
    ),
    "SYM-A065": ErrorCode(
        "Artifact is damaged in the bundle",
        "The bytes of an artifact are not in the bundle as they were exported: its disk or a copy of it lost or "
        "changed some. Nothing of this artifact was imported, all others were. Copy the bundle again from where it was "
        "made and import it again.",
    ),
    "SYM-A066": ErrorCode(
        "Nothing that can be exported",
        "No artifact fits what was asked for, or there are more than one bundle holds, which is 250,000.",
    ),
    "SYM-A080": ErrorCode(
        "Artifact cannot be copied",
        "A result could not be written to the folder that it was to go to. It is still in the store: "
        "`symphony artifacts get ID --output FILE` fetches it.",
    ),
    # -- P: permission -----------------------------------------------------------------------------
    "SYM-P001": ErrorCode(
        "Permission denied",
        "An extension used a file, a host, a system feature or a model that its manifest does not declare. "
        "If it should, its author adds the lines that the hint shows to `symphony.toml`, under "
        "`[[permissions.required]]` or `[[permissions.optional]]`. Names and addresses are told apart: a "
        "grant for `*` covers no address. A path with `..` in it is never covered.",
    ),
    "SYM-P002": ErrorCode(
        "Permission not granted",
        "An extension declares permissions that it cannot work without, and you have not granted them. The message "
        "lists them. `symphony permissions request EXT` shows each with its risk and reason, `symphony permissions "
        "grant EXT` grants them. `symphony run` asks for them where it can: not with `--no-input`, `--json` or "
        "without a terminal.",
    ),
    "SYM-P003": ErrorCode(
        "Optional permission not granted",
        "An extension used what it declares as optional, and you have not granted it. It goes on without, or its "
        "call fails. `symphony permissions grant EXT --optional` grants what it declares as optional, too.",
    ),
    "SYM-P004": ErrorCode(
        "Permission denied by the policy",
        "The administrator's policy, which the setting `permission_policy` names, denies what an extension wants. "
        "No grant of a user changes that.",
    ),
    "SYM-P005": ErrorCode(
        "Permission denied by you",
        "You have denied to an extension what it wants. `symphony permissions show EXT` shows what was answered, "
        "`symphony permissions revoke EXT` forgets it, so that you are asked again.",
    ),
    "SYM-P006": ErrorCode(
        "Update asks for more",
        "The installed version of an extension declares more than the version whose permissions you accepted, so "
        "it is not started until you accept. `symphony permissions request EXT` marks what is new; `symphony "
        "permissions grant EXT` accepts it; or install the version that you had.",
    ),
    "SYM-P007": ErrorCode(
        "Permission policy is broken",
        "The file that the setting `permission_policy` names is missing, not TOML, or says what no policy can say. "
        "No extension is started until it is mended: a policy that cannot be read must not allow anything.",
    ),
    "SYM-P008": ErrorCode(
        "Grants cannot be read or kept",
        "The file with what you have granted to an extension is damaged, or cannot be read or written. Nothing is "
        "allowed that cannot be looked up. Delete the file that the message names and grant anew.",
    ),
    "SYM-P009": ErrorCode(
        "Permission not declared",
        "You named a permission that the extension does not declare; only what its manifest declares can be "
        "granted. `symphony permissions show EXT` lists that.",
    ),
    "SYM-P010": ErrorCode(
        "Undeclared use found in the code",
        "The extension's own code uses a module or function that needs a permission which its manifest does not "
        "declare, such as `socket` without a `network` permission. It is refused before it runs, with file and "
        "line. The author declares the permission with a reason, or takes the use out. This check reads the "
        "source for plain uses; the sandbox and the broker hold whatever it finds or misses.",
    ),
    "SYM-P011": ErrorCode(
        "Permission reaches too far",
        "An extension was granted a permission that no sandbox can be opened for: writing to or executing from "
        "the root of all files, or from where Symphony keeps grants, audit log and other extensions' data. The "
        "author declares a narrower folder.",
    ),
    "SYM-P012": ErrorCode(
        "Environment too large",
        "An extension was granted variables of your environment that together hold more than its worker takes, so it "
        "is not started. Unset the large one, or take the grant back with `symphony permissions revoke EXT`; what is "
        "large belongs into a file.",
    ),
    "SYM-P020": ErrorCode(
        "Machine offers no such sandbox",
        "The setting `sandbox` asks for more than the kernel grants here, so no extension is started: none ever runs "
        "with less than was promised. The message names each layer that is missing and why. The tier `full` needs "
        "namespaces, which some distributions keep from ordinary users and most containers keep from all; the tier "
        "`fallback` needs Landlock (Linux 5.13 or newer, switched on) and seccomp, and no rights. `symphony doctor` "
        "shows each layer.",
    ),
    "SYM-P021": ErrorCode(
        "Sandbox was refused",
        "The process of an extension could not confine itself, and ended before it ran a line of the extension. The "
        "message names the layer and what the kernel said. The machine changed since the layers were tried, or a "
        "limit of the user or of a container was reached, such as the number of namespaces.",
    ),
    "SYM-P022": ErrorCode(
        "Sandbox is unverified",
        "macOS and Windows have no sandbox that Symphony was seen to hold an extension in: Seatbelt is told what was "
        "granted, and a job object limits memory, processor time and processes, but neither was ever tried. So only "
        "extensions that you trust are started there: Symphony's own, and those that the setting `trusted` names. "
        '`sandbox = "unverified"` starts all of them. `symphony doctor` and `symphony info EXT` list what such a '
        "sandbox does not enforce.",
    ),
    "SYM-P023": ErrorCode(
        "Path cannot be told to macOS",
        "The sandbox of macOS is told what an extension may open as a text, and a folder that was granted has a name "
        "with characters that no such text is made of, such as a line break. The extension is not started, as it "
        "would have more or less than was granted.",
    ),
    "SYM-P030": ErrorCode(
        "File not reached",
        "The host opens files for an extension that cannot see them itself. The permission is there, but the system "
        "refused: the file is missing, or the user's own rights do not reach it. In an extension it arrives as the "
        "`OSError` that `open` would raise.",
    ),
    "SYM-P031": ErrorCode(
        "Descriptors not taken",
        "The host sent a worker descriptors that it had asked for, and the worker did not take them, so that they "
        "stayed open in the kernel. The SDK always takes them: the extension speaks to the host past it. The worker "
        "was ended.",
    ),
    "SYM-P032": ErrorCode(
        "Path leads elsewhere",
        "A path that is granted by its name leads out of the granted directory: through a symbolic link, a link of "
        "`/proc`, or `..`. The host does not follow it, whatever it leads to. The extension is to give the path "
        "itself, and a permission has to cover it. On systems without `openat2` no symbolic link beneath a granted "
        "directory is followed.",
    ),
    "SYM-P033": ErrorCode(
        "No regular file",
        "An extension asked the host for a pipe, a socket or a device, or to rename a directory. The first three act "
        "when they are opened, and a directory would take what is in it to where other permissions hold.",
    ),
    "SYM-P034": ErrorCode(
        "Name leads to an inner address",
        "A host that an extension may connect to has an address of the user's machine, of a private network, of the "
        "local link or of another special purpose. Whoever owns a name can point it there, so a permission for the "
        "name does not reach it. Where it is meant, as in a company's network, the manifest declares the address or "
        "a private block beside the name; `localhost` means this machine.",
    ),
    "SYM-P035": ErrorCode(
        "Server not reached",
        "An extension may connect to a server, and the host could not: the name is unknown, nobody listens there, "
        "or no connection stood in time. In an extension it arrives as the `OSError` of the socket.",
    ),
    "SYM-P037": ErrorCode(
        "Proxy not made",
        "Programs in an extension's own network reach servers through a proxy of the host. The worker gave the host "
        "something else than the listener of that proxy, so the worker was ended.",
    ),
    "SYM-P038": ErrorCode(
        "Web address not usable",
        "`ctx.http` was given what is no `http` or `https` address, was led to one, or was led on too often.",
    ),
    "SYM-P039": ErrorCode(
        "Path hidden from extensions",
        "Symphony keeps its own things there, such as what its user has granted, or somebody has denied the path. No "
        "extension reaches it, whatever else is granted, except its own directories within it.",
    ),
    "SYM-P040": ErrorCode(
        "Audit log cannot be written",
        "A decision about a permission could not be recorded: the disk is full, or the rights of the folder are "
        "wrong. What cannot be recorded is not allowed.",
    ),
    "SYM-P041": ErrorCode(
        "Audit log was changed",
        "The audit log is a chain in which each line names the one before it, and its end is kept elsewhere. A line "
        "was changed, added, taken out or cut off; the message names the first place. A line that a killed process "
        "left unfinished is not reported as this: it is completed.",
    ),
    "SYM-P042": ErrorCode(
        "Model is unknown",
        "No installed and enabled extension provides an instrument of this name. The name of a model is the id of the "
        "instrument's operation; `ctx.models.list()` gives those that an extension may look at.",
    ),
    "SYM-P043": ErrorCode(
        "Models wait for each other",
        "A model that is run for a call may run models of other extensions for it, but none of an extension that waits "
        "for it already: a ring of calls would never end. Neither may more than a few wait for each other. An extension "
        "calls its own instruments as Python objects.",
    ),
    "SYM-P044": ErrorCode(
        "Model run outside of a call",
        "A model is run for a call of an operator or an instrument: it has its time, ends with it and belongs to its "
        "node. Hooks have no such call, and neither has a thread that goes on when the operation has returned.",
    ),
    "SYM-P045": ErrorCode(
        "Model run on an event loop",
        "`ctx.models.run` waits until the model has run. In a coroutine all others of the extension would wait too, "
        "perhaps those that the model needs. Make the operation a plain function.",
    ),
    "SYM-P046": ErrorCode(
        "Models not reached from the host",
        "`ctx.models` is for extensions in workers. An extension that runs in the host itself gets the results of models "
        "from the nodes before its own.",
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
    "SYM-T005": ErrorCode(
        "Message is too large",
        "A message is longer than a frame may be: 16 MiB for a request or an answer, 1 MiB for anything else. "
        "Large values belong into the artifact store; messages carry their references.",
    ),
    "SYM-T006": ErrorCode(
        "Message type is unknown",
        "A process was asked with a type of message that it does not know; the error lists those that it "
        "knows. Usually one end is older than the other. The connection goes on.",
    ),
    "SYM-T007": ErrorCode(
        "No common protocol",
        "The two ends of a connection speak different versions of the protocol; the message names both "
        "ranges. Install the same version of symphony-ipc for both.",
    ),
    "SYM-T008": ErrorCode(
        "Peer may not connect",
        "A process connected that belongs to another user or did not show the token that Symphony gives to "
        "the processes that it starts.",
    ),
    "SYM-T009": ErrorCode(
        "Connection is closed",
        "A message was to be sent over a connection that this process has closed.",
    ),
    "SYM-T010": ErrorCode(
        "Address cannot be used",
        "Nobody listens at the address, somebody else does, or its directory is open to other users. The "
        "message says which. A short private directory such as `$XDG_RUNTIME_DIR/symphony` suits.",
    ),
    "SYM-T011": ErrorCode(
        "Message cannot be encoded",
        "A field of a message holds a value that has no form on the wire. Messages hold JSON-like values, "
        "bytes, dates, dataclasses and Structs.",
    ),
    "SYM-T012": ErrorCode(
        "Handshake timed out",
        "A process connected, or was started, and did not introduce itself in time. It hangs, the machine is "
        "overloaded, or it is not a process of Symphony.",
    ),
    "SYM-T013": ErrorCode(
        "Request would wait for itself",
        "A blocking request was made from the thread that reads the answers. Answer incoming requests from "
        "another thread and ask from there.",
    ),
    "SYM-T014": ErrorCode(
        "Request has its answer already",
        "Each request is answered exactly once; a second answer was to be sent.",
    ),
    "SYM-T015": ErrorCode(
        "Answer is a stream",
        "A request was asked for one answer, and the other side answers it with a stream of them. Ask with "
        "`stream` and iterate over what it returns.",
    ),
    "SYM-T016": ErrorCode(
        "Answer is not a stream",
        "A request was asked for a stream of answers, and the other side has a single one. Ask with `request`.",
    ),
    "SYM-T017": ErrorCode(
        "Idempotency key was used for something else",
        "Two requests of different types, or to different endpoints, had the same idempotency key. A key names "
        "one request and its repetitions; make a new one for each request.",
    ),
    "SYM-T018": ErrorCode(
        "Too many requests with keys are under way",
        "A process works on so many requests with idempotency keys that it could not promise to carry out another "
        "one only once. It was not begun; ask again later.",
    ),
    "SYM-T020": ErrorCode(
        "Not a topic",
        "A topic, a pattern or the name of an endpoint is not one. Topics and names are words joined by dots, such "
        "as `run.started`; in a pattern `*` stands for one word and `>`, at the end, for one or more. Topics that "
        "begin with `_` are the bus's own: anyone may subscribe to them, nobody else may publish to them.",
    ),
    "SYM-T021": ErrorCode(
        "No such endpoint",
        "A request names an endpoint that nobody has registered, or that the process it was sent to does not "
        "know the way to. `symphony_sdk.ports.bus.BusPort.endpoints` lists those that there are.",
    ),
    "SYM-T022": ErrorCode(
        "Nobody answers at the endpoint",
        "A request named an endpoint that nobody registered, or whose process has ended. `details` holds the name. "
        "Look at `await bus.endpoints()` to see who can be asked.",
    ),
    "SYM-T023": ErrorCode(
        "Endpoint's name is taken",
        "Another endpoint of this name is registered. Endpoints that share the requests to one name are all "
        "registered with the same `group`; one without a group is alone.",
    ),
    "SYM-T024": ErrorCode(
        "Bus keeps no messages",
        "A message was to be delivered at least once, or a subscription was to be remembered, and the bus of this "
        "machine keeps nothing. Join a bus that does, such as NATS with JetStream.",
    ),
    "SYM-T025": ErrorCode(
        "Bus cannot be used like this",
        "The bus of this process has been closed, has joined another one already, or was given a connection or a "
        "limit that it cannot use. The message says which.",
    ),
    "SYM-T026": ErrorCode(
        "Too many subscriptions",
        "A process has 10,000 subscriptions and endpoints at once, and wants more. Subscribe to patterns with `*` or "
        "`>` rather than to each topic, and leave those that are not needed any more.",
    ),
    "SYM-T030": ErrorCode(
        "Transport is not for this system",
        "A transport was asked for that another operating system has: named pipes are for Windows; unix sockets, "
        "stdio and shared memory for the others. The message says which is meant here.",
    ),
    "SYM-T031": ErrorCode(
        "Program cannot be started",
        "A program that was to be talked to over its standard input and output is not there, may not be executed, "
        "or its command line cannot be read.",
    ),
    "SYM-T032": ErrorCode(
        "Not a pipe",
        "A connection over standard input and output needs a pipe or a socket for each, and takes both once. They "
        "are a file, a terminal or closed, or they have been taken already. Usually the program was started by "
        "hand: it is meant to be started by the one that talks to it.",
    ),
    "SYM-T033": ErrorCode(
        "Program ended before it answered",
        "A program that was started to be talked to over its standard input and output came to its end instead of "
        "introducing itself. The message has its exit code and its last words.",
    ),
    "SYM-T034": ErrorCode(
        "Transport needs a token",
        "A process was to listen on a Windows named pipe without a token. Nothing else says there who may connect: "
        "other users of the machine, and other machines, can try to.",
    ),
    "SYM-T040": ErrorCode(
        "Shared memory is not safe to use",
        "The process that listens at an address offered something else than shared memory of Symphony: memory that "
        "could be taken away while it is in use, of a size that does not fit, or without the pipes that belong to "
        "it. Nothing of it was used.",
    ),
    "SYM-T041": ErrorCode(
        "Ring was misused",
        "The process at the other end of a connection through shared memory says that it has written or read what "
        "it cannot have. It is broken or hostile; the connection is closed and nothing more is read from it.",
    ),
    "SYM-T042": ErrorCode(
        "Shared memory cannot be had",
        "The system gave no memory or no descriptors for a connection through shared memory; the message has the "
        "reason. Each takes five descriptors at each end while it is open, and up to 2 MiB of memory.",
    ),
    "SYM-T043": ErrorCode(
        "No /proc",
        "A blocking connection through shared memory wakes its own threads through `/proc/self/fd`, and this process "
        "does not see `/proc`. Mount it there, or use the transport `unix`.",
    ),
    "SYM-T045": ErrorCode(
        "Connection cannot be made again",
        "A connection was lost, and five attempts to connect again failed, with growing waits between them. The "
        "message names what each found. Whoever waited for it gets this error; start the other process and "
        "connect anew.",
    ),
    "SYM-T046": ErrorCode(
        "Connection was lost during a request",
        "The request may have been carried out or not: only the other process knows. A request with an "
        "idempotency key is sent again over the next connection, and is carried out once.",
    ),
    "SYM-T047": ErrorCode(
        "Connection was lost each time a request was sent",
        "A request with an idempotency key was sent five times, and each time the connection ended before the "
        "answer. Often the request itself ends the process at the other side, which is why it is not tried "
        "for ever.",
    ),
    "SYM-T050": ErrorCode(
        "Editor's peer answered with an error",
        "The other end of a JSON-RPC connection, such as an editor or its front end, refused a request. The "
        "details hold the number and the data of its error.",
    ),
    "SYM-T051": ErrorCode(
        "Line is too long",
        "A JSON-RPC message would be longer than a line of the connection may be, 16 MiB unless told otherwise. "
        "Ask for less at a time, or store the value as an artifact.",
    ),
    "SYM-T052": ErrorCode(
        "Peer does not read",
        "The other end of a JSON-RPC connection left 64 MiB of what was sent to it unread. The connection was "
        "closed so that it does not take all memory; start the process anew.",
    ),
    "SYM-T056": ErrorCode(
        "NATS server cannot be reached",
        "No NATS server answers at the `url` of symphony.transport-nats, or it is none. Start `nats-server` there, "
        "correct the address, or check `tls_ca` where the server asks for TLS. Once it is connected Symphony "
        "reconnects by itself.",
    ),
    "SYM-T057": ErrorCode(
        "NATS refuses the credentials",
        "The NATS server does not let this user in. Check `user`, `password`, `token`, `credentials` and `nkey` of "
        "symphony.transport-nats against the server's configuration.",
    ),
    "SYM-T058": ErrorCode(
        "NATS keeps no messages",
        "A message was to be kept until it is taken, and the NATS server did not keep it: it runs without JetStream, "
        "this user may not use it, or the stream `symphony` is full. Start the server with `-js`; make room by letting "
        "the durable subscriptions take what waits, or remove those that nobody uses (`nats consumer ls symphony`).",
    ),
    "SYM-T059": ErrorCode(
        "Not possible on NATS",
        "The name of a group or of a durable subscription has characters that NATS does not allow, or a durable "
        "subscription of this name exists for another pattern.",
    ),
    "SYM-T060": ErrorCode(
        "Event loop would wait for itself",
        "Code on the thread of an event loop made a blocking call over the bridge to that same event loop, which "
        "could then never answer. Await the work there, or run the blocking code with `in_thread`.",
    ),
    "SYM-T061": ErrorCode(
        "Event loop has ended",
        "A thread called over the bridge to an event loop that is closed or stopped, or that ended before the "
        "call did. A call that was under way may have been carried out in part.",
    ),
    "SYM-T062": ErrorCode(
        "Call over the bridge was cancelled",
        "The task that did the work for a thread was cancelled: the task that waits for the thread was, or the "
        "event loop is about to end.",
    ),
    "SYM-T063": ErrorCode(
        "Bridge belongs to another event loop",
        "Each bridge belongs to the event loop that it was made on. It was used from a task of another one.",
    ),
    "SYM-T064": ErrorCode(
        "Address has no transport",
        "The first part of an address, up to its colon, names the transport, and none that is installed has that "
        "name. The hint lists those that are.",
    ),
    # -- O: port -----------------------------------------------------------------------------------
    "SYM-O001": ErrorCode(
        "Port has no adapter",
        "A part of Symphony that was asked for is not installed or not enabled. The message names the package "
        "that brings it.",
    ),
    "SYM-O002": ErrorCode(
        "Data directory cannot be used",
        "A directory that a part of Symphony keeps its files in cannot be made or written to. Set "
        "SYMPHONY_DATA_DIR to one that can.",
    ),
    "SYM-O003": ErrorCode(
        "Part could not be made",
        "An extension that runs in the host offers a part, such as an executor or a component of the Pit, and "
        "raised an error when it was asked to make it. The message has that error.",
    ),
    "SYM-O004": ErrorCode(
        "Advice is none",
        "A conductor gave something else than the advice that it was asked for. The run goes on without it.",
    ),
    "SYM-O080": ErrorCode(
        "Part of the installation is missing",
        "A file that ships with symphony-host, such as the demo's workflow or the template of `symphony new`, is "
        "not there.",
    ),
}
