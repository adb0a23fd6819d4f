"""From a protocol file to conditions, each with its events at whole steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import read_text
from cortexgraph.protocol.model import STARTS, Event, Timeline
from cortexgraph.spec.origin import Origin, path_text
from cortexgraph.spec.origin import Path as Place
from cortexgraph.spec.reading import read_yaml
from cortexgraph.wording import quoted, repeated, suggest

if TYPE_CHECKING:
    from torch import Tensor

Frames = Callable[["Tensor", int], "Tensor"]
"""From images [n, C, H, W] in [0, 1] and the number of steps T to a video [n, T, C, H, W] in [0, 1]."""

MOST_CONDITIONS = 1000
COLUMNS = {"image", "label", "class_name", "file", "area", "measure", "step", "mean", "sd", "images"}
COLUMNS |= {"state", "channel", "y", "x", "logits", "readout_step", "trained", "class"}
"""Names in recordings and tables, which no condition can have."""


@dataclass(frozen=True)
class Shown:
    """An event at its place in time.

    Attributes:
        event: what is shown.
        onset: its first step, from 1.
        duration: number of steps; None: until the last step.
    """

    event: Event
    onset: int
    duration: int | None

    def last(self, steps: int) -> int:
        """The last step at which it is on, in a network of this number of steps."""
        return steps if self.duration is None else self.onset + self.duration - 1


@dataclass(frozen=True)
class Condition:
    """One combination of the values of the grid, with its events in time."""

    values: Mapping[str, float | str]
    timeline: Timeline
    shown: tuple[Shown, ...]

    @property
    def name(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self.values.items())

    @property
    def stimuli(self) -> list[Shown]:
        """The events that show an image; where a function makes the video, one that is always on."""
        return [self.shown[number] for number in self.timeline.stimuli]


@dataclass(frozen=True)
class Protocol:
    """What is shown when, under each of its conditions.

    Attributes:
        conditions: at least one.
        function: makes the video in place of the events, if it is given.
    """

    conditions: tuple[Condition, ...]
    function: Frames | None = None

    @property
    def timeline(self) -> Timeline:
        """What all conditions have in common: name, T, duration of a step, background, seed, grid and figure."""
        return self.conditions[0].timeline

    def total_steps(self, asked: int | None, own: int) -> int:
        """The number of steps T: what the user asks for, else that of the protocol, else that of the network.

        Raises SpecError with every event that starts or ends after it.
        """
        steps = asked or self.timeline.steps or own
        findings: dict[Place, Diagnostic] = {}
        needed = max(shown.onset + (shown.duration or 1) - 1 for c in self.conditions for shown in c.shown)
        for condition in self.conditions:
            for number, shown in enumerate(condition.shown):
                last, place = shown.onset + (shown.duration or 1) - 1, ("events", number)
                if last > steps and place not in findings:
                    what = f"it is on from step {shown.onset}" + f" to {last}" * (shown.duration is not None)
                    what += f" ({condition.name})" * bool(condition.values)
                    expected, repair = f"there are {steps} steps", f"Give --steps {needed}, or more."
                    origin = self.timeline.origin
                    findings[place] = origin.diagnostic("beyond-the-end", place, what, expected, repair)
        if findings:
            raise SpecError(findings.values())
        return steps


ProtocolLike = Protocol | str | PathLike[str] | Mapping[str, Any] | Frames


def shipped_protocols() -> dict[str, Path]:
    """The file of each protocol that ships, by name."""
    return {path.stem: path for path in sorted(Path(__file__).with_name("shipped").glob("*.yaml"))}


@arguments_explained
def load_protocol(protocol: ProtocolLike) -> Protocol:
    """Read and check a protocol.

    Args:
        protocol: the path of a YAML file, the name of a protocol that ships, its data as a mapping, or a function
            from images [n, C, H, W] in [0, 1] and the number of steps to a video [n, T, C, H, W] in [0, 1].

    Raises:
        SpecError: with every finding in every condition.

    Examples:
        >>> protocol = load_protocol({"name": "flash", "grid": {"n": [1, 3]}, "events": [{"duration": "$n"}]})
        >>> [(condition.name, condition.shown[0].last(8)) for condition in protocol.conditions]
        [('n = 1', 1), ('n = 3', 3)]
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, Mapping):
        return _protocol(dict(protocol), Origin(), [])
    if callable(protocol):
        timeline = Timeline(name="function", events=(Event(),))
        return Protocol((Condition({}, timeline, (Shown(Event(), 1, None),)),), protocol)
    path = _existing(str(protocol))
    source = read_yaml(read_text(path), str(path))
    origin = Origin(str(path), source.lines)
    if not isinstance(source.data, dict) or {"areas", "connections"} & source.data.keys():
        found = "this is a spec" if isinstance(source.data, dict) else "this is not a mapping"
        finding = origin.diagnostic("wrong-type", (), found, "a protocol with `name` and `events` is needed")
        raise SpecError(source.findings or finding)
    return _protocol(source.data, origin, source.findings)


