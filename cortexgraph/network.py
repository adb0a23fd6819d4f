"""The compiled network: a torch module that knows its spec, its source and how it was compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsIndex, cast

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import register_pytree_node

from cortexgraph.errors import CompileError, CortexGraphWarning, DataError, Diagnostic
from cortexgraph.graph.names import renamed
from cortexgraph.loading import Images, by_input, check_images, input_place, load_class
from cortexgraph.streaming import MissingStateError, PieceCompiler, Pieces, State
from cortexgraph.wording import listed

if TYPE_CHECKING:
    from cortexgraph.checks.behaviour import Record
    from cortexgraph.program import CompileOptions, Program
    from cortexgraph.spec import NetworkSpec
    from cortexgraph.unrolling import UnrolledGraph


@dataclass(frozen=True)
class Compilers:
    """What a network asks the compiler for.

    Attributes:
        program: the program for other options.
        piece: the next piece of a stream.
        restored: the network that a pickle fills in.
    """

    program: Callable[[NetworkSpec, CompileOptions], Program]
    piece: PieceCompiler
    restored: Callable[[NetworkSpec, CompileOptions, str], CompiledNetwork]


class CompiledNetwork(nn.Module):
    """Base of compiled networks; the class of each has the emitted class as its second base.

    `forward(x)` takes images [B, C, H, W], or videos [B, T, C, H, W] with a frame for each step; where the spec has
    several inputs, a mapping of their names to images or videos. The emitted source is for one choice of images and
    videos; others are compiled on first use, over the same parameters. A network can be deep-copied, pickled and saved
    with `torch.save`.

    Attributes:
        spec: the network's spec, with the number of steps and the order that were asked for.
        options: how it was compiled; an edited network is compiled with the same.
        source: the emitted file.
        unrolled: the unrolled graph after passes.
    """

    spec: ClassVar[NetworkSpec]
    options: ClassVar[CompileOptions]
    source: ClassVar[str]
    unrolled: ClassVar[UnrolledGraph]
    _loaded: Mapping[str, int] = MappingProxyType({})
    _warned: bool = False
    _shapes: ClassVar[Mapping[str, tuple[int, int, int]]]
    _others: ClassVar[dict[tuple[str, ...], type[nn.Module]]]
    _compilers: ClassVar[Compilers]
    _pieces: ClassVar[Pieces]

    def __call__(
        self, x: Images, state: State | None = None, *, steps: int | None = None, return_state: bool = False
    ) -> Any:
        """Run the network; with one of the further arguments, as a stream that goes on where it stopped.

        Args:
            x: images [B, C, H, W], or a video [B, T, C, H, W] of any number of frames; of several inputs a mapping of
                their names to these.
            state: what the call before returned as its state; None begins a stream.
            steps: number of steps for which images are shown; the spec's by default.
            return_state: whether to return the state as well.

        Returns:
            Logits, with `record` the recorded states by (area, step) of the stream, and with `return_state` the
            `State`; a tuple where these are several. Logits are those of the readout steps within the call, where
            `last` is the last step of the call; None if there are none.

        Raises:
            DataError: for images of another size, or a state of another network or of other images.
        """
        if state is None and steps is None and not return_state:
            return super().__call__(x)
        self._check(x)
        logits, records, state = self._pieces.run(self, x, state, steps)
        values = [logits, *([States(records)] if self.options.record else []), *([state] if return_state else [])]
        return values[0] if len(values) == 1 else tuple(values)

    def forward(self, x: Images) -> Any:
        """Logits, and the recorded states if any are recorded: see `cortexgraph.compile`."""
        if not isinstance(x, fx.Proxy):
            images = self._check(x)
            if any((each.ndim == 5) != (name in self.unrolled.videos) for name, each in images.items()):
                return self._class_for(tuple(n for n, each in images.items() if each.ndim == 5)).forward(self, x)
        result = super().forward(x)
        if not self.options.record or isinstance(x, fx.Proxy) or torch.compiler.is_compiling():
            return result
        return result[0], States(result[1])

    def _check(self, x: Images) -> dict[str, Tensor]:
        """The images by input; reject those of another size, or as many as no patch fits."""
        images = by_input(x, [*self._shapes])
        for name, each in images.items():
            check_images(each, self._shapes[name], input_place(name, [*images]))
        for placed in self.options.interventions:
            batch = len(next(iter(images.values())))
            number = 1 if placed.change.tensor is None else len(placed.change.tensor)
            if number not in (1, batch):
                found, expected = f"the patch is of {number} images", f"x has {batch}"
                repair = "Patch with the values of one image, [C, H, W], or show as many images."
                raise DataError(Diagnostic("bad-intervention", f"intervention {placed.label}", found, expected, repair))
        return images

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Load a state dict, also one of version 0.1, whose names differ."""
        entries = renamed(self.unrolled.areas, state_dict, prefix)
        state_dict.clear()
        state_dict.update(entries)
        self._loaded = sets_trained({name.removeprefix(prefix): value for name, value in entries.items()}, self)
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not self.training:
            self._warn_of_untrained_sets()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if not mode:
            self._warn_of_untrained_sets()
        return self

    def _warn_of_untrained_sets(self) -> None:
        """Say once which sets of parameters per step are used though training never reached them."""
        valued = not any(parameter.is_meta for parameter in self.parameters())
        if valued and not self._warned and (beyond := untrained_sets(self, self._loaded)):
            self._warned = True
            warnings.warn(beyond, CortexGraphWarning, stacklevel=4)

    def take_over(self, source: CompiledNetwork, state: Mapping[str, Tensor]) -> None:
        """Take weights made from those of another network, and its device and dtype.

        Equal sets per step look like untrained ones, except in operations that had one set in the `source`.
        """
        sample = next((tensor for tensor in source.state_dict().values() if tensor.is_floating_point()), None)
        if sample is not None:
            self.to(device=sample.device, dtype=sample.dtype)
        self.load_state_dict(state)
        single = dict(source.named_modules()).keys() - {path for path, _ in _per_step(source)}
        self._loaded = {path: number for path, number in self._loaded.items() if path not in single}

    @classmethod
    def _class_for(cls, videos: tuple[str, ...]) -> type[nn.Module]:
        """The emitted class for videos of these inputs, and images of the others."""
        if videos not in cls._others:
            source = cls._compilers.program(cls.spec, replace(cls.options, video=videos)).source
            cls._others[videos] = load_class(source, cls.spec.name)
        return cls._others[videos]

    def under(self, spec: NetworkSpec, record: Record | None = None) -> CompiledNetwork:
        """The same modules, parameters and hooks, run as this spec says, which has other steps, order or readouts.

        States are recorded as for `cortexgraph.compile`; gradients with respect to them are available.
        """
        if spec == self.spec and not self.options.record and not record:
            return self
        options = replace(self.options, record=record, backend="eager")
        compiled = self._compilers.program(spec, replace(options, checkpoint=None) if record else options)
        view = empty_network(compiled, compiled.source, self._compilers)
        view.__dict__.update(self._kept())
        return view

    def __deepcopy__(self, memo: dict[int, object]) -> CompiledNetwork:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(deepcopy(self._kept(), memo))
        return copied._ready()

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._ready()

    def _kept(self) -> dict[str, object]:
        """The attributes that a copy keeps: not what torch compiled, which calls the original."""
        return {name: value for name, value in self.__dict__.items() if name != "_compiled_call_impl"}

    def _ready(self) -> Self:
        """The network itself, handed to torch.compile where the options say so."""
        if self.options.backend == "inductor":
            self.compile(fullgraph=True, mode="reduce-overhead" if torch.cuda.is_available() else "default")
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        return self._compilers.restored, (self.spec, self.options, self.source), self._kept()


