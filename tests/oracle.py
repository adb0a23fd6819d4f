"""Compiled against interpreted: states, logits, gradients and running averages, in float64."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cortexgraph.compiler import Roll, compile_spec, interpret, unroll
from cortexgraph.ops import Norm, Operation, evaluate
from cortexgraph.spec import NetworkSpec, zoo
from cortexgraph.spec.fields import pair

TOLERANCE = 1e-8
"""Absolute or relative, in float64; the promise is 1e-5."""


def published_size(name: str) -> bool:
    """Whether a shipped spec takes images larger than 64 px: too much for the quick tests of every shipped spec."""
    size = re.search(r"^(?:input|  \w+): .*size: (\d+)", zoo()[name].read_text(), re.MULTILINE)
    assert size is not None
    return int(size[1]) > 64


def images(
    spec: NetworkSpec,
    batch: int = 3,
    video_steps: int | None = None,
    static: Collection[str] = (),
    dtype: torch.dtype = torch.float64,
) -> Any:
    """A tensor, or of several inputs one for each by name; with `video_steps` videos, but for the `static` inputs."""
    made = {}
    for name, each in spec.inputs.items():
        frames = () if video_steps is None or name in static else (video_steps,)
        made[name] = torch.randn(batch, *frames, each.channels, *pair(each.size), dtype=torch.float64).to(dtype)
    return made if len(made) > 1 else made[name]


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers themselves, sets that no readout reaches included."""
    persistent = module.state_dict().keys()
    buffers = {name: buffer for name, buffer in module.named_buffers() if name in persistent}
    return {**{name: parameter.detach() for name, parameter in module.named_parameters()}, **buffers}


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give a network all parameters and buffers of another, sets that no readout reaches included."""
    values = tensors(source)
    with torch.no_grad():
        for name, value in tensors(target).items():
            value.copy_(values[name])


def _state(module: nn.Module) -> Mapping[str, Tensor]:
    """What the module computes with: in evaluation, trained sets stand in for those that no readout reaches."""
    return tensors(module) if module.training else module.state_dict()


@contextmanager
def in_64_bits() -> Iterator[None]:
    """Networks made here keep their fixed filter banks in 64 bits; `.double()` would widen banks of 32."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def randomise(module: nn.Module) -> nn.Module:
    """Random parameters and running statistics, so that no term is 0 or 1 by initialisation."""
    for tensor in tensors(module).values():
        if tensor.is_floating_point():
            tensor.uniform_(0.2, 1.2) if tensor.ndim == 1 else tensor.normal_(0, 0.2)
    return module


def record_all(spec: NetworkSpec) -> dict[str, str]:
    """Everything that is ever live."""
    graph = unroll(spec)
    return {name: "all" for name in spec.areas if graph.live_steps(name)}


@contextmanager
def repeatable_dropout() -> Iterator[None]:
    """Dropout and noise whose draw depends on the values alone, so that compiled and interpreted draw alike."""

    def drop(x: Tensor, p: float, training: bool = True, inplace: bool = False) -> Tensor:
        places = torch.arange(x[0].numel(), dtype=x.dtype).reshape(x[0].shape)  # a mask is drawn of ones
        kept = (997 * x.detach() + places).sin().abs() >= p
        return x * kept / (1 - p) if training else x

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "dropout", drop)
        patch.setattr(functional, "dropout2d", drop)
        patch.setattr(torch, "randn_like", lambda x: (997 * x.detach()).sin().sign())
        yield


@contextmanager
def rounded(size: float) -> Iterator[None]:
    """Norms of the interpreter get an input that is rounded off: where a map is constant, the last digits matter."""
    generator = torch.Generator().manual_seed(1)
    exact = evaluate.evaluate_operation

    def nudged(operation: Operation, x: Tensor, entries: Any, training: bool, update: int = 1) -> Any:
        if isinstance(operation, Norm) or operation.averages:
            x = x * (1 + size * torch.randn(x.shape, dtype=x.dtype, generator=generator))
        return exact(operation, x, entries, training, update)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "evaluate_operation", nudged)
        yield


@dataclass(frozen=True)
class Comparison:
    """How many states, gradients and running averages agreed, and the largest difference, relative above 1.

    `stable` says whether they agree within `TOLERANCE`; otherwise the differences are such as rounding makes.
    """

    states: int
    gradients: int
    averages: int
    worst: float
    stable: bool = True


def compare(
    spec: NetworkSpec,
    *,
    passes: Sequence[str] | None = None,
    video: bool = False,
    training: bool = True,
    batch: int = 3,
    record: bool = True,
    roll: Roll = "never",
) -> Comparison:
    """Assert that compiled and interpreted agree on every state (if recorded), logit, gradient and running average.

    `passes` are names out of `cortexgraph.passes.PASSES`: all of them by default. `roll` is as in `cg.compile`.
    """
    recorded = record_all(spec) if record else None
    module, x = _network(spec, recorded, passes, roll, training, video, batch)
    before = {name: value.clone() for name, value in _state(module).items()}
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    expected = _interpreted(spec, before, trained, x, training, recorded)
    found = _compiled(module, x, record)
    if not record:
        expected = {key: value for key, value in expected.items() if key[0] != "state"}
    assert found.keys() == expected.keys()
    differences = {key: _difference(found[key], expected[key]) for key in found}
    stable = max(differences.values()) <= TOLERANCE
    if not stable:
        _assert_rounding(spec, before, trained, x, training, recorded, expected, differences)
    count = Counter(key[0] for key in found)
    return Comparison(count["state"], count["gradient"], count["average"], max(differences.values()), stable)


