"""Writes docs/errors.md: every finding code with its meaning and an example from a broken spec.

Run it after you change findings: python docs/make_errors.py. A test fails if the page is out of date.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cortexgraph.compiler import check
from cortexgraph.errors import CortexGraphError, Diagnostic, in_commands
from cortexgraph.spec import load

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "errors.md"
SPECIMENS = ROOT / "tests" / "specs" / "invalid"

MACHINE = {"memory"}
"""Codes whose text depends on the machine."""

INTRODUCTION = """\
# Findings

cortexgraph reports all findings at once. Each finding gives the place, what was found and what was expected, the
repair, and a code in brackets. The code stays the same when the text changes, so you can search for it on this page.
A repair names options in commands, and arguments of functions in Python.
A finding is an error, which stops the work (exit code 1), or a warning, which does not. In Python,
`error.diagnostics` holds the findings of a `CortexGraphError`, and `cg.check(spec)` returns those of a spec.

`docs/make_errors.py` generates this page. The examples come from `tests/specs/invalid`.
"""

MEANINGS: dict[str, dict[str, str]] = {
    "Reading a spec": {
        "no-such-spec": "The file does not exist, and the zoo has no spec of this name.",
        "unreadable": "The operating system refuses to read the file.",
        "encoding": "The file is not UTF-8 text.",
        "empty": "The file is empty.",
        "syntax": "The file is not YAML, or not JSON.",
        "too-large": "The file, its expanded aliases, or an image exceeds the size limit.",
        "too-deep": "Lists and mappings are nested too deeply.",
        "alias-loop": "A YAML alias contains itself.",
        "tag": "YAML tags (`!!python/…`) are not supported; nothing in a spec is executed.",
        "merge-key": "YAML merge keys (`<<`) are not supported: use `defaults`.",
        "duplicate-key": "A key occurs twice in one mapping.",
        "key-not-text": "A key is a number, a truth value, a list or a mapping.",
        "bad-override": "A `--set` cannot be parsed, or its path does not exist.",
        "suffix": "The suffix of the output file does not match its format.",
    },
    "The language": {
        "language-version": "The spec is written for another version of the language.",
        "missing-key": "A required key is missing.",
        "unknown-key": "A key is misspelt, or is in the wrong section.",
        "not-text": "A text contains a lone surrogate (half a character).",
        "wrong-type": "A value has the wrong type: text instead of a number, or a list instead of a mapping.",
        "out-of-range": "A number is too small or too large, or a text or list is too short or too long.",
        "unknown-value": "A value is not one of the choices.",
        "bad-name": "A name contains characters that are not allowed (invisible ones included), or names an input too.",
        "bad-chain": "A text in `connections` is not a chain such as `V1 -> V2`.",
        "bad-operation": "An entry of a chain is not an operation, or its options violate a rule of the operation.",
        "conflict": "Two keys of an entry contradict each other.",
        "invalid": "Any other value that the language does not allow.",
        "more-findings": "There are too many findings to list at once.",
    },
    "The network": {
        "unknown-area": "A connection, readout, order or record names an area that is not declared.",
        "image-as-target": "The target of a connection is the image, or another input.",
        "unused-input": "No connection reads one of several inputs (warning).",
        "look-alike-names": "Two different names look the same (warning).",
        "unknown-operation": "An operation, norm, activation or cell is not registered.",
        "unknown-size": "An area has no size, and its connections do not determine one.",
        "shape-mismatch": "The result of a connection does not have the size of its target.",
        "channel-mismatch": "The result of a connection does not have the channels that its target merges.",
        "body-shape": "The body of an area does not produce the shape of its state.",
        "channel-groups": "The number of groups does not divide the number of channels.",
        "kind-against-hierarchy": "A declared kind contradicts the levels of the two areas.",
        "unreachable-area": "No path leads from an input to the area.",
        "bad-tie": "A tie names no connection, several connections, or one whose parameters do not fit.",
        "duplicate-connection": "Two connections are identical (warning).",
        "norm-over-one-value": "A norm acts on a single value and makes it 0 (warning).",
        "uneven-resize": "A transform changes the size slightly before its result is resized (warning).",
        "wide-kernel": "A kernel is wider than its input can fill (warning).",
        "one-class": "A readout has a single class (warning).",
        "repeated-readout": "Two readouts have the same name.",
    },
    "Time": {
        "order-omits-area": "An explicit order never updates an area.",
        "order-repeats-area": "An explicit order updates an area twice in one group.",
        "step-beyond-end": "A step is later than the last step.",
        "warmup-beyond-end": "The warm-up leaves no step to train.",
        "repeated-step": "A list contains a step twice.",
        "delay-without-dt": "A delay is in ms, but the duration of a step is not set.",
        "delay-rounded": "A delay in ms is not a whole number of steps (warning).",
        "bad-sign": "The area, the gain or an operation of a connection contradicts its `sign`.",
        "bad-init": "The weights of a connection cannot start as `init` says.",
        "bad-output": "An operation in `output` cannot follow the area's cell.",
        "bad-readout": "The transform of a readout does not give its logits.",
        "empty-value": "A key has no value, where `defaults` has one, which stays in force (warning).",
        "late-relay": "An area only passes a term on to another area, which reads it one step late (warning).",
        "delay-beyond-end": "A delay is longer than the simulated time (warning).",
        "too-many-updates": "The unrolled network would be too large to build.",
        "silent-readout": "A readout reads an area that is silent at that step.",
        "silent-record": "A record reads an area that is silent at that step.",
        "image-independent": "A readout is the same for every image (warning).",
        "dead-area": "No readout depends on the area (a warning; an error if its attribution is asked for).",
        "dead-connection": "No readout depends on the connection (warning).",
        "single-update": "An area with one update has per-step parameters (warning).",
        "memory": "Parameters or states exceed this machine's memory (a warning; an error if the network is built).",
    },
    "Requests": {
        "bad-import": "A file or module of `--import`, or an entry point of a package, cannot be imported.",
        "combined-readout": "A readout that combines the logits of its steps cannot be read at other steps.",
        "bad-time": "`steps` or `order` is not valid in the language.",
        "bad-record": "A record is not `all`, `last`, a step or a list of steps.",
        "bad-steps": "The steps to be recorded are not valid steps.",
        "bad-lesion": "The connection to cut does not exist, or others depend on its parameters.",
        "bad-intervention": "An intervention names an unknown place, unit or step, or its values do not fit there.",
        "bad-take": "`take` is not one of the choices.",
        "bad-focus": "A drawing has no focus, or several.",
        "bad-argument": "An argument of a Python function does not have the type of its annotation.",
        "no-state": "The requested state was not recorded.",
        "usage": "The command line has an unknown option, lacks an argument, or an option has a value of a wrong type.",
        "bad-choice": "The value of an option is not one of the choices.",
        "renamed-option": "An option has a new name in this version.",
        "silent-focus": "The focus of a drawing is silent at that step.",
        "no-path": "No path connects the two ends of the focus.",
        "no-areas": "No area was named.",
        "bad-target": "The readout does not have the class to be attributed.",
        "unknown-readout": "No readout has this name.",
        "unknown-unit": "The area does not have the channel.",
        "helper-name": "A registered helper has the name of another definition of the emitted file.",
        "no-source": "The source of a registered helper cannot be read.",
        "no-network": "Something other than a compiled network was given.",
        "altered-network": "Modules of the network were replaced or hooked into: its spec no longer describes it.",
        "own-operation": "The module of a registered operation is not what the operation declares.",
        "unknown-pass": "No pass has this name.",
        "unknown-choice": "An argument of `compile` is not one of the choices.",
        "checkpoint": "The checkpoint setting is invalid, no loop can be divided, or the memory is too small.",
        "unknown-format": "No output format has the suffix of the file.",
        "too-narrow": "At this printed width, text of the drawing would be too small to read.",
        "drawing": "Graphviz could not draw the graph.",
        "cannot-export": "torch cannot export the network.",
        "export-differs": "The exported network computes a different result.",
        "in-use": "Another command is writing to the folder.",
        "no-such-experiment": "No experiment file has this name.",
        "unknown-axis": "An axis of the figure is not an axis of the grid.",
        "exists": "The file or folder exists and is not overwritten.",
        "unwritable": "The file or folder cannot be written.",
        "plugin-name": "The folder of a plug-in for Brain-Score is not named like a Python module.",
        "large-recording": "A recording of all areas is large; name the areas, or confirm it.",
        "disk-full": "The disk has no room for the recording.",
        "bad-recording": "A recording from the brain cannot be read, or does not have the expected form.",
        "unknown-coordinate": "A recording from the brain has no coordinate of the needed name.",
        "nan-neuroids": "A region of a recording from the brain has no neuroid with responses to all stimuli.",
        "missing-stimuli": "The images of some stimuli of a recording from the brain are missing.",
        "ambiguous-stimuli": "A stimulus of a recording from the brain belongs to several images.",
        "few-stimuli": "A recording from the brain has too few stimuli for the folds of cross-validation.",
        "constant-patterns": "States or responses do not vary over stimuli, so nothing can be compared.",
        "environment": "Environment variables are not whole numbers, or contradict the settings of training.",
        "missing-extra": "Packages that a feature needs are not installed; the repair is the command to install them.",
    },
    "Images": {
        "unknown-data": "No data set or folder has this name.",
        "missing-directory": "The folder does not exist.",
        "not-a-directory": "A file is in the place of a folder.",
        "unreadable-directory": "The operating system refuses to read the folder.",
        "missing-split": "A folder of images has no `train` or no `test` folder.",
        "no-classes": "A split has no class folders.",
        "empty-class": "A class folder has no images.",
        "class-in-one-split": "A class is in `train` but not in `test`, or the reverse.",
        "folder-twice": "A link leads to a folder that is already read.",
        "not-a-file": "A pipe, a device or a folder has the name of an image.",
        "not-utf8": "The name of a file or folder is not valid UTF-8.",
        "unreadable-image": "A file cannot be read as an image.",
        "no-image": "A file to be classified does not exist.",
        "no-images": "A folder has no images.",
        "image-count": "The number of requested images is zero, or larger than the number of images.",
        "missing-cifar10": "CIFAR-10 is missing; `--download` downloads it.",
        "download-failed": "The download of CIFAR-10 failed.",
        "bad-augment": "An augmentation setting is invalid.",
        "bad-batches": "A batch setting is invalid.",
        "bad-channels": "The number of channels is not 1 or 3.",
        "bad-size": "An image size is invalid.",
        "bad-seed": "A seed is not a whole number from 0.",
        "bad-images": "Images given to a network or a trained run have the wrong shape, type or range.",
        "several-inputs": "A command or function needs a network of one input.",
        "bad-state": "A stream cannot continue from this state: another network, batch or device wrote it.",
        "bad-state-dict": "A state dict lacks a parameter of the network, or has it in another shape.",
        "bad-pack": "The index of packed images cannot be read.",
        "bad-shard": "A shard is missing, or not as long as it was written: it was cut, or its copy has not finished.",
        "bad-arrays": "A file or folder of arrays cannot be read, or its arrays are not images and labels.",
        "bad-datasets": "A folder of the library `datasets` has no split, images or classes that can be used.",
        "wrong-shape": "A data set gives images of different sizes, or not as bytes.",
        "bad-resize": "Images would be resized to less than the network's input.",
        "bad-memory": "The size that images may take in memory is not a number of bytes such as 2GB.",
        "bad-workers": "The number of processes that read images is negative.",
        "worker-ended": "A process that reads images ended, for example because memory ran out.",
        "bad-tensors": "Tensors made in Python are not valid images and labels.",
        "data-mismatch": "The network does not fit the images: classes, size or channels.",
        "bad-targets": "A file of targets has missing, repeated or unknown rows, or cells that are not targets.",
        "bad-video": "Videos have unequal lengths, or fewer frames than the network has steps.",
        "task-mismatch": "The loss of a readout needs other targets than the data has.",
        "map-size": "The map that a readout gives does not have the size of its targets.",
        "not-a-classifier": "Class probabilities were requested of a network that was trained on other targets.",
    },
    "Runs": {
        "not-registered": "A run was trained with a loss or schedule that is not registered here.",
        "no-run": "The folder is not a cortexgraph run.",
        "run-folder": "The run folder cannot be used: it already holds a run, or something else.",
        "not-finite": "A result is NaN or infinite.",
        "damaged-run": "A file of the run is missing, truncated, or changed.",
        "run-layout": "A later version of cortexgraph wrote the run folder.",
        "bad-setting": "A training setting is invalid.",
        "unknown-recipe": "No recipe of this name ships, and it is not a YAML file.",
        "loss-weights": "The weights in `loss_over` do not fit the readout steps.",
        "validation-split": "No images are set aside for validation, or none are left to train on.",
        "frozen": "What is to be frozen is not in the network, or nothing is left to train.",
        "missing-tensor": "A file of weights lacks a parameter of the network.",
        "unexpected-tensor": "A file of weights has a tensor that the network lacks.",
        "tensor-shape": "A tensor in a file of weights has another shape than the parameter.",
        "other-weights": "A file holds the weights of another network.",
        "key-map": "An entry of a key map is wrong, or names no parameter of the network.",
        "tnn": "A configuration of PyTorchTNN has an entry that is wrong or that a spec cannot express.",
        "bad-loss": "A registered loss does not return one number for each row.",
        "unknown-tracker": "A value of `--logger` is not `csv`, `tensorboard`, `wandb` or `mlflow`.",
        "bad-device": "The device is not one of `auto`, `cpu`, `mps`, `cuda`, `cuda:N`.",
        "no-device": "This machine does not have the device.",
        "no-precision": "The device cannot compute in this precision.",
        "no-data": "The run was trained on images from Python: name a data set.",
        "other-classes": "The classes of the data differ from those of the run.",
        "resume-changed": "A run cannot be resumed with another spec, data set or setting.",
        "pack": "A run cannot be packed: it is not finished, or its weights are too large.",
        "hub": "A network cannot be downloaded from, or uploaded to, the Hugging Face hub.",
        "loss-not-finite": "The loss became infinite or NaN.",
        "batch-norm-over-one-value": "Training would normalise a single value for each channel: a batch of one image.",
        "out-of-memory": "The device does not have enough memory for a batch.",
        "process-ended": "A process of a run on several devices ended; the run can be resumed.",
        "no-program": "Several processes are needed, but they have no program to run.",
        "bad-search": "A search by loss changes what the loss is.",
        "no-validation": "A search has no validation images to choose by.",
        "duplicate-value": "A value of a grid, or a seed, is listed more than once.",
        "duplicate-name": "Two variants of an experiment would use the same folder.",
        "match-parameters": "No width gives a variant the required number of parameters.",
        "other-experiment": "The folder holds the runs of another experiment.",
        "unknown-engine": "No engine has this name.",
        "bad-cluster": "submitit or SLURM refuses the parameters in `cluster`.",
    },
    "Protocols and decisions": {
        "bad-decision-rule": "A rule of `--decide` has another form, or no image can meet it.",
        "single-readout": "A decision needs a network that is read at several steps.",
        "no-files": "Reaction times need images with file names.",
        "bad-reaction-times": "The file of reaction times, or a row of it, does not match the images.",
        "missing-option": "An option needs another one.",
        "no-such-protocol": "No file and no protocol that ships has this name.",
        "unknown-condition": "An event uses `$NAME`, but the grid has no such condition.",
        "unused-condition": "No event uses a condition of the grid.",
        "taken-name": "A condition has a name that recordings use for something else.",
        "too-many-conditions": "The grid has more conditions than can be shown.",
        "event-order": "An event starts before the event above it.",
        "no-event-before": "The first event is timed relative to an earlier one.",
        "no-end-before": "An event starts at the end of one that has no end.",
        "misplaced-condition": "A condition of the grid stands outside the events.",
        "no-dt": "A time is in ms, but the protocol does not say how long a step is.",
        "too-short": "A duration in ms is less than half a step.",
        "beyond-the-end": "An event starts or ends after the last step.",
        "bad-video": "The function of a protocol does not return a frame for each step.",
    },
    "Connectomes": {
        "empty-connectome": "No projections are left.",
        "unreachable": "No signal from the input area reaches the readout.",
        "no-level": "The table does not determine the level of an area.",
        "bad-rule": "A rule of the import has a value that it cannot have.",
        "short-distances": "All distances are below a millimetre: probably another unit (warning).",
        "sln-against-levels": "Laminar data (SLN) and levels disagree (warning).",
        "weight-above-one": "A fraction is above 1 (warning).",
        "assumed-reciprocal": "Reciprocal connections are assumed for areas whose inputs were not measured (warning).",
    },
    "Other findings": {
        "spec": "A `SpecError` without a more specific code.",
        "graph": "A `GraphError` without a more specific code.",
        "compile": "A `CompileError` without a more specific code.",
        "data": "A `DataError` without a more specific code.",
        "error": "A `CortexGraphError` without a more specific code.",
    },
}


def codes() -> set[str]:
    """All finding codes that the package can report, read from its source."""
    found = {"spec", "graph", "compile", "data", "error"}  # errors made from a message alone
    for path in sorted((ROOT / "cortexgraph").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found |= {line.value.value for line in node.body if _is_code(line)}
            if isinstance(node, ast.Call):
                found |= {code for code in _codes_of(node) if re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code)}
    return found


def _is_code(line: ast.stmt) -> bool:
    """Whether a line of a class is `code = "…"`."""
    named = isinstance(line, ast.Assign) and [getattr(target, "id", "") for target in line.targets] == ["code"]
    return named and isinstance(line.value, ast.Constant)


def _codes_of(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    makes = name in {"Diagnostic", "Message", "diagnostic", "_finding"} or (name == "find" and len(call.args) > 3)
    for value in [*named, *call.args[: 1 if makes else 0]]:
        told = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if told and (name != "_finding" or "-" in value.value):
            yield value.value


def examples() -> dict[str, Diagnostic]:
    """The first finding of each code among the broken specs."""
    found: dict[str, Diagnostic] = {}
    for path in sorted(SPECIMENS.rglob("*.yaml")):
        try:
            findings = check(load(path))
        except CortexGraphError as error:
            findings = list(error.diagnostics)
        for finding in findings:
            found.setdefault(finding.code, replace(finding, file=path.name))
    return found


def page() -> str:
    """The text of docs/errors.md, whose examples name options of commands."""
    with in_commands():
        return _page()


def _page() -> str:
    shown, sections = examples(), [INTRODUCTION]
    for heading, meanings in MEANINGS.items():
        sections += [f"## {heading}", ""]
        for code, meaning in meanings.items():
            sections += [f"**`{code}`** {meaning}", ""]
            if code in shown and code not in MACHINE:
                sections += ["```", str(shown[code]), "```", ""]
    return "\n".join(sections).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
