"""`intervene`: a network whose states and connections are changed at some steps, from Python or from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import compile_with, unroll
from cortexgraph.errors import CompileError, CortexGraphError, Diagnostic, SpecError
from cortexgraph.files import read_text
from cortexgraph.graph import Change, Placed
from cortexgraph.graph.interventions import ablate, add_noise, clamp, patch, scale
from cortexgraph.spec.reading import Source, read_yaml
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import listed, quoted, shortened, step_ranges, suggest

if TYPE_CHECKING:
    from torch import nn

    from cortexgraph.network import CompiledNetwork

Interventions = Mapping[tuple[str, str | int | tuple[int, ...]], Change | Sequence[Change]]
"""Changes by target and steps: `("V4", 3)`, `("IT", "all")`, `("V1 -> V2", (2, 3))`."""


@dataclass(frozen=True)
class _Asked:
    """One intervention that is asked for: where it stands, for findings, its target, steps and change."""

    place: str
    target: object
    steps: object
    change: object
    file: str | None = None
    line: int | None = None

    def finding(self, found: str, expected: str = "", repair: str = "") -> Diagnostic:
        return Diagnostic("bad-intervention", self.place, found, expected, repair, file=self.file, line=self.line)


@arguments_explained
def intervene(network: nn.Module, interventions: Interventions | str | Path) -> CompiledNetwork:
    """The network with changes to the states of areas, or to what connections carry, at some steps.

    All that reads a changed state reads the changed one: other areas, the area itself at the next step, readouts and
    recordings. What a cell keeps hidden stays. Changes to one place happen in the order in which they are given.

    Args:
        network: from `cortexgraph.compile` or a run; its weights are carried over. Hooks and replaced modules are
            refused: no spec says them.
        interventions: changes by target and steps, such as ``{("V4", 3): cg.ablate([0]), ("IT", "all"): cg.clamp(0)}``,
            or the path of a file of them (`docs/interventions.md`).

    Returns:
        A newly compiled network on the same device, whose source has the changes as statements.

    Raises:
        CompileError: with all findings: unknown areas, connections, units or steps, a silent area, or a patch of
            another shape.
        SpecError: if the file cannot be read.

    Examples:
        >>> import cortexgraph as cg
        >>> network = cg.intervene(cg.compile("ventral"), {("V4", 4): cg.ablate(), ("V2 -> V1", "all"): cg.scale(0.5)})
        >>> [line.strip() for line in network.source.splitlines() if line.endswith("  # intervention")]
        ['V4_4 = self.ablate_V4(V4_4)  # intervention']
    """
    from cortexgraph.network import unaltered, unwrapped

    before = unwrapped(network)
    unaltered(before)
    asked = [*(read_interventions(interventions) if isinstance(interventions, str | Path) else _pairs(interventions))]
    full = unroll(before.spec)
    kept = before.options.interventions
    taken = {placed.name for placed in kept} | full.areas.labels.keys()
    check_interventions(full, asked)
    placed = [_placed(one, target, taken) for one in asked for target in _targets(full)[str(one.target)]]
    after = compile_with(before.spec, replace(before.options, interventions=(*kept, *placed)))
    after.take_over(before, before.state_dict())
    flags = {name: parameter.requires_grad for name, parameter in before.named_parameters()}
    for name, parameter in after.named_parameters():
        parameter.requires_grad_(flags[name])
    return after.train(before.training)


def _pairs(interventions: Interventions) -> Iterator[_Asked]:
    for key, changes in interventions.items():
        target, steps = key if isinstance(key, tuple) and len(key) == 2 else (key, "all")
        for change in changes if isinstance(changes, list | tuple) else [changes]:
            yield _Asked(f"intervention {target}", target, steps, change)


# ---- what is wrong with them -------------------------------------------------------


def check_interventions(full: UnrolledGraph, asked: Iterable[_Asked]) -> None:
    """Raise CompileError with every finding about interventions in a network that is unrolled like this."""
    if findings := [finding for one in asked for finding in _problems(full, one)]:
        raise CompileError(dict.fromkeys(findings))


def _problems(full: UnrolledGraph, asked: _Asked) -> Iterator[Diagnostic]:
    if not isinstance(asked.change, Change):
        expected = "a change is needed"
        yield asked.finding(f"{shortened(repr(asked.change))} was given", expected, "Give `cg.ablate()`, for example.")
        return
    targets = _targets(full)
    if asked.target not in targets:
        repair = suggest(str(asked.target), targets, "Name an area, or a connection by its ends: `V1 -> V2`.")
        yield asked.finding(f"there is no area or connection `{asked.target}`", f"there are {quoted(targets)}", repair)
        return
    identifiers = targets[str(asked.target)]
    steps = _steps(asked.steps)
    if asked.steps != "all" and not steps:
        yield asked.finding(f"{asked.steps!r} was given as steps", "they are `all`, a step or a list of steps from 1")
    if beyond := [step for step in steps if not 1 <= step <= full.steps]:
        yield asked.finding(f"step {listed([*map(str, beyond)])} was given", f"the network runs for {full.steps} steps")
    live = set[int]().union(*(_live(full, identifier) for identifier in identifiers))
    if silent := [step for step in steps if 1 <= step <= full.steps and step not in live]:
        expected = f"there are values at steps {step_ranges(sorted(live))}" if live else "there are none up to T"
        yield asked.finding(f"{asked.target} is silent at step {listed([*map(str, silent)])}", expected)
    for identifier in identifiers:
        yield from _unit_problems(asked, asked.change, _shape(full, identifier))


def _unit_problems(asked: _Asked, change: Change, shape: tuple[int, int, int]) -> Iterator[Diagnostic]:
    unknown = []
    for unit in change.units or ():
        place = unit if isinstance(unit, tuple) else (unit,)
        if len(place) not in (1, 3) or not all(0 <= n < size for n, size in zip(place, shape, strict=False)):
            unknown.append(str(unit))
    if unknown:
        expected = f"{asked.target} has channels 0 to {shape[0] - 1} of {shape[1]} × {shape[2]} units"
        yield asked.finding(f"there is no unit {shortened(listed(unknown))}", expected)
    if change.tensor is not None and tuple(change.tensor.shape[1:]) != shape:
        expected = f"the values of {asked.target} are [B, {', '.join(map(str, shape))}]"
        yield asked.finding(f"the patch is {[*change.tensor.shape]}", expected)


def _targets(full: UnrolledGraph) -> dict[str, list[str]]:
    """The identifier of each area, and those of connections by their ends, which several may have, or name."""
    areas = full.areas
    targets = {area.name: [area.identifier] for area in areas.areas}
    for connection in areas.connections:
        targets.setdefault(connection.label, []).append(connection.identifier)
        if name := areas.spec.connections[connection.index].name:
            targets[name] = [connection.identifier]
    return targets


def _shape(full: UnrolledGraph, target: str) -> tuple[int, int, int]:
    shapes = {area.identifier: area.shape for area in full.areas.areas}
    return (shapes | {c.identifier: c.output_shape for c in full.areas.connections})[target]


def _live(full: UnrolledGraph, target: str) -> set[int]:
    """The steps at which there is a value to change."""
    areas = {area.identifier: area.name for area in full.areas.areas}
    if target in areas:
        return {node.step for node in full.live_updates(areas[target])}
    updates = ((node, full.held(node) or node) for node in full.live_updates())
    return {node.step for node, made in updates if any(c.identifier == target for c, _ in full.terms(made))}


def _steps(asked: object) -> list[int]:
    steps = [asked] if isinstance(asked, int) else asked if isinstance(asked, Sequence) else []
    return [*steps] if all(isinstance(step, int) and not isinstance(step, bool) for step in steps) else []


def _placed(asked: _Asked, target: str, taken: set[str]) -> Placed:
    assert isinstance(asked.change, Change)
    base = f"{asked.change.kind}_{target}"
    name = next(name for n in range(1, 10**6) if (name := base if n == 1 else f"{base}_{n}") not in taken)
    taken.add(name)
    steps = None if asked.steps == "all" else frozenset(_steps(asked.steps))
    return Placed(target, str(asked.target), steps, asked.change, name)


# ---- files -------------------------------------------------------------------------


def read_interventions(path: str | Path) -> list[_Asked]:
    """The interventions in a YAML file: a list of entries with `at`, `steps`, one kind of change, and `units`.

    Raises SpecError with all findings.
    """
    path = Path(path)
    source = read_yaml(read_text(path), str(path))
    if not isinstance(source.data, list):
        expected, repair = "it is a list", "Write entries such as `- {at: V4, steps: [3], ablate: zero}`."
        source.findings.append(
            Diagnostic("wrong-type", "", "no list was found", expected, repair, file=str(path), line=1)
        )
    asked = []
    for n, entry in enumerate(source.data if isinstance(source.data, list) else ()):
        try:
            asked.append(_entry(entry, n, source, path))
        except CortexGraphError as error:
            line = source.lines.get((n,))
            source.findings += [replace(f, place=f"[{n}]", file=str(path), line=line) for f in error.diagnostics]
    if source.findings:
        raise SpecError(source.findings)
    return asked


def _entry(entry: object, n: int, source: Source, path: Path) -> _Asked:
    makers = _makers(path.parent)
    data = entry if isinstance(entry, Mapping) else {}
    kinds = [key for key in data if key in makers]
    if unknown := [key for key in data if key not in {"at", "steps", "units", *makers}]:
        keys = ["at", "steps", "units", *makers]
        raise SpecError(
            Diagnostic("unknown-key", "", f"`{key}` is not a key", f"the keys are {quoted(keys)}") for key in unknown
        )
    if "at" not in data or len(kinds) != 1:
        expected = f"an entry has `at` and one of {quoted(makers)}"
        raise SpecError(Diagnostic("bad-intervention", "", f"{shortened(repr(entry))} was found", expected))
    try:
        change = makers[kinds[0]](data[kinds[0]], data.get("units"))
    except (TypeError, ValueError, OSError) as error:
        found = f"{kinds[0]}: {shortened(repr(data[kinds[0]]))} with units {shortened(repr(data.get('units')))}"
        raise SpecError(Diagnostic("bad-intervention", "", found, f"it cannot be read ({error})")) from None
    return _Asked(f"[{n}]", data["at"], data.get("steps", "all"), change, str(path), source.lines.get((n,)))


def _makers(folder: Path) -> dict[str, Callable[[Any, Any], Change]]:
    """What makes a change of the value of each key and of the units."""

    def bounds(value: Any, units: Any) -> Change:
        return clamp(**value, units=units) if isinstance(value, Mapping) else clamp(float(value), units=units)

    def stored(value: Any, units: Any) -> Change:
        import numpy as np
        import torch

        return patch(torch.from_numpy(np.load(folder / str(value), allow_pickle=False)).float(), units)

    return {
        "ablate": lambda value, units: ablate(units, value),
        "scale": scale,
        "noise": add_noise,
        "clamp": bounds,
        "patch": stored,
    }