def compiled(
    spec: NetworkSpec, *, passes: Sequence[str] | None, video: bool, training: bool, record: bool, roll: Roll
) -> Results:
    """What the network that `compare` compiles gives: equal weights and images at each call."""
    module, x = _network(spec, record_all(spec) if record else None, passes, roll, training, video, 3)
    return _compiled(module, x, record)


CHAOTIC = 1e-2
"""Where rounding changes a value of the reference by more, no digit of it is certain, and nothing can be compared."""

Results = dict[tuple[Any, ...], Tensor]
"""Logits, states, gradients and running averages, each by what it is and its name."""


def _network(
    spec: NetworkSpec,
    recorded: Mapping[str, str] | None,
    passes: Sequence[str] | None,
    roll: Roll,
    training: bool,
    video: bool,
    batch: int,
) -> tuple[nn.Module, Any]:
    """A network with random weights, and images or a video; with several inputs the last is static at odd T."""
    torch.manual_seed(0)
    with in_64_bits():
        module = randomise(compile_spec(spec, record=recorded, passes=passes, roll=roll)).train(training)
    static = [*spec.inputs][1:][-1:] if spec.time.steps % 2 else []
    return module, images(spec, batch, spec.time.steps if video else None, static)


def _compiled(module: nn.Module, x: Any, record: bool) -> Results:
    parameters = dict(module.named_parameters())
    with repeatable_dropout():
        logits, states = module(x) if record else (module(x), {})
    _backward(logits)
    for parameter in parameters.values():
        assert parameter.requires_grad or parameter.grad is None  # the claim that no readout reaches it
    gradients = {name: _gradient(p) for name, p in parameters.items() if p.requires_grad}
    averages = {name: value for name, value in _state(module).items() if name not in parameters}
    return _results(logits, states, gradients, averages)


def _interpreted(
    spec: NetworkSpec,
    state: dict[str, Tensor],
    trained: set[str],
    x: Any,
    training: bool,
    record: Mapping[str, str] | None,
) -> Results:
    leaves = {name: value.clone().requires_grad_(name in trained) for name, value in state.items()}
    moved: dict[str, Tensor] = {}
    with repeatable_dropout():
        logits, states = interpret(spec, leaves, x, training=training, record=record, running_statistics=moved)
    _backward(logits)
    averages = {name: moved.get(name, value) for name, value in state.items() if name.split(".")[-1] in AVERAGES}
    return _results(logits, states, {name: _gradient(leaves[name]) for name in trained}, averages)


AVERAGES = ("running_mean", "running_var", "num_batches_tracked")


def _results(
    logits: Tensor | dict[str, Tensor],
    states: Mapping[tuple[str, int], Tensor],
    gradients: Mapping[str, Tensor],
    averages: Mapping[str, Tensor],
) -> Results:
    found: Results = {("logits", name): value for name, value in _by_readout(logits).items()}
    found |= {("state", *key): value for key, value in states.items()}
    found |= {("gradient", name): value for name, value in gradients.items()}
    return found | {("average", name): value for name, value in averages.items()}


def _backward(logits: Tensor | dict[str, Tensor]) -> None:
    """Gradients of a weighted sum of all logits, the same weights at every call."""
    generator = torch.Generator().manual_seed(2)
    by_readout = _by_readout(logits)
    sum(
        (value * torch.randn(value.shape, dtype=value.dtype, generator=generator)).sum()
        for _, value in sorted(by_readout.items())
    ).backward()


def _by_readout(logits: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return {"": logits} if isinstance(logits, Tensor) else logits


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors, relative above 1; of numbers that are not finite it is infinite."""
    assert a.shape == b.shape
    difference = float(((a - b).abs() / (1 + b.abs())).max().detach())
    return difference if math.isfinite(difference) else math.inf


def _assert_rounding(
    spec: NetworkSpec,
    state: dict[str, Tensor],
    trained: set[str],
    x: Any,
    training: bool,
    record: Mapping[str, str] | None,
    expected: Results,
    differences: dict[tuple[Any, ...], float],
) -> None:
    """Assert that a difference above the tolerance is no larger than what rounding does to the reference itself."""
    with rounded(1e-13):
        nudged = _interpreted(spec, state, trained, x, training, record)
    for key, difference in differences.items():
        own = _difference(nudged[key], expected[key])
        if own > CHAOTIC:
            continue
        allowed = TOLERANCE + 10 * own
        assert difference <= allowed, f"{key} differs by {difference:.1e}, where rounding explains {allowed:.1e}"