def _existing(text: str) -> Path:
    shipped = shipped_protocols()
    with suppress(OSError):  # of a name that is too long
        if Path(text).is_file():
            return Path(text)
    if text in shipped:
        return shipped[text]
    repair = suggest(text, shipped, f"Name a YAML file, or one that ships: {', '.join(shipped)}.")
    found = "no such file, and no protocol of this name ships"
    raise SpecError(Diagnostic("no-such-protocol", text, found, repair=repair))


def _protocol(data: dict[str, Any], origin: Origin, findings: Sequence[Diagnostic]) -> Protocol:
    """Every condition of the data, validated; a finding that only some conditions have names the first of them."""
    grid = data.get("grid", {})
    usable = isinstance(grid, Mapping) and all(isinstance(each, list | tuple) and each for each in grid.values())
    found = [*findings, *(_grid_findings(data, grid, origin) if usable else _findings_beside(data, origin))]
    if found:
        raise SpecError(found)
    conditions: list[Condition] = []
    by_place: dict[tuple[str, str], tuple[Diagnostic, int, str]] = {}
    choices = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    for values in choices:
        try:
            timeline = Timeline.model_validate(_filled(data, values), context=origin, by_alias=True, by_name=False)
            conditions.append(_condition(values, timeline))
        except SpecError as error:
            name = ", ".join(f"{key} = {value}" for key, value in values.items())
            for finding in error.diagnostics:
                first, count, where = by_place.get((finding.place, finding.found), (finding, 0, name))
                by_place[finding.place, finding.found] = first, count + 1, where
    if by_place:
        raise SpecError(
            replace(finding, place=f"{finding.place} ({where})") if where and count < len(choices) else finding
            for finding, count, where in by_place.values()
        )
    return Protocol(tuple(conditions))


def _findings_beside(data: dict[str, Any], origin: Origin) -> list[Diagnostic]:
    """What is wrong with data whose grid cannot be used, but for the places where it says `$NAME`."""
    references = {path_text(path) for path, _ in _references(data)}
    try:
        Timeline.model_validate(data, context=origin, by_alias=True, by_name=False)
    except SpecError as error:
        return [finding for finding in error.diagnostics if finding.place not in references]
    return []


