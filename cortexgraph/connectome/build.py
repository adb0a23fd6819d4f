"""From measured projections to a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from cortexgraph.checks.behaviour import dead_parameters
from cortexgraph.compiler import build, unroll
from cortexgraph.connectome.table import Projection, Table, read_connectome
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec import NetworkSpec
from cortexgraph.wording import quoted, shortened, unknown_area

VELOCITY_M_PER_S = 3.5
"""Of feedforward and of feedback axons alike, measured between V1 and V2 of the macaque (Girard et al. 2001)."""
CLIP = 0.01
"""SLN is kept within [0.01, 0.99], where its logit is finite: an assumption about its resolution."""


@dataclass(frozen=True)
class Rules:
    """How a spec is made of projections. What is not measured is an assumption, and said so.

    Attributes:
        name: of the network.
        min_weight: weaker projections are left out, and so are those whose weight is not known.
        velocity_m_per_s: of conduction; the same in mm/ms.
        dt_ms: duration of a step. A projection of d mm takes round(d / velocity / dt) steps, at least the one that
            reading the step before takes; what is more is its `delay`.
        reciprocal: whether an area that was no target of the study (nothing is known of its inputs) gets a connection
            back from each area that it projects to. Most projections of visual cortex are reciprocal (Felleman & Van
            Essen 1991); that all are is an assumption. If not, such areas are left out.
        lateral: whether each area gets a connection to itself (an assumption: tables are of interareal projections).
        channels: of the lowest areas. An assumption: the range of levels is cut into `stages` equal parts; from each to
            the next the size halves and the channels double, as in convolutional networks.
        size: height and width of the image in pixels, and of the lowest areas.
        stages: see `channels`.
        classes: of the readout.
        input_area: the area that the image drives; by default the lowest.
        readout_area: by default the highest.
        steps: T; by default the fewest at which the readout depends on every area and connection, or, where that takes
            more than 12 steps from its first response on, these.
    """

    name: str = "connectome"
    min_weight: float = 0.0
    velocity_m_per_s: float = VELOCITY_M_PER_S
    dt_ms: float = 5.0
    reciprocal: bool = True
    lateral: bool = False
    channels: int = 8
    size: int = 32
    stages: int = 4
    classes: int = 10
    input_area: str | None = None
    readout_area: str | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name in POSITIVE or name == "min_weight"}
        findings = [
            Diagnostic("bad-rule", name, f"{shortened(repr(value))} was given", f"it must be {_kind_of(name)}")
            for name, value in numbers.items()
            if not (value is None and name == "steps") and not _is_positive(value, name)
        ]
        if findings:
            raise DataError(findings)


POSITIVE: Mapping[str, type] = {
    "velocity_m_per_s": float,
    "dt_ms": float,
    **dict.fromkeys(("channels", "size", "stages", "classes", "steps"), int),
}
"""Rules that are numbers above 0."""


def _kind_of(rule: str) -> str:
    if rule not in POSITIVE:
        return "a number from 0"
    return "a whole number above 0" if POSITIVE[rule] is int else "a number above 0"


def _is_positive(value: object, rule: str) -> bool:
    kind = Integral if POSITIVE.get(rule) is int else Real
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    number = float(value)
    return 0 < number < float("inf") or (number == 0 and rule not in POSITIVE)


def connectome_spec(
    projections: Sequence[Projection] | Table, rules: Rules | None = None
) -> tuple[NetworkSpec, list[Diagnostic]]:
    """A spec with an area for each area of the table and a connection for each projection.

    The direction of a connection follows from the levels of its ends, which follow from the laminar origins (SLN) of
    all projections; see `level_of_each`.

    Args:
        projections: the rows of a table, or the path of its CSV file.
        rules: what is assumed; by default `Rules()`.

    Returns:
        The spec, and warnings: weights above 1 (no fraction is; they are not used as strengths), projections whose own
        SLN says the other direction than the levels, and what was assumed.

    Raises:
        DataError: if the levels are unknown, or an area that the rules name is not in the table.
    """
    rules = rules or Rules()
    if not isinstance(projections, Sequence) or isinstance(projections, str):
        projections = read_connectome(projections)
    _check_size(rules)
    level = level_of_each(projections)
    usable = [replace(p, weight=None) if (p.weight or 0) > 1 else p for p in projections]
    kept = [p for p in usable if not rules.min_weight or (p.weight is not None and p.weight >= rules.min_weight)]
    if without := sorted({name for p in kept for name in (p.source, p.target)} - level.keys()):
        problem = f"nothing says where {quoted(without)} lie in the hierarchy"
        expected = "a projection with an SLN, or the columns source_level and target_level, is needed for each area"
        raise DataError(Diagnostic("no-level", "levels", problem, expected, "Add one of these columns."))
    kept, assumed = _with_inputs(kept, rules)
    names = sorted({name for p in kept for name in (p.source, p.target)}, key=lambda name: (level[name], name))
    if not names:
        repair = "Lower --min-weight, or take --reciprocal."
        raise DataError(Diagnostic("empty-connectome", "", "no projection is left", repair=repair))
    first, last = rules.input_area or names[0], rules.readout_area or names[-1]
    if unknown := [
        Diagnostic("unknown-area", f"--{option}", *unknown_area(area, names, "Name one of these."))
        for option, area in (("input", first), ("readout", last))
        if area not in names
    ]:
        raise DataError(unknown)
    data = _data([*kept, *assumed], names, level, first, last, rules)
    spec = NetworkSpec.model_validate(data | {"time": {**data["time"], "steps": rules.steps or 1000}})
    if rules.steps is None:
        data["time"]["steps"] = _steps(spec, last)
        spec = NetworkSpec.model_validate(data)
    return spec, [*_warnings(projections, kept, assumed, level)]


def _warnings(
    projections: Sequence[Projection],
    kept: Sequence[Projection],
    assumed: Sequence[Projection],
    level: Mapping[str, float],
) -> Iterator[Diagnostic]:
    for p in projections:
        if p.weight is not None and p.weight > 1:
            problem, expected = f"the weight is {p.weight:g}", "a fraction of labelled neurons is at most 1"
            repair = "It is not used as a strength; perhaps an exponent was lost."
            yield Diagnostic("weight-above-one", p.label, problem, expected, repair, "warning", line=p.line)
    distances = [p.distance_mm for p in projections if p.distance_mm]
    if distances and max(distances) < 1:
        problem, expected = f"the largest distance is {max(distances):g} mm", "areas lie millimetres apart"
        repair = "Give distances in millimetres, not metres or centimetres."
        yield Diagnostic("short-distances", "distance_mm", problem, expected, repair, "warning")
    if assumed:
        areas = quoted(sorted({p.target for p in assumed}))
        problem = f"the inputs of {areas} were not measured: {len(assumed)} reciprocal connections are assumed"
        repair = "With --no-reciprocal such areas are left out."
        yield Diagnostic("assumed-reciprocal", "connections", problem, "", repair, "warning")
    other = [p for p in kept if p.sln is not None and (p.sln - 0.5) * (level[p.target] - level[p.source]) < 0]
    if other:
        problem = (
            f"the SLN of {len(other)} of {len(kept)} projections says the other direction than the levels that all of "
            f"them together give: {', '.join(f'{p.label} ({p.sln:.2f})' for p in other)}"
        )
        repair = "They have the direction of the levels."
        yield Diagnostic("sln-against-levels", "connections", problem, "", repair, "warning")


def level_of_each(projections: Sequence[Projection]) -> dict[str, float]:
    """Levels h such that logit SLN(i → j) ≈ h_j − h_i, in least squares over the projections; the lowest is 0.

    The share of supragranular neurons rises with the number of levels that a projection climbs (Barone et al. 2000);
    Markov et al. (2014) fit levels to it by beta regression on counts of neurons. A table of SLN has no counts, so here
    every projection weighs the same. A level is a unit of logit SLN. Levels that the table itself gives are taken.

    Returns:
        The level of each area that a projection with an SLN, or with levels, names.
    """
    ends = [(p.source, p.source_level) for p in projections] + [(p.target, p.target_level) for p in projections]
    if known := {name: level for name, level in ends if level is not None}:
        return known
    measured = [p for p in projections if p.sln is not None and p.source != p.target]
    if not measured:
        return {}
    names = list(dict.fromkeys(name for p in measured for name in (p.source, p.target)))
    index = {name: n for n, name in enumerate(names)}
    design = np.zeros((len(measured), len(names)))
    for row, projection in enumerate(measured):
        design[row, index[projection.target]] += 1
        design[row, index[projection.source]] -= 1
    sln = np.clip([p.sln for p in measured], CLIP, 1 - CLIP)
    solved = np.linalg.lstsq(design, np.log(sln / (1 - sln)), rcond=None)[0]
    return {name: round(float(level - solved.min()), 3) for name, level in zip(names, solved, strict=True)}


def _check_size(rules: Rules) -> None:
    """Each stage halves the size, down to a single pixel."""
    sizes = [rules.size >> stage for stage in range(rules.stages)]
    if any(size > 1 and size % 2 for size in sizes[:-1]):
        problem = f"{rules.size} pixels cannot be halved {rules.stages - 1} times, once from each stage to the next"
        factor = 2 ** (rules.stages - 1)
        repair = f"Give a multiple of {factor}, such as {max(1, round(rules.size / factor)) * factor}, or fewer stages."
        raise DataError(Diagnostic("bad-size", "--size", problem, repair=repair))


def _with_inputs(projections: list[Projection], rules: Rules) -> tuple[list[Projection], list[Projection]]:
    """The projections among areas with known inputs, and those that are assumed so that the others have some."""
    targets = {p.target for p in projections}
    if not rules.reciprocal:
        while True:  # an area whose only inputs came from areas that are left out is left out too
            kept = [p for p in projections if p.source in targets or p.source == rules.input_area]
            if len(kept) == len(projections):
                return kept, []
            projections, targets = kept, {p.target for p in kept}
    back = [
        Projection(p.target, p.source, distance_mm=p.distance_mm)
        for p in projections
        if p.source not in targets and p.source != p.target
    ]
    return projections, back


# ---- the spec ----------------------------------------------------------------


def _data(
    projections: Sequence[Projection], names: list[str], level: dict[str, float], first: str, last: str, rules: Rules
) -> dict[str, Any]:
    low, high = level[names[0]], level[names[-1]]
    areas: dict[str, dict[str, float]] = {}
    for name in names:  # which of the equal parts of the range of levels the area lies in, from 0
        share = (level[name] - low) / (high - low) if high > low else 0.0
        stage = min(rules.stages - 1, int(share * rules.stages))
        areas[name] = {"channels": rules.channels * 2**stage, "size": max(1, rules.size // 2**stage)}
        areas[name]["level"] = level[name]
    loops = [{"from": name, "to": name} for name in names if rules.lateral]
    return {
        "name": rules.name,
        "description": f"From measured projections: {len(names)} areas, levels by regression of SLN, conduction at "
        f"{rules.velocity_m_per_s:g} m/s; connections without a strength are assumed or of unknown strength.",
        "references": ["markov2014anatomy", "girard2001feedforward"],
        "input": {"channels": 3, "size": rules.size},
        "defaults": {"area": {"norm": {"kind": "batch", "per_step": True}}},
        "areas": areas,
        "connections": [{"from": "image", "to": first}, *(_connection(p, rules) for p in projections), *loops],
        "readout": {"from": last, "classes": rules.classes},
        "time": {"dt_ms": rules.dt_ms},
    }


def _connection(projection: Projection, rules: Rules) -> dict[str, object]:
    steps = round((projection.distance_mm or 0) / rules.velocity_m_per_s / rules.dt_ms)
    delay = {"delay": steps - 1} if steps > 1 else {}
    strength = {"strength": projection.weight} if projection.weight else {}
    return {"from": projection.source, "to": projection.target, **delay, **strength}


def _steps(spec: NetworkSpec, last: str) -> int:
    """The fewest steps at which nothing is dead, at most 12 after the first response of the readout's area."""
    longest = 1 + max(connection.delay for connection in spec.connections)
    first = unroll(spec, steps=min(1000, 1 + longest * len(spec.areas))).first_response(last)
    if first is None:
        repair = "Choose another area with --readout, or a lower --min-weight."
        raise DataError(Diagnostic("unreachable", f"--readout {last}", "no signal reaches it", repair=repair))
    for steps in range(first, first + 12):
        time = spec.time.model_copy(update={"steps": steps})
        if not list(dead_parameters(unroll(spec.model_copy(update={"time": time})))):
            return steps
    return first + 12


# ---- back to a table ---------------------------------------------------------


def projections_of(spec: NetworkSpec, velocity_m_per_s: float = VELOCITY_M_PER_S) -> list[Projection]:
    """The interareal connections of a spec as a table: strengths, levels, and distances that give their delays.

    Raises GraphError if the spec does not make a network.
    """
    graph = build(spec)
    level = {area.name: area.level for area in graph.areas}
    dt_ms = spec.time.dt_ms or Rules.dt_ms
    return [
        Projection(
            connection.source,
            connection.target,
            spec.connections[connection.index].strength,
            distance_mm=round((connection.delay + 1) * dt_ms * velocity_m_per_s, 6),
            source_level=level[connection.source],
            target_level=level[connection.target],
        )
        for connection in graph.connections
        if connection.source in level
    ]
