"""Equal numbers of trained parameters: the channels of each variant of an experiment are scaled by one factor."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from cortexgraph.compiler import check, unroll
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.experiment.model import ExperimentSpec, MatchSpec
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import trained_parameters
from cortexgraph.wording import quoted, suggest


def matched(specs: Mapping[str, NetworkSpec], experiment: ExperimentSpec, match: MatchSpec) -> dict[str, NetworkSpec]:
    """The specs with the channels of all areas scaled by one factor each, so that their trained parameters match.

    Raises SpecError if the reference is unknown, or a spec cannot come within the tolerance.
    """

    def finding(found: str, expected: str, repair: str) -> Diagnostic:
        return experiment.origin.diagnostic("match-parameters", ("match_parameters",), found, expected, repair)

    if isinstance(match.to, str) and match.to not in specs:
        repair = suggest(match.to, specs, "Name one of them.")
        raise SpecError(finding(f"no variant is called `{match.to}`", f"there are {quoted(specs)}", repair))
    target = match.to if isinstance(match.to, int) else _count(specs[match.to])
    nearest = {name: _nearest(spec, target) for name, spec in specs.items()}
    findings = [
        finding(
            f"the nearest that `{name}` comes to {target:,} trained parameters is {count:,} "
            f"({abs(count - target) / target:.1%} off)",
            f"the tolerance is {match.tolerance:.1%}",
            "Give a larger `tolerance`, or more channels, whose steps are finer.",
        )
        for name, (_, count) in nearest.items()
        if abs(count - target) > match.tolerance * target
    ]
    if findings:
        raise SpecError(findings)
    return {name: spec for name, (spec, _) in nearest.items()}


def _count(spec: NetworkSpec) -> int:
    """Trained parameters; 0 if the spec does not make a network, such as where groups do not divide the channels."""
    return 0 if any(f.severity == "error" for f in check(spec)) else trained_parameters(unroll(spec))


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