def _references(value: object, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where the data says `$NAME`, and the name."""
    if isinstance(value, str) and value.startswith("$"):
        yield path, value[1:]
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _references(part, (*path, key))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _references(part, (*path, number))


def _grid_findings(data: Mapping[str, Any], grid: Mapping[str, Any], origin: Origin) -> Iterator[Diagnostic]:
    references = [*_references({key: part for key, part in data.items() if key != "grid"})]
    for path, name in references:
        if name not in grid:
            expected = f"the grid has {quoted(list(grid))}" if grid else "there is no grid"
            repair = suggest(name, grid, f"Add it: `grid: {{{name or 'SOA'}: [1, 2, 3]}}`.")
            yield origin.diagnostic("unknown-condition", path, f"`${name}` is not a condition", expected, repair)
        if path[0] != "events":
            found, repair = f"`${name}` stands outside of the events", "Write a value here."
            yield origin.diagnostic("misplaced-condition", path, found, "it is the same under every condition", repair)
    used = {name for _, name in references}
    for name in (name for name in grid if name not in used):
        repair = f"Write `${name}` where its values belong, or remove it."
        yield origin.diagnostic("unused-condition", ("grid", name), "no event uses this condition", repair=repair)
    for name in (name for name in grid if name in COLUMNS):
        found, repair = "recordings have this name for something else", f"Rename it, for example to `{name}_shown`."
        yield origin.diagnostic("taken-name", ("grid", name), found, repair=repair)
    for name, values in grid.items():
        if twice := repeated(values):
            found = f"{quoted(map(str, twice))} occurs more than once"
            yield origin.diagnostic("duplicate-value", ("grid", name), found, repair="Name each value once.")
    if (count := prod(map(len, grid.values()))) > MOST_CONDITIONS:
        found, expected = f"the grid has {count:,} conditions", f"at most {MOST_CONDITIONS:,} are shown"
        yield origin.diagnostic("too-many-conditions", ("grid",), found, expected, "Name fewer values.")


def _filled(value: Any, values: Mapping[str, object]) -> Any:
    """The data with the value of each condition in place of its name."""
    if isinstance(value, str) and value.startswith("$"):
        return values[value[1:]]
    if isinstance(value, Mapping):
        return {key: part if key == "grid" else _filled(part, values) for key, part in value.items()}
    return [_filled(part, values) for part in value] if isinstance(value, list | tuple) else value


def _condition(values: Mapping[str, float | str], timeline: Timeline) -> Condition:
    """The events at whole steps. Raises SpecError with every event whose time makes no sense."""
    shown: list[Shown] = []
    findings: list[Diagnostic] = []
    for number, event in enumerate(timeline.events):
        place: Place = ("events", number)
        findings += _time_findings(timeline, number)
        start = next((key for key in STARTS if _steps(timeline, event, key) is not None), None)
        steps = 0 if start is None else _steps(timeline, event, start) or 0
        duration = _steps(timeline, event, "duration")
        before = shown[-1] if shown else None
        if start == "onset":
            onset = steps + (event.onset_ms is not None)
        elif before is None:
            onset = 1
        elif start == "soa":
            onset = before.onset + steps
        else:
            onset = before.onset + (before.duration or 0) + steps
        if before is not None and onset < before.onset:
            found, expected = f"it starts at step {onset}", f"the event before it starts at step {before.onset}"
            repair = "List events in the order of their onsets."
            findings.append(timeline.origin.diagnostic("event-order", place, found, expected, repair))
        shown.append(Shown(event, onset, duration))
    if findings:
        raise SpecError(findings)
    return Condition(values, timeline, tuple(shown))


def _steps(timeline: Timeline, event: Event, key: str) -> int | None:
    """A time of an event in steps; a time in ms is rounded to whole steps."""
    steps: int | None = getattr(event, key)
    milliseconds: float | None = getattr(event, f"{key}_ms")
    return steps if milliseconds is None else round(milliseconds / (timeline.dt_ms or 1))


def _time_findings(timeline: Timeline, number: int) -> Iterator[Diagnostic]:
    event, before = timeline.events[number], timeline.events[number - 1] if number else None
    for key in (*STARTS, "duration"):
        milliseconds, path = getattr(event, f"{key}_ms"), ("events", number, f"{key}_ms")
        if milliseconds is None:
            continue
        if timeline.dt_ms is None:
            found, expected = "it is in ms", "the protocol does not say how long a step is"
            yield timeline.origin.diagnostic("no-dt", path, found, expected, f"Add `dt_ms`, or write `{key}` in steps.")
        elif key == "duration" and not _steps(timeline, event, key):
            found, expected = f"{milliseconds:g} ms are less than half a step", f"a step takes {timeline.dt_ms:g} ms"
            yield timeline.origin.diagnostic(
                "too-short", path, found, expected, "Show it for longer, or lower `dt_ms`."
            )
    own = next((key for start in STARTS for key in (start, f"{start}_ms") if getattr(event, key) is not None), "gap")
    relative = own.removesuffix("_ms")
    if before is None and relative in {"soa", "gap"} and getattr(event, own) is not None:
        repair = "Write `onset`."
        yield timeline.origin.diagnostic(
            "no-event-before", ("events", number, own), "there is no event before it", "", repair
        )
    if before is not None and relative == "gap" and before.duration is None and before.duration_ms is None:
        found = "it starts when the event before it ends"
        expected, repair = "that one has no end", "Give that one a `duration`, or this one an `onset` or `soa`."
        yield timeline.origin.diagnostic("no-end-before", ("events", number), found, expected, repair)
