"""Streams: a network that goes on where it stopped, in pieces of any number of steps, or step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from cortexgraph.errors import CompileError, CortexGraphWarning, DataError, Diagnostic
from cortexgraph.graph import AreaGraph, Readout
from cortexgraph.loading import Images, by_input, load_class
from cortexgraph.program import CompileOptions, Program
from cortexgraph.unrolling import Moment, named_steps
from cortexgraph.wording import listed, shortened, steps_text

if TYPE_CHECKING:
    from cortexgraph.spec import NetworkSpec

PieceCompiler = Callable[..., tuple[Program, Moment]]


class MissingStateError(CompileError, KeyError):
    """A state that was not recorded, or that a stream does not carry."""

    __str__ = Exception.__str__

    @classmethod
    def of(cls, key: object, present: Iterable[tuple[str, int]], name: str, kind: str, repair: str) -> Self:
        """The error for a key that is none of the states that are present, by (area, step), in the mapping `name`."""
        steps: dict[str, list[int]] = {}
        for area, step in present:
            steps.setdefault(area, []).append(step)
        known = [f"{area} at {steps_text(sorted(at))}" for area, at in steps.items()]
        if not (isinstance(key, tuple) and len(key) == 2):
            first = next(((area, at[0]) for area, at in steps.items()), ("V1", 1))
            repair = f"Name an area and a step, such as `{name}[{first!r}]`."
        found = f"{shortened(repr(key))} is not a {kind} state"
        return cls(Diagnostic("no-state", name, found, f"the {kind} states are {listed(known) or 'none'}", repair))


class State(Mapping[tuple[str, int], Tensor]):
    """What a stream carries from one call to the next: the states that later steps read, by (area, step).

    It comes from ``network(x, return_state=True)`` and goes into the next call. An area that is silent has no state.
    What cells keep to themselves, frames that a delayed connection still reads, and evaluations that are not carried
    out again go with it.

    Attributes:
        step: number of steps so far.
        batch: number of images.
    """

    def __init__(
        self,
        moment: Moment,
        step: int,
        tensors: tuple[Tensor, ...],
        images: Mapping[str, Tensor],
        sums: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        batch: int,
        origin: str,
    ) -> None:
        self._moment, self._tensors, self._images = moment, tensors, dict(images)  # the static ones, by input
        self._sums, self._masks = dict(sums), dict(masks)
        self.step, self.batch, self._origin = step, batch, origin

    def __getitem__(self, key: tuple[str, int]) -> Tensor:
        states = self._visible()
        if key not in states:
            repair = "Earlier steps are carried as far back as a delayed connection reads; `record` returns all."
            raise MissingStateError.of(key, states, "state", "carried", repair)
        return states[key]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._visible())

    def __len__(self) -> int:
        return len(self._visible())

    def __repr__(self) -> str:
        return f"<State after step {self.step}: {', '.join(self.areas) or 'all areas are silent'}; {self.batch} images>"

    def _visible(self) -> dict[tuple[str, int], Tensor]:
        """The states at the end of their steps."""
        moment, values = self._moment, dict(zip(self._moment.parts, self._tensors, strict=True))
        states = {}
        for node in moment.window:
            info = moment.nodes[node]
            if node.kind == "update" and info.live:
                value = values[info.held or node, "h"]
                states[node.name, node.step + self.step - moment.step] = value.expand(self.batch, -1, -1, -1)
        return states

    @property
    def areas(self) -> dict[str, Tensor]:
        """The states [B, C, H, W] after the last step, by area; those of silent areas are missing."""
        return {area: value for (area, step), value in self._visible().items() if step == self.step}

    def _map(self, change: Callable[[Tensor], Tensor]) -> State:
        mappings = (self._images, self._sums, self._masks)
        images, sums, masks = ({name: change(value) for name, value in each.items()} for each in mappings)
        tensors = tuple(map(change, self._tensors))
        return State(self._moment, self.step, tensors, images, sums, masks, self.batch, self._origin)

    def detach(self) -> State:
        """The same state, from which no gradient flows back into the steps before."""
        return self._map(Tensor.detach)

    def to(self, *args: Any, **options: Any) -> State:
        """The same state on another device or in another type, as `torch.Tensor.to`."""
        return self._map(lambda value: value.to(*args, **options))


@dataclass
class Pieces:
    """The pieces of streams of one network, compiled on first use.

    Attributes:
        areas: the network.
        options: how it is compiled.
        compiler: makes the program of a piece.
        sets: number of parameter sets of each area and connection that the network has.
    """

    areas: AreaGraph
    options: CompileOptions
    compiler: PieceCompiler
    sets: Mapping[str, int]
    _classes: dict[Hashable, tuple[type[nn.Module], Moment]] = field(default_factory=dict)
    _moments: dict[Hashable, Moment] = field(default_factory=dict)
    _warned: bool = False

    @property
    def origin(self) -> str:
        """The same for all specs that differ in the number of steps alone."""
        spec: NetworkSpec = self.areas.spec
        return spec.model_copy(update={"time": spec.time.model_copy(update={"steps": 1})}).digest

    def piece(
        self, moment: Moment, steps: int, *, video: tuple[str, ...], same: bool
    ) -> tuple[type[nn.Module], Moment]:
        """The class whose `forward` runs the next steps, and the moment at their end.

        After the last step that something names, the same pieces come again and again.
        """
        key = (self._signature(moment), steps, video, same)
        if key not in self._classes:
            options = replace(self.options, video=video, backend="eager", checkpoint=None, tbptt=None)
            program, end = self.compiler(self.areas, options, moment, steps, same=same)
            self._warn_of_reused_sets(end)
            end = self._moments.setdefault(self._signature(end), end)
            self._classes[key] = (load_class(program.source, self.areas.spec.name), end)
        return self._classes[key]

    def _warn_of_reused_sets(self, end: Moment) -> None:
        """Say once which parameters per step have no set of their own for the last updates."""
        sets = {area.name: [self.sets[part] for part in self.areas.stepwise(area.name)] for area in self.areas.areas}
        beyond = {name: min(numbers) for name, numbers in sets.items() if numbers and end.ordinals[name] > min(numbers)}
        if beyond and not self._warned:
            self._warned = True
            number = ", ".join(f"{name} has {number}" for name, number in beyond.items())
            text = f"the stream goes on beyond the parameters per step ({number} sets): the last is used for the rest"
            warnings.warn(text, CortexGraphWarning, stacklevel=5)

    def _signature(self, moment: Moment) -> Hashable:
        end = max([0, *named_steps(self.areas), *self.options.recorded_steps])
        return moment.signature(self.areas, self.sets, end)

    # ---- running ---------------------------------------------------------------------

    def run(self, network: nn.Module, x: Images, state: State | None, steps: int | None) -> tuple[Any, Any, State]:
        """Logits, recorded states by (area, step) and the state after the next steps of a stream."""
        images = by_input(x, self.areas.input_names)
        some = next(iter(images.values()))
        frames = {each.shape[1] for each in images.values() if each.ndim == 5}
        if problems := [*self._problems(some, state), *_problems_of_time(frames, steps)]:
            raise DataError(problems)
        # the state keeps images, and a caller may write the next one over this one
        images, batch = {name: each.clone() for name, each in images.items()}, len(some)
        if state is None:
            state = State(Moment(), 0, (), {}, {}, {}, batch, self.origin)
        (length,) = frames or [self.areas.spec.time.steps if steps is None else steps]
        videos = tuple(name for name, each in images.items() if each.ndim == 5)
        static = {name: each for name, each in images.items() if name not in videos}
        same = state._moment.since is not None and _equal(static, state._images)
        piece, end = self.piece(state._moment, length, video=videos, same=same)
        masked: dict[str, Any] = {name: part for name, part in network.named_modules() if hasattr(part, "mask")}
        for name, mask in state._masks.items():
            masked[name].mask = mask
        result = piece.forward(network, images if len(images) > 1 else images[next(iter(images))], state._tensors)
        masks = {name: part.mask for name, part in masked.items() if network.training}
        logits, *recorded, tensors = result  # no recorded states where none is live in this piece
        shift, step = state.step - state._moment.step, state.step + length
        records = {(area, at + shift): value for states in recorded for (area, at), value in states.items()}
        logits, sums = self._over_time(logits, state._sums)
        return logits, records, State(end, step, tensors, static, sums, masks, batch, state._origin)

    def _problems(self, x: Tensor, state: State | None) -> Iterator[Diagnostic]:
        if state is None:
            return
        if not isinstance(state, State):
            expected = "it is what `network(x, return_state=True)` returned last"
            yield Diagnostic("bad-state", "state", f"a {type(state).__name__} was given", expected)
            return
        if state._origin != self.origin:
            expected = f"this network is `{self.areas.spec.name}`"
            yield Diagnostic("bad-state", "state", "this state is of another network", expected, "Begin a new stream.")
        if state.batch != len(x):
            found, expected = f"the state is of {state.batch} images", f"x has {len(x)}"
            yield Diagnostic("bad-state", "state", found, expected, "Give as many images, or begin a new stream.")
        for tensor in state._tensors[:1]:
            if (tensor.device, tensor.dtype) != (x.device, x.dtype) and not torch.is_autocast_enabled(x.device.type):
                found, expected = f"the state is {tensor.dtype} on {tensor.device}", f"x is {x.dtype} on {x.device}"
                yield Diagnostic("bad-state", "state", found, expected, "Give `state.to(x)`.")

    def _over_time(self, logits: Any, sums: Mapping[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """The logits, combined over the steps of the stream where a readout says so, and the sums so far."""
        readouts = self.areas.readouts
        by_name = logits if len(readouts) > 1 else {readouts[0].name: logits}
        later = dict(sums)
        for readout in (readout for readout in readouts if readout.at != "last"):
            name = readout.name
            if readout.over_time in ("mean", "cumulative") and by_name[name] is not None:
                by_name[name], later[name] = _summed(readout, by_name[name], sums.get(name))
        return (by_name if len(readouts) > 1 else by_name[readouts[0].name]), later


def _problems_of_time(frames: set[int], steps: int | None) -> Iterator[Diagnostic]:
    """Findings about the numbers of frames of the videos, and the number of steps asked for."""
    most = max(frames, default=1)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        yield Diagnostic("bad-time", "steps", f"{steps!r} was given", "steps is a whole number from 1")
    elif steps is not None and frames - {steps}:
        found, expected = f"a video of {most} frames and steps={steps} were given", "each step reads a frame"
        yield Diagnostic("bad-time", "steps", found, expected, "Leave `steps` out.")
    if 0 in frames:
        yield Diagnostic("bad-time", "x", "a video without frames was given", "each step reads a frame")
    elif len(frames) > 1:
        found = f"videos of {min(frames)} and {most} frames were given"
        yield Diagnostic("bad-time", "x", found, "each step reads a frame of each", "Give as many of each input.")


def _equal(images: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> bool:
    """Whether the static images are those shown before."""
    return images.keys() == before.keys() and all(
        each.device == before[name].device and torch.equal(each, before[name]) for name, each in images.items()
    )


def _summed(readout: Readout, logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """The sums or means so far of logits [B, n, classes], and the last sum with the number of steps, in 64 bits."""
    counted = torch.cat([logits.double(), torch.ones_like(logits[..., :1]).double()], -1)
    start = torch.zeros_like(counted[:, 0]) if before is None else before
    sums = torch.cat([start[:, None], counted], 1).cumsum(1)[:, 1:]
    totals, counts = sums[..., :-1].to(logits.dtype), sums[..., -1:].to(logits.dtype)
    return (totals / counts if readout.over_time == "mean" else totals), sums[:, -1]