class States(dict[tuple[str, int], Tensor]):
    """Recorded states by (area, step); one that is missing is explained."""

    def __missing__(self, key: object) -> Tensor:
        repair = "Add it to `record`; an area has no state at steps at which it is silent (see `cg.summarise`)."
        raise MissingStateError.of(key, self, "states", "recorded", repair)


register_pytree_node(  # so that torch.func and DataParallel treat it as a dictionary
    States, lambda states: ([*states.values()], [*states]), lambda values, keys: States(zip(keys, values, strict=True))
)


def unwrapped(network: nn.Module) -> CompiledNetwork:
    """The compiled network in what `torch.compile` and others made of it; CompileError if it has none."""
    inner = network
    while not isinstance(inner, CompiledNetwork):
        inside = [part for name, part in inner.named_children() if name in ("_orig_mod", "module")]
        if not inside:
            expected = "a network of `cg.compile` is needed"
            repair = "Give the network that `cg.compile` returned, or the `.network` of a run."
            raise CompileError(
                Diagnostic("no-network", "network", f"a {type(network).__name__} was given", expected, repair)
            )
        inner = inside[0]
    return inner


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def alterations(network: CompiledNetwork, fresh: nn.Module) -> list[str]:
    """How the modules of a network differ from those of a `fresh` one: replaced, added or removed ones, and hooks."""
    now, made = dict(network.named_modules()), dict(fresh.named_modules())
    changes = [f"{name} was added" for name in now.keys() - made.keys()]
    changes += [f"{name} was removed" for name in made.keys() - now.keys()]
    for name in now.keys() & made.keys():
        own, other = now[name], made[name]
        kinds = [f"{type(each).__name__}({each.extra_repr()})" for each in (own, other)]
        if type(own) is not type(other) or kinds[0] != kinds[1]:
            changes.append(f"{name or 'the network'} is {kinds[0]}, not {kinds[1]}")
        if any(getattr(own, hooks) for hooks in HOOKS):
            changes.append(f"{name or 'the network'} has a hook")
        if "forward" in vars(own):
            changes.append(f"{name or 'the network'} has another `forward`")
    return sorted(changes)


