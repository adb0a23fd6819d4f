"""From an experiment's file to its runs: every variant's spec, checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from cortexgraph.compiler import check, lower
from cortexgraph.edit import lesion
from cortexgraph.errors import CortexGraphError, Diagnostic, SpecError
from cortexgraph.experiment.matching import matched
from cortexgraph.experiment.model import (
    EvaluationSpec,
    ExperimentSpec,
    MatchSpec,
    Overrides,
    RangeSpec,
    SearchSpec,
    VariantSpec,
)
from cortexgraph.files import read_text
from cortexgraph.interventions import check_interventions, read_interventions
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.loading import zoo
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.origin import Path as Place
from cortexgraph.spec.reading import read_json, read_yaml
from cortexgraph.training.recipe import shipped_recipes
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.tasks import check_registered, frames_needed, metric_name, score_of, target_arguments
from cortexgraph.wording import listed, quoted, suggest

SETTINGS = "settings."
"""How the paths of settings begin, among the ranges of a search."""
Data = Mapping[str, Any]
"""Arguments of `load_data`, except size and channels."""


def folder_name(name: str) -> str:
    """The name as that of a folder, which stays inside the folder above it.

    >>> folder_name("per step, T = 6"), folder_name("..")
    ('per_step_T_=_6', '__')
    """
    safe = re.sub(r"[^\w.=+-]+", "_", name)
    return "_" * len(safe) if not safe.strip(".") else safe


@dataclass(frozen=True)
class Variant:
    """One thing that is compared.

    Attributes:
        name: of the variant and its values on the axes.
        values: its value on each axis, as text.
        spec: the whole network.
        settings: of training, except the seed.
    """

    name: str
    values: Mapping[str, str]
    spec: NetworkSpec
    settings: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True)
class Run:
    """A variant trained with one seed.

    Attributes:
        variant, seed: what is trained.
        settings: of training.
        data: the images.
        evaluations: what is measured after training.
        folder: where the run is kept.
        trial: the journal of a search, the trial in it, and the metric of its epochs, which decide whether the run goes
            on.
        gpus: what the run needs of a cluster, where the experiment says it.
        jobs: how many runs this machine carries out at a time: their images share its memory.
    """

    variant: Variant
    seed: int
    settings: TrainSettings
    data: Data
    evaluations: Mapping[str, EvaluationSpec]
    folder: Path
    trial: tuple[str, int, str] | None = None
    gpus: int = 0
    jobs: int = 1

    @property
    def name(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"


def load_experiment(path: str | Path) -> ExperimentSpec:
    """Read an experiment from a YAML or JSON file.

    Raises SpecError with every finding about the file's form; where there is one, also with the findings of `plan`.
    """
    path, file = Path(path), str(path)
    if not path.exists():
        raise SpecError(_missing(path))
    text = read_text(path)
    source = read_json(text, file) if file.lower().endswith(".json") else read_yaml(text, file)
    if not isinstance(source.data, dict):
        expected = "it must be a mapping with `name`, `spec`, `variants` and so on"
        found = "the experiment is empty" if source.data is None else "the experiment is not a mapping"
        raise SpecError(source.findings or Diagnostic("wrong-type", "", found, expected, file=file, line=1))
    if {"areas", "connections"} <= source.data.keys():
        repair = f"Train it with `cortexgraph train {file}`, or name it in an experiment: `spec: {path.name}`."
        problem, expected = "this is a spec", "an experiment is needed"
        raise SpecError(Diagnostic("wrong-type", "", problem, expected, repair, file=file, line=1))
    origin, findings = Origin(file, source.lines), list(source.findings)
    try:
        experiment = _validated(source.data, origin)
    except SpecError as error:
        known = {(finding.place, finding.line) for finding in findings}
        findings += [finding for finding in error.diagnostics if (finding.place, finding.line) not in known]
    if findings:
        findings += _findings_beside(findings, source.data, origin)
        raise SpecError(sorted(findings, key=lambda finding: finding.line or 0))
    return experiment


def plan(experiment: ExperimentSpec, out: Path, data: Data) -> list[Run]:
    """All runs of an experiment into its folder, variant by variant, of a search none; writes nothing.

    Raises SpecError with every finding about the variants, their settings and evaluations, and the figure.
    """
    variants = _variants(experiment)
    if experiment.search is not None:
        return []  # its runs depend on the results of others
    if experiment.match_parameters is not None:
        variants = _matched(variants, experiment, experiment.match_parameters)
    return runs_of(variants, experiment, out, data)


def bounds(experiment: ExperimentSpec, out: Path, data: Data) -> list[Run]:
    """Runs that together have each bound and each choice of a search's ranges."""
    return runs_of(_variants(experiment), experiment, out, data)


