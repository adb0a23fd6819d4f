"""From an experiment to its runs: every variant's spec, checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from cortexgraph.compiler import check, lower
from cortexgraph.edit import lesion
from cortexgraph.errors import CortexGraphError, Diagnostic, SpecError
from cortexgraph.experiment.model import EvaluationSpec, ExperimentSpec, VariantSpec
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.origin import Path as Place
from cortexgraph.spec.zoo import zoo
from cortexgraph.training.settings import TrainSettings

__all__ = ["Run", "Variant", "plan"]


@dataclass(frozen=True)
class Variant:
    """One thing that is compared.

    Attributes:
        name: of the variant and its values on the axes.
        values: its value on each axis, as text.
        spec: the whole network.
        settings: of training, but for the seed.
    """

    name: str
    values: Mapping[str, str]
    spec: NetworkSpec
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the folder of its runs."""
        return re.sub(r"[^\w.=+-]+", "_", self.name)


@dataclass(frozen=True)
class Run:
    """A variant trained with one seed.

    Attributes:
        variant, seed: what and how.
        settings: of training.
        data: the arguments of `load_data`, but for size and channels.
        evaluations: what is measured besides.
        folder: where the run is kept.
    """

    variant: Variant
    seed: int
    settings: TrainSettings
    data: Mapping[str, Any]
    evaluations: Mapping[str, EvaluationSpec]
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"


def plan(experiment: ExperimentSpec, out: Path, data: Mapping[str, Any]) -> list[Run]:
    """All runs of an experiment, variant by variant; nothing is written.

    Args:
        experiment: what is compared.
        out: the folder of the experiment.
        data: the arguments of `load_data`, but for size and channels.

    Raises:
        SpecError: with every finding about the variants, their settings and evaluations.
    """
    found = list(_variants(experiment))
    if experiment.match_parameters is not None:
        from cortexgraph.experiment.match import matched

        found = matched(found, experiment)
    return [
        Run(
            variant,
            seed,
            TrainSettings.model_validate({**variant.settings, "seed": seed}),
            data,
            experiment.evaluate,
            out / "runs" / variant.folder / f"seed-{seed}",
        )
        for variant in found
        for seed in experiment.seeds
    ]


# ---- variants ----------------------------------------------------------------


@dataclass(frozen=True)
class _Wish:
    """A variant as it is written: where, what it is called, and what it changes."""

    place: Place
    values: dict[str, str]
    spec: str | None
    overrides: dict[str, Any]
    settings: dict[str, Any]


def _variants(experiment: ExperimentSpec) -> Iterator[Variant]:
    found: dict[str, Variant] = {}
    findings: list[Diagnostic] = []
    for wish in _wishes(experiment):
        name = ", ".join(wish.values.values()) or "the spec"
        try:
            variant = _made(name, wish, experiment)
            twin = next((v for v in found.values() if v.folder == variant.folder), None)
            if twin is not None:
                raise SpecError(Diagnostic("duplicate-name", "", f"`{name}` is called like `{twin.name}` as a folder"))
            found[name] = variant
        except CortexGraphError as error:
            new = (_placed(finding, name, wish, experiment) for finding in error.diagnostics)
            told = {(finding.found, finding.expected) for finding in findings}
            findings += [finding for finding in new if (finding.found, finding.expected) not in told]
    if findings:
        raise SpecError(findings)
    yield from found.values()


def _wishes(experiment: ExperimentSpec) -> Iterator[_Wish]:
    """Every variant with every combination of the grid's values."""
    variants: Mapping[str, VariantSpec] = experiment.variants or {"": VariantSpec()}
    axes = [[(axis, *value) for value in _values(axis, values)] for axis, values in experiment.grid.items()]
    for name, variant in variants.items():
        for combination in product(*axes):
            overrides = dict(variant.set)
            for _, _, changes in combination:
                overrides |= changes
            values = ({"variant": name} if name else {}) | {axis: label for axis, label, _ in combination}
            place: Place = ("variants", name) if name else ("grid",)
            yield _Wish(place, values, variant.spec, overrides, {**experiment.settings, **variant.settings})


def _values(axis: str, values: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labels of an axis, with their overrides."""
    if isinstance(values, Mapping):
        yield from ((label, dict(changes)) for label, changes in values.items())
    else:
        yield from ((_label(value), {axis: value}) for value in values)


def _label(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return re.sub(r"[\[\]'\"{}]", "", str(value))


def _made(name: str, wish: _Wish, experiment: ExperimentSpec) -> Variant:
    TrainSettings.model_validate({**wish.settings, "seed": 0})
    if "seed" in wish.settings:
        repair = "Write them as `seeds: [0, 1]`."
        raise SpecError(Diagnostic("bad-setting", "settings.seed", "a seed is given here", repair=repair))
    file = wish.spec or experiment.spec
    if file is None:
        repair = "Add `spec`, a file or a zoo name, to the variant or to the experiment."
        raise SpecError(Diagnostic("missing-key", "", "there is no spec to vary", repair=repair))
    spec = load(_file(file, experiment), wish.overrides)
    if errors := [finding for finding in check(spec) if finding.severity == "error"]:
        raise SpecError(errors)
    for evaluation, look in experiment.evaluate.items():
        try:
            cut = lesion(spec, *look.lesion)
            lower(cut if look.at is None else cut.read_at(look.at), look.steps, look.order)
        except CortexGraphError as error:
            named = [replace(f, place=f"evaluate.{evaluation} {f.place}".rstrip()) for f in error.diagnostics]
            raise SpecError(named) from None
    return Variant(name, wish.values, spec, wish.settings)


def _file(name: str, experiment: ExperimentSpec) -> str:
    """A spec beside the experiment's file, or of the zoo."""
    if name in zoo() or experiment.origin.file is None:
        return name
    return str(Path(experiment.origin.file).parent / name)


def _placed(finding: Diagnostic, name: str, wish: _Wish, experiment: ExperimentSpec) -> Diagnostic:
    """A finding about a variant, at its place in the experiment's file unless it is the spec's own fault."""
    if finding.file is not None:
        return finding
    origin = experiment.origin
    place = f"{name}: {finding.place.replace('--set ', '')}".rstrip(": ")
    return replace(finding, place=place, file=origin.file, line=origin.line(wish.place))
