"""Variants of equal size: channels are scaled until the trained parameters match."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from cortexgraph.compiler import check, compile_spec
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.plan import Variant
from cortexgraph.spec import NetworkSpec

__all__ = ["matched", "scaled"]


def matched(variants: list[Variant], experiment: ExperimentSpec) -> list[Variant]:
    """The variants with the channels of all areas scaled by one factor each, so that their trained parameters match.

    Raises:
        SpecError: if the reference is unknown, or a variant cannot come within the tolerance.
    """
    wish = experiment.match_parameters
    assert wish is not None
    target = _target(wish.to, variants, experiment)
    found, findings = [], []
    for variant in variants:
        spec, count = _nearest(variant.spec, target)
        found.append(replace(variant, spec=spec))
        if abs(count - target) > wish.tolerance * target:
            off = abs(count - target) / target
            findings.append(
                _finding(
                    experiment,
                    f"the nearest that `{variant.name}` comes to {target:,} parameters is {count:,} ({off:.1%} off)",
                    f"the tolerance is {wish.tolerance:.1%}",
                    "Give a larger `tolerance`, or more channels, whose steps are finer.",
                )
            )
    if findings:
        raise SpecError(findings)
    return found


def _target(to: str | int, variants: list[Variant], experiment: ExperimentSpec) -> int:
    if isinstance(to, int):
        return to
    reference = next((variant for variant in variants if variant.name == to), None)
    if reference is None:
        known = ", ".join(f"`{variant.name}`" for variant in variants)
        raise SpecError(_finding(experiment, f"no variant is called `{to}`", f"there are {known}", "Name one of them."))
    return _count(reference.spec)


def _finding(experiment: ExperimentSpec, found: str, expected: str, repair: str) -> Diagnostic:
    return experiment.origin.diagnostic("match-parameters", ("match_parameters",), found, expected, repair)


def _count(spec: NetworkSpec) -> int:
    from cortexgraph.training.summary import count_parameters

    return count_parameters(compile_spec(spec))


def scaled(spec: NetworkSpec, factor: float) -> NetworkSpec:
    """The spec with every area's channels times the factor, rounded, at least 1."""
    areas = {
        name: area.model_copy(update={"channels": max(1, round(area.channels * factor))})
        for name, area in spec.areas.items()
    }
    return spec.model_copy(update={"areas": areas})


def _nearest(spec: NetworkSpec, target: int) -> tuple[NetworkSpec, int]:
    """The scaled spec whose count comes nearest to the target; a count grows about as the square of the factor."""
    factor, tried = 1.0, dict[tuple[int, ...], tuple[NetworkSpec, int]]()
    for _ in range(8):
        if (found := _tried(spec, factor, tried))[1] in (0, target):
            break
        factor *= sqrt(target / found[1])
    finest = 1 / max(area.channels for area in scaled(spec, factor).areas.values())
    for step in (-1, -0.5, 0.5, 1):
        _tried(spec, factor * (1 + step * finest), tried)
    return min(tried.values(), key=lambda pair: abs(pair[1] - target))


def _tried(
    spec: NetworkSpec, factor: float, tried: dict[tuple[int, ...], tuple[NetworkSpec, int]]
) -> tuple[NetworkSpec, int]:
    """The scaled spec with its count, counted once for the same channels."""
    channels = tuple(area.channels for area in scaled(spec, factor).areas.values())
    if channels not in tried:
        tried[channels] = _at(spec, factor)
    return tried[channels]


def _at(spec: NetworkSpec, factor: float) -> tuple[NetworkSpec, int]:
    candidate = scaled(spec, factor)
    if any(finding.severity == "error" for finding in check(candidate)):  # groups that do not divide the channels
        return candidate, 0
    return candidate, _count(candidate)