def runs_of(variants: Sequence[Variant], experiment: ExperimentSpec, out: Path, data: Data) -> list[Run]:
    """A run for each variant and seed."""
    if (targets := experiment.data.targets) is not None:
        data = {**data, "targets": str(Path(_file(targets, experiment, ())).resolve())}
    evaluations = {name: _placed_evaluation(each, experiment) for name, each in experiment.evaluate.items()}
    return [
        Run(
            variant,
            seed,
            variant.settings.model_copy(update={"seed": seed}),
            {**data, **_of_network(variant, experiment)},
            evaluations,
            out / "runs" / folder_name(variant.name) / f"seed-{seed}",
            gpus=experiment.gpus or 0,
        )
        for seed in experiment.seeds  # the outer loop: an interrupted experiment has trained every variant once
        for variant in variants
    ]


def _of_network(variant: Variant, experiment: ExperimentSpec) -> dict[str, Any]:
    """The arguments of `load_data` that the network decides: the kind of its targets, and how long videos are."""
    frames = {"frames": frames_needed(variant.spec)} if experiment.data.video else {}
    return target_arguments(variant.spec, variant.settings.loss) | frames


# ---- reading -----------------------------------------------------------------


def _missing(path: Path) -> Diagnostic:
    beside = [other.name for other in path.parent.glob("*") if other.suffix in {".yaml", ".yml", ".json"}]
    repair = suggest(path.name, beside, "Name an experiment file, .yaml or .json; docs/experiments.md shows one.")
    if str(path) in zoo():
        repair = f"`{path}` is a spec of the zoo: name it in an experiment file, under `spec: {path}`."
    return Diagnostic("no-such-experiment", "", "this file does not exist", repair=repair, file=str(path))


def _validated(data: Mapping[str, object], origin: Origin) -> ExperimentSpec:
    return ExperimentSpec.model_validate(data, context=origin, by_alias=True, by_name=False)


def _findings_beside(findings: list[Diagnostic], data: Mapping[str, object], origin: Origin) -> list[Diagnostic]:
    """What is wrong with the variants of a file in which other parts are wrong too."""
    damaged = {re.split(r"[.\[]", finding.place)[0] for finding in findings}
    if damaged & {"spec", "variants", "grid", "search"}:
        damaged |= {"match_parameters", "figure"}
    if "spec" in damaged or ("variants" in damaged and data.get("spec") is None):
        return []
    try:
        rest = _validated({"name": "experiment"} | {key: data[key] for key in data if key not in damaged}, origin)
    except SpecError:
        return []
    try:
        plan(rest, Path(), {})
    except SpecError as error:
        return list(error.diagnostics)
    return []


# ---- variants ----------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A variant as it is written: its place, its name, and its changes."""

    place: Place
    values: dict[str, str]
    spec: str | None
    overrides: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    lesion: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return ", ".join(self.values.values()) or "the spec"


def _variants(experiment: ExperimentSpec) -> list[Variant]:
    variants: dict[str, Variant] = {}
    of_all = [*_figure_findings(experiment), *_search_findings(experiment)]
    findings = {("", f.place, f.found): f for f in of_all}
    for entry in _entries(experiment):
        new: list[Diagnostic] = []
        variant = _variant(entry, experiment, new)
        if variant and (twin := variants.setdefault(folder_name(entry.name), variant)) is not variant:
            found = f"`{entry.name}` is called like `{twin.name}` as a folder"
            new.append(Diagnostic("duplicate-name", "", found, repair="Rename one of them."))
        for finding in new:  # what several combinations of the grid share is said once
            findings.setdefault((finding.place, finding.found, finding.expected), _placed(finding, entry, experiment))
    scores = {score_of(variant.spec, variant.settings.loss): variant.name for variant in variants.values()}
    if len(scores) > 1 and not findings:
        each = listed([f"{metric_name(score)} ({name})" for score, name in scores.items()])
        found = f"variants have different scores: {each}"
        expected, repair = "a table compares one", "Compare them in experiments of their own."
        raise SpecError(experiment.origin.diagnostic("task-mismatch", ("variants",), found, expected, repair))
    if findings:
        raise SpecError(findings.values())
    return list(variants.values())