def unaltered(network: CompiledNetwork) -> CompiledNetwork:
    """A fresh network of the same source.

    Raises CompileError if the user replaced modules of the network or hooked into it, which no spec says.
    """
    with torch.random.fork_rng(devices=[]):
        fresh = type(network)()
    if changes := alterations(network, fresh):
        found = f"modules of the network were changed: {listed(changes[:4])}{', …' * (len(changes) > 4)}"
        expected = "an edited network is compiled afresh from the spec, which does not say so"
        repair = "Undo it, edit the network, and change the new one; or write the change into the spec."
        raise CompileError(Diagnostic("altered-network", "network", found, expected, repair))
    return fresh


# ---- sets of parameters that training did not reach --------------------------------


def _per_step(network: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    """The operations with a set of parameters for each update, by their path (`PerStep` of the emitted file)."""
    for path, module in network.named_modules():
        if isinstance(module, nn.ModuleList) and hasattr(module, "at"):
            yield path, module


def sets_trained(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, int]:
    """How many sets of each operation of a network were trained, by its path, as far as a state dict shows.

    In a state dict, sets that training never reached are copies of the last one that it reached.
    """
    trained: dict[str, int] = {}
    for path, _ in _per_step(network) if not any(value.is_meta for value in state.values()) else ():
        sets: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            number, _, name = key.removeprefix(f"{path}.").partition(".")
            if key.startswith(f"{path}.") and number.isdecimal():
                sets.setdefault(int(number), {})[name] = value
        last = len(sets)
        while last > 1 and _equal(sets.get(last - 1, {}), sets.get(last - 2, {})):
            last -= 1
        tracked = sets.get(last - 1, {}).get("num_batches_tracked")
        if (tracked is None and last > 1) or (tracked is not None and tracked > 0):  # otherwise nothing was trained
            trained[path] = last
    return trained


def untrained_sets(network: CompiledNetwork, loaded: Mapping[str, int]) -> str:
    """The warning about sets that are used and were not trained; empty if all were."""
    last_update = {part: max(sets) for part, sets in network.unrolled.sets_used(network.unrolled).items()}
    beyond = {}
    for path, module in _per_step(network):
        part = path.partition(".")[0]
        used = last_update.get(part, 1)
        held = min(used, len(module))  # fewer where the modules were made for fewer steps
        stand_in = cast("dict[int, int]", getattr(module, "stand_in", {})).get(held, held)
        reached = min(stand_in, loaded.get(path, held))
        if not 0 < reached < used:
            continue
        own = [dict(module[n - 1].named_parameters()) for n in (reached, held)]
        state = dict(module[reached - 1].named_buffers())
        seen = path in loaded or bool(state.get("num_batches_tracked", torch.tensor(0)) > 0)
        if seen and (stand_in != held or _equal(*own)):
            beyond[part] = (reached, used)
    if not beyond:
        return ""
    names = network.unrolled.areas.labels
    sets = ", ".join(f"{names.get(part, part)} has {n} trained sets for {m} updates" for part, (n, m) in beyond.items())
    return (
        f"at T = {network.spec.time.steps}, this network computes updates whose parameters per step training did not "
        f"reach: {sets}; the last trained set is used for the rest"
    )


def _equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


# ---- making networks -----------------------------------------------------------------


def class_of(compiled: Program, source: str, compilers: Compilers) -> type[CompiledNetwork]:
    """The class of a compiled network."""
    emitted = load_class(source, compiled.spec.name)
    attributes = {
        "spec": compiled.spec,
        "options": compiled.options,
        "source": source,
        "unrolled": compiled.kept,
        "_shapes": {each.name: each.shape for each in compiled.kept.areas.inputs},
        "_others": {},
        "_compilers": compilers,
        "_pieces": Pieces(compiled.kept.areas, compiled.options, compilers.piece, compiled.full.sets),
        "__module__": emitted.__module__,
        "__doc__": emitted.__doc__,
        "__qualname__": emitted.__qualname__,
    }
    return type(emitted.__name__, (CompiledNetwork, emitted), attributes)


def empty_network(compiled: Program, source: str, compilers: Compilers) -> CompiledNetwork:
    """A network without its modules, which a pickle fills in."""
    network_class = class_of(compiled, source, compilers)
    network = network_class.__new__(network_class)
    nn.Module.__init__(network)
    return network


def make_network(compiled: Program, compilers: Compilers) -> CompiledNetwork:
    """The network of emitted source, handed to `torch.compile` where the options ask for it.

    With `inductor` the whole forward becomes one graph for each kind of input. On a CUDA device it is captured as CUDA
    graphs, because there the time goes into launching many small kernels; the results of a call are then valid until
    the next one, and a caller that keeps them longer clones them. On a processor the first call takes 30 to 90 s.
    """
    network_class = class_of(compiled, compiled.source, compilers)
    try:
        network = network_class()
    except NameError as error:
        found, expected = f"the emitted file does not define `{error.name}`", "an operation names it"
        repair = "Add the class or function to the `helpers` of your operation."
        raise CompileError(
            Diagnostic("own-operation", f"operation of {compiled.spec.name}", found, expected, repair)
        ) from error
    for placed in compiled.options.interventions:
        if placed.change.tensor is not None:
            network.get_submodule(placed.name).value = placed.change.tensor.clone()
    return network._ready()
