"""Variants of equal size: channels are scaled until the trained parameters match."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from cortexgraph.compiler import check, compile_spec
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.spec import NetworkSpec
from cortexgraph.wording import quoted, suggest

__all__ = ["matched"]


def matched(specs: Mapping[str, NetworkSpec], experiment: ExperimentSpec) -> dict[str, NetworkSpec]:
    """The specs with the channels of all areas scaled by one factor each, so that their trained parameters match.

    Raises:
        SpecError: if the reference is unknown, or a spec cannot come within the tolerance.
    """
    wish = experiment.match_parameters
    assert wish is not None
    target = _target(wish.to, specs, experiment)
    nearest = {name: _nearest(spec, target) for name, spec in specs.items()}
    findings = [
        _finding(
            experiment,
            f"the nearest that `{name}` comes to {target:,} parameters is {count:,} "
            f"({abs(count - target) / target:.1%} off)",
            f"the tolerance is {wish.tolerance:.1%}",
            "Give a larger `tolerance`, or more channels, whose steps are finer.",
        )
        for name, (_, count) in nearest.items()
        if abs(count - target) > wish.tolerance * target
    ]
    if findings:
        raise SpecError(findings)
    return {name: spec for name, (spec, _) in nearest.items()}


def _target(to: str | int, specs: Mapping[str, NetworkSpec], experiment: ExperimentSpec) -> int:
    if isinstance(to, int):
        return to
    if to not in specs:
        expected, repair = f"there are {quoted(specs)}", suggest(to, specs, "Name one of them.")
        raise SpecError(_finding(experiment, f"no variant is called `{to}`", expected, repair))
    return _count(specs[to])


def _finding(experiment: ExperimentSpec, found: str, expected: str, repair: str) -> Diagnostic:
    return experiment.origin.diagnostic("match-parameters", ("match_parameters",), found, expected, repair)


def _count(spec: NetworkSpec) -> int:
    """Trained parameters; 0 if the spec does not make a network, such as where groups do not divide the channels."""
    from cortexgraph.training.fit import count_parameters

    return 0 if any(f.severity == "error" for f in check(spec)) else count_parameters(compile_spec(spec))


def _nearest(spec: NetworkSpec, target: int) -> tuple[NetworkSpec, int]:
    """The scaled spec whose count comes nearest to the target; a count grows about as the square of the factor."""
    counts: dict[tuple[int, ...], tuple[NetworkSpec, int]] = {}

    def count(factor: float) -> int:
        candidate = _scaled(spec, factor)
        channels = tuple(area.channels for area in candidate.areas.values())
        if channels not in counts:
            counts[channels] = candidate, _count(candidate)
        return counts[channels][1]

    factor = 1.0
    for _ in range(8):
        if (number := count(factor)) in (0, target):
            break
        factor *= sqrt(target / number)
    finest = 1 / max(area.channels for area in _scaled(spec, factor).areas.values())
    for step in (-1, -0.5, 0.5, 1):
        count(factor * (1 + step * finest))
    return min(counts.values(), key=lambda pair: abs(pair[1] - target))


def _scaled(spec: NetworkSpec, factor: float) -> NetworkSpec:
    """The spec with every area's channels times the factor, rounded, at least 1."""
    areas = {
        name: area.model_copy(update={"channels": max(1, round(area.channels * factor))})
        for name, area in spec.areas.items()
    }
    return spec.model_copy(update={"areas": areas})