def score_of_experiment(experiment: ExperimentSpec) -> str:
    """The metric that its table compares."""
    variant = _variants(experiment)[0]
    return score_of(variant.spec, variant.settings.loss)


def _figure_findings(experiment: ExperimentSpec) -> Iterator[Diagnostic]:
    """Values of `figure` that the table does not have."""
    common = ["variant", "evaluation", *experiment.grid, *(experiment.search.ranges if experiment.search else ())]
    choices = {"x": [*common, "parameters", "step"], "series": common}
    for key, known in choices.items():
        value = getattr(experiment.figure, key)
        if value is not None and value not in known:
            found, expected = f"`{value}` is not an axis of this experiment", f"the axes are {quoted(known)}"
            repair = suggest(value, known, "Name one of these.")
            yield experiment.origin.diagnostic("unknown-axis", ("figure", key), found, expected, repair)


def _search_findings(experiment: ExperimentSpec) -> Iterator[Diagnostic]:
    """What a search must not do: choose by test images."""
    if experiment.search is not None and not experiment.settings.get("validation"):
        found, expected = "no images are set aside", "a search that chooses by test images would flatter its result"
        repair = "Set training images aside: `settings: {validation: 0.1}`."
        yield experiment.origin.diagnostic("no-validation", ("search",), found, expected, repair)
    if experiment.search is not None and experiment.search.metric == "loss":
        changing = {f"settings.{name}" for name in ("label_smoothing", "loss", "loss_over")}
        if searched := sorted(changing & experiment.search.ranges.keys()):
            found, expected = f"{quoted(searched)} changes what the loss is", "losses of trials must be comparable"
            place = ("search", "metric")
            yield experiment.origin.diagnostic("bad-search", place, found, expected, "Search by the score.")


def _entries(experiment: ExperimentSpec) -> Iterator[_Entry]:
    """Every variant with every combination of the grid's values; of a search, variants that have all its bounds."""
    if experiment.search is not None:
        yield from _bounds(experiment, experiment.search)
        return
    variants: Mapping[str, VariantSpec] = experiment.variants or {"": VariantSpec()}
    axes = [[(axis, *value) for value in _values(axis, values)] for axis, values in experiment.grid.items()]
    for name, variant in variants.items():
        for combination in product(*axes):
            overrides = dict(variant.set)
            for _, _, changes in combination:
                overrides |= changes
            values = ({"variant": name} if name else {}) | {axis: label for axis, label, _ in combination}
            place: Place = ("variants", name) if name else ("grid",)
            settings = experiment.settings | variant.settings
            yield _Entry(place, values, variant.spec or experiment.spec, overrides, settings, variant.lesion)


def trial_variant(experiment: ExperimentSpec, number: int, chosen: Mapping[str, tuple[str, Overrides]]) -> Variant:
    """The variant of a trial, from the label and the overrides that it drew on each axis.

    Raises SpecError if they do not go together.
    """
    name, findings = f"trial {number}", list[Diagnostic]()
    entry = _trial(experiment, {"trial": str(number)}, chosen)
    variant = _variant(entry, experiment, findings)
    if findings or variant is None:
        raise SpecError([_placed(finding, entry, experiment) for finding in findings])
    variant = replace(variant, name=name)
    match = experiment.match_parameters
    return variant if match is None else _matched([variant], experiment, match)[0]


def _trial(experiment: ExperimentSpec, values: dict[str, str], chosen: Mapping[str, tuple[str, Overrides]]) -> _Entry:
    """Overrides of `settings.…` are settings of training, and the others are of the spec."""
    every = {path: value for _, changes in chosen.values() for path, value in changes.items()}
    own = {path.removeprefix(SETTINGS): value for path, value in every.items() if path.startswith(SETTINGS)}
    overrides = {path: value for path, value in every.items() if not path.startswith(SETTINGS)}
    labels = values | {axis: label for axis, (label, _) in chosen.items()}
    return _Entry(("search",), labels, experiment.spec, overrides, experiment.settings | own)


def _bounds(experiment: ExperimentSpec, search: SearchSpec) -> Iterator[_Entry]:
    """Trials that together have each bound and each choice of the ranges, to be checked before the search."""
    axes = {axis: list(choices(axis, values).items()) for axis, values in search.ranges.items()}
    for number in range(max(map(len, axes.values()))):
        yield _trial(experiment, {}, {axis: every[min(number, len(every) - 1)] for axis, every in axes.items()})


def choices(axis: str, values: RangeSpec | tuple[JsonValue, ...] | Mapping[str, Overrides]) -> dict[str, Overrides]:
    """The overrides of each value of an axis, by its label; of a range, those of its bounds."""
    return dict(_values(axis, (values.low, values.high) if isinstance(values, RangeSpec) else values))


def _values(
    axis: str, values: tuple[JsonValue, ...] | Mapping[str, Overrides]
) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """The labels of an axis, with their overrides."""
    if isinstance(values, Mapping):
        yield from values.items()
    else:
        yield from ((_label(value), {axis: value}) for value in values)


def _label(value: JsonValue) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return re.sub(r"[\[\]'\"{}]", "", str(value))


def _variant(entry: _Entry, experiment: ExperimentSpec, findings: list[Diagnostic]) -> Variant | None:
    """The variant, or None after its errors were added to the findings."""
    settings = TrainSettings()
    with collected(findings):
        settings = TrainSettings.model_validate(_machines(experiment) | _located(entry.settings, experiment))
    if "seed" in entry.settings:
        repair = "Write them as `seeds: [0, 1]`."
        findings.append(Diagnostic("bad-setting", "settings.seed", "a seed is given here", repair=repair))
    if entry.spec is None:
        repair = "Add `spec`, a file or a zoo name, to the variant or to the experiment."
        findings.append(Diagnostic("missing-key", "", "a spec to vary is missing", repair=repair))
        return None
    with collected(findings):
        spec = load(_file(entry.spec, experiment, zoo()), entry.overrides)
        if entry.lesion:
            spec = lesion(spec, *entry.lesion)
        if errors := [finding for finding in check(spec) if finding.severity == "error"]:
            raise SpecError(errors)
        check_registered(spec)
        for name, evaluation in experiment.evaluate.items():
            with collected(findings, f"evaluate.{name}"):
                rest = lesion(spec, *evaluation.lesion)
                rest = rest if evaluation.at is None else rest.read_at(evaluation.at)
                full, _ = lower(rest, evaluation.steps, evaluation.order)
                if evaluation.intervene is not None:
                    check_interventions(full, read_interventions(_file(evaluation.intervene, experiment, ())))
        return Variant(entry.name, entry.values, spec, settings)
    return None


@contextmanager
def collected(findings: list[Diagnostic], place: str = "") -> Iterator[None]:
    """Add the findings of an error in the block to the list, with the place before theirs."""
    try:
        yield
    except CortexGraphError as error:
        findings += [replace(f, place=f"{place} {f.place}".strip()) for f in error.diagnostics]


def _located(settings: Mapping[str, JsonValue], experiment: ExperimentSpec) -> dict[str, JsonValue]:
    """The settings, with a recipe's file beside that of the experiment."""
    recipe = settings.get("recipe")
    file = {"recipe": _file(recipe, experiment, shipped_recipes())} if isinstance(recipe, str) else {}
    return {**settings, **file}


def _machines(experiment: ExperimentSpec) -> dict[str, JsonValue]:
    return {"devices": experiment.gpus} if experiment.gpus else {}


def _placed_evaluation(evaluation: EvaluationSpec, experiment: ExperimentSpec) -> EvaluationSpec:
    """The evaluation, with its file of interventions beside that of the experiment."""
    if evaluation.intervene is None:
        return evaluation
    return evaluation.model_copy(update={"intervene": _file(evaluation.intervene, experiment, ())})


def _file(name: str, experiment: ExperimentSpec, shipped: Collection[str]) -> str:
    """A file beside the experiment's, or the name of what ships."""
    if name in shipped or experiment.origin.file is None:
        return name
    return str(Path(experiment.origin.file).parent / name)


def _placed(finding: Diagnostic, entry: _Entry, experiment: ExperimentSpec) -> Diagnostic:
    """A finding about a variant, at its place in the experiment's file unless it is the spec's own fault."""
    if finding.file is not None:
        return finding
    origin = experiment.origin
    place = f"{entry.name}: {finding.place.replace('--set ', '')}".rstrip(": ")
    return replace(finding, place=place, file=origin.file, line=origin.line(entry.place))


def _matched(variants: Sequence[Variant], experiment: ExperimentSpec, match: MatchSpec) -> list[Variant]:
    """The variants with about equal numbers of trained parameters; raises SpecError where they cannot have them."""
    specs = matched({variant.name: variant.spec for variant in variants}, experiment, match)
    return [replace(variant, spec=specs[variant.name]) for variant in variants]
