"""Every operation: the constructor's module against the reference equation, values and gradients; and chains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from cortexgraph.codegen import prelude
from cortexgraph.ops import (
    ACTIVATIONS,
    NORMS,
    OPERATIONS,
    RESIZES,
    Chain,
    Context,
    Conv,
    GainOperation,
    GateOperation,
    GlobalPool,
    Linear,
    Link,
    Operation,
    Shape,
    make_chain,
    register_operation,
)
from cortexgraph.ops.base import Place
from cortexgraph.ops.elementwise import GATES
from cortexgraph.ops.evaluate import State, StatisticsMove, evaluate_chain, evaluate_operation, modules
from cortexgraph.ops.residual import ResidualOperation
from cortexgraph.spec import AreaSpec, ConnectionSpec, OperationSpec
from cortexgraph.spec.connection import SHORTHAND
from tests.operations import make_operation
from tests.ops.references import REFERENCES, convolve, independent, reference_operation
from tests.oracle import repeatable_dropout

NAMESPACE: dict[str, Any] = modules()

SMALL = {"kernel": [3, 5], "stride": [2, 1]}
BLOCK = [{"conv": 3}, {"norm": {"kind": "batch", "per_step": True}}, "relu", {"conv": {"kernel": [1, 3], "bias": True}}]


def case(word: str, shape: Shape, channels: int | None = None, /, **options: Any) -> Any:
    said = ", ".join(f"{name}={value}" for name, value in options.items())
    place = f"{'x'.join(map(str, shape))} to {channels or shape[0]}"
    return pytest.param(word, shape, channels, options, id=f"{word}({said}) on {place}")


CASES = [
    case("conv", (4, 5, 7), 6),
    case("conv", (4, 8, 6), 6, **SMALL, bias=True),
    case("conv", (4, 7, 9), 6, dilation=[2, 3], groups=2),
    case("conv", (4, 8, 8), kernel=2, stride=2),
    case("conv", (4, 8, 9), kernel=[4, 2], stride=[2, 3], groups=4, bias=True),
    case("conv", (3, 2, 2), 2, kernel=1),
    case("conv", (2, 5, 3), 2, padding=0),
    case("conv", (2, 3, 4), channels=3, kernel=5, padding=[4, 1], dilation=[2, 1], bias=True, stride=[3, 1]),
    case("conv", (2, 3, 3), kernel=4, padding=3, dilation=2),
    case("conv", (4, 5, 7), 6, weight_norm=True, bias=True),
    case("conv", (4, 5, 7), 6, positive=True, groups=2),
    case("conv", (4, 5, 7), 6, positive=True, weight_norm=True, kernel=[1, 3]),
    case("depthwise", (4, 5, 7)),
    case("depthwise", (4, 5, 7), positive=True, weight_norm=True),
    case("depthwise", (3, 8, 6), 7, **SMALL, bias=True),
    case("depthwise", (2, 7, 9), kernel=4, dilation=[1, 2], padding=[0, 3]),
    case("separable", (4, 5, 7), 6),
    case("separable", (3, 8, 6), **SMALL, bias=True, channels=5),
    case("separable", (2, 7, 9), kernel=2, dilation=[1, 2], padding=[0, 3]),
    case("conv_transpose", (4, 3, 5), 6),
    case("conv_transpose", (2, 3, 4), 3, kernel=[4, 5], stride=[2, 3], bias=True),
    case("conv_transpose", (2, 4, 3), kernel=2, stride=2),
    case("conv_transpose", (2, 3, 3), kernel=1, stride=[3, 2]),
    case("conv_transpose", (2, 3, 3), kernel=5, stride=1, padding=[0, 1], bias=True),
    case("conv_transpose", (3, 2, 4), channels=2, kernel=3, stride=[4, 3], padding=[1, 0], output_padding=[3, 1]),
    case("conv_transpose", (2, 3, 4), 3, weight_norm=True, bias=True),
    case("conv_transpose", (2, 3, 4), 3, positive=True),
    case("linear", (3, 2, 5), 4),
    case("linear", (3, 2, 5), 4, weight_norm=True, bias=True),
    case("linear", (3, 2, 5), 4, positive=True),
    case("linear", (3, 1, 1), channels=6, bias=True),
    *[case("norm", (4, 3, 5), kind=kind) for kind in NORMS],
    case("norm", (6, 3, 2), kind="group", groups=3),
    case("norm", (4, 3, 5), kind="batch", eps=0.5, momentum=0.3),
    case("norm", (4, 3, 5), kind="batch", momentum=1.0),
    *[case("norm", (4, 3, 5), kind=kind, eps=0.5) for kind in ("group", "layer", "instance")],
    case("norm", (7, 2, 3), kind="local_response"),
    case("norm", (2, 3, 3), kind="local_response"),
    *[case(word, (3, 4, 5)) for word in ACTIVATIONS],
    case("max_pool", (3, 5, 7)),
    case("max_pool", (3, 6, 7), kernel=3, stride=[2, 1], padding=1),
    case("max_pool", (2, 5, 4), kernel=[2, 4], stride=3, padding=[1, 2]),
    case("avg_pool", (3, 5, 7)),
    case("avg_pool", (3, 6, 7), kernel=3, stride=[2, 1], padding=1),
    case("avg_pool", (2, 5, 4), kernel=[2, 4], stride=3, padding=[1, 2]),
    case("max_pool", (3, 6, 7), kernel=3, stride=2, ceil_mode=True),
    case("max_pool", (2, 5, 6), kernel=[2, 4], stride=[2, 5], padding=[1, 2], ceil_mode=True),
    case("avg_pool", (3, 6, 7), kernel=3, stride=2, ceil_mode=True),
    case("avg_pool", (2, 5, 6), kernel=[2, 4], stride=[2, 5], padding=[1, 2], ceil_mode=True),
    case("pad", (2, 3, 4)),
    case("pad", (2, 3, 4), rim=[0, 2]),
    *[case("pad", (2, 3, 4), rim=[2, 3], mode=mode) for mode in ("reflect", "replicate")],
    *[case("pad", (2, 3, 4), rim=[0, 1], mode=mode) for mode in ("reflect", "replicate")],
    *[case(word, (2, 7, 8), size=[3, 4]) for word in RESIZES],
    *[case(word, (2, 3, 4), size=[7, 5]) for word in RESIZES],
    *[case(word, (2, 3, 3), size=1) for word in RESIZES],
    case("antialiased", (2, 9, 8), size=[2, 11]),
    case("upsample", (2, 3, 4)),
    case("upsample", (2, 3, 4), factor=[3, 1]),
    case("upsample", (2, 3, 4), factor=[2, 3], mode="bilinear"),
    case("dropout", (3, 4, 5)),
    case("dropout", (8, 4, 5), p=0.2, channels=True),
    case("dropout", (8, 4, 5), over_time="shared"),
    case("dropout", (8, 4, 5), p=0.2, channels=True, over_time="shared"),
    case("noise", (3, 4, 5)),
    case("noise", (3, 4, 5), std=0.2, evaluation=True),
    case("noise", (3, 4, 5), std=0.2, seed=3),
    case("identity", (3, 4, 5)),
    case("residual", (4, 5, 7), body=BLOCK),
    case("residual", (4, 6, 5), 6, body=[{"conv": {"stride": 2}}], shortcut=[{"conv": {"kernel": 1, "stride": 2}}]),
    case("residual", (4, 3, 5), body=[{"residual": [{"conv": 1}, "tanh"]}, {"norm": "group"}], shortcut=["identity"]),
    case("power", (3, 4, 5)),
    case("power", (3, 4, 5), exponent=3.0, eps=0.5),
    case("power", (3, 4, 5), exponent=1.5),
    *[case("power", (3, 4, 5), exponent=exponent, eps=0.1) for exponent in (0.5, 2.5, -1.0)],
    case("clamp", (3, 4, 5), min=-0.5, max=1.0),
    case("clamp", (3, 4, 5), min=0.25),
    case("clamp", (3, 4, 5), max=-0.25),
    case("product", (4, 5, 7), body=BLOCK, by=[{"conv": 1}, "sigmoid"]),
    case("product", (4, 5, 7), body=[{"conv": 3}]),
    case("product", (4, 5, 7), 3, body=[{"conv": 1}], by=[{"pool": 1}, {"conv": 1}, "sigmoid", "complement"]),
    case("product", (4, 5, 7), body=[], by=[{"conv": {"kernel": 3, "channels": 1}}]),
    case("pad_channels", (3, 4, 5), 7),
    case("pad_channels", (3, 4, 5), channels=3),
    case("maxout", (6, 3, 4)),
    case("maxout", (6, 3, 4), pieces=3),
    case("normalisation_pool", (3, 5, 6), 4),
    case("normalisation_pool", (3, 5, 6), kernel=[1, 5], order=1),
    case("radial_basis", (3, 5, 6), 4, kernel=[2, 3]),
    case("radial_basis", (2, 4, 4), kernel=4, channels=5, sigma=1.7),
    case("local_response", (7, 3, 4)),
    case("local_response", (6, 3, 4), neighbours=3, alpha=0.5, beta=0.5, k=2.0),
    case("gabor", (3, 9, 8), 4),
    case("gabor", (1, 9, 11), channels=6, kernel=[5, 4], stride=[2, 3], phases=2, wavelength_px=4.5, aspect=0.7),
]

each_case = pytest.mark.parametrize(("word", "shape", "channels", "options"), CASES)
each_mode = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Modules are made in float64, so that fixed filters are not rounded first."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(operation: Operation, sets: int = 1, **owners: nn.Module) -> nn.Module:
    """The module of the constructor's text; `owners` are what `self` has."""
    built = eval(operation.constructor(), NAMESPACE | {"self": SimpleNamespace(**owners)})
    parts = {name: made_chain(inner, sets) for name, inner in operation.chains().items()}
    module: nn.Module = built(**parts) if parts else built
    return module


def made_chain(links: Chain, sets: int = 1, **owners: nn.Module) -> nn.Module:
    """The module of a chain, put together as emitted files do."""
    modules = {
        link.name: prelude.PerStep(lambda link=link: made(link.operation), sets)
        if link.per_step and link.owner is None
        else made(link.operation, sets, **owners)
        if link.owner is None
        else eval(link.constructor, NAMESPACE | {"self": SimpleNamespace(**owners)})
        for link in links
    }
    return prelude.Chain(**modules)


def entries(*words: Any) -> tuple[OperationSpec, ...]:
    """Entries of a chain as a spec has them: `"conv"`, or `{"conv": {"kernel": 5}}`."""
    found = AreaSpec(channels=1, body=list(words)).body
    assert found is not None
    return found


def operation_of(word: str, shape: Shape, channels: int | None, options: dict[str, Any]) -> Operation:
    """The operation of a spec's entry in an area of so many channels."""
    (link,) = make_chain(entries({word: options}), shape, Context(channels or shape[0]))
    return link.operation


def randomised(module: nn.Module, training: bool = False) -> nn.Module:
    """Parameters and statistics away from where they start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.3, 1.5) if tensor.ndim < 2 else tensor.normal_()
    return module.train(training)


def images(shape: Shape, batch: int = 3) -> Tensor:
    torch.manual_seed(1)
    x = torch.randn(batch, *shape)
    x[0, 0] = 0  # silent units sit exactly at 0
    return x


Evaluated = tuple[Tensor, list[Tensor], dict[str, Tensor]]
"""A result, the gradients of a weighted sum of it at x and the parameters, and the running statistics after it."""


def gradients(y: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    return list(torch.autograd.grad((y * weight).sum(), leaves, materialize_grads=True))


def by_module(module: nn.Module, x: Tensor, *arguments: int, owner: nn.Module) -> Evaluated:
    x = x.clone().requires_grad_()
    torch.manual_seed(2)  # of dropout
    y = module(x, *arguments)
    return y.detach(), gradients(y, [x, *owner.parameters()]), statistics(owner.state_dict())


def by_chain(chain: Chain, x: Tensor, state: State, names: list[str], training: bool, update: int) -> Evaluated:
    """The chain at path `A`, on this state dict, in which these are the names of parameters."""
    x, moves = x.clone().requires_grad_(), list[StatisticsMove]()
    state = {name: value.clone().requires_grad_(name in names) for name, value in state.items()}
    torch.manual_seed(2)
    y = evaluate_chain(chain, x, state, "A", training=training, update=update, moves=moves)
    after = dict(state)
    for move in moves:
        after |= move(after)
    return y.detach(), gradients(y, [x, *(state[name] for name in names)]), statistics(after)


def statistics(state: State) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items() if re.search("running|tracked", name)}


def hold_equal(
    module: nn.Module, chain: Chain, x: Tensor, *, root: nn.Module, training: bool = False, update: int | None = None
) -> None:
    """The module, the interpreter and the independent implementation give equal values, gradients and statistics.

    The chain is at path `A` of `root`, or its links name their owners there.
    """
    state = {name: value.clone() for name, value in root.state_dict().items()}
    names = [name for name, _ in root.named_parameters()]
    found = [by_chain(chain, x, state, names, training, update or 1)]
    with independent():
        found.append(by_chain(chain, x, state, names, training, update or 1))
    found.append(by_module(module, x, *(() if update is None else (update,)), owner=root))
    assert found[0][1][0].any()
    for one in found[:2]:
        torch.testing.assert_close(one, found[2], rtol=1e-9, atol=1e-9)


def equals_reference(operation: Operation, shape: Shape, training: bool) -> None:
    root = nn.Module()
    root.A = nn.Module()
    root.A.it = randomised(made(operation), training)
    chain = Chain(shape, (Link("it", "", {}, operation),))
    hold_equal(root.A.it, chain, images(shape), root=root, training=training)


# ---- every operation -----------------------------------------------------------


def test_every_operation_and_norm_has_a_case_and_a_reference() -> None:
    assert {param.values[0] for param in CASES} == set(OPERATIONS)
    assert {type(operation_of(*param.values)) for param in CASES} <= set(REFERENCES)
    assert {param.values[3]["kind"] for param in CASES if param.values[0] == "norm"} == set(NORMS)


@each_mode
@each_case
def test_the_module_and_the_interpreter_equal_the_reference(
    word: str, shape: Shape, channels: int | None, options: dict[str, Any], training: bool
) -> None:
    equals_reference(operation_of(word, shape, channels, options), shape, training)


@each_case
def test_shapes_parameters_and_cost_are_those_of_the_module(
    word: str, shape: Shape, channels: int | None, options: dict[str, Any]
) -> None:
    operation = operation_of(word, shape, channels, options)
    module = made(operation)
    with FlopCounterMode(display=False) as counter:
        result = module(torch.randn(2, *shape))
    assert tuple(result.shape[1:]) == operation.output()
    whole = Chain(shape, (Link("it", word, {}, operation),))
    assert 2 * 2 * whole.macs == counter.get_total_flops()  # two images, two operations for a multiply-accumulate
    assert sum(p.numel() for p in module.parameters()) == whole.parameters()
    if not operation.chains():
        assert {name: tuple(p.shape) for name, p in module.named_parameters()} == dict(operation.parameters())


@each_case
def test_what_has_a_case_says_what_it_is(
    word: str, shape: Shape, channels: int | None, options: dict[str, Any]
) -> None:
    operation = operation_of(word, shape, channels, options)
    assert operation.summary()
    assert operation == operation_of(word, shape, channels, options)
    assert hash(operation) == hash(operation_of(word, shape, channels, options))


def test_padding_keeps_the_size_of_odd_kernels() -> None:
    for kernel in (1, 3, [5, 7]):
        for dilation in (1, 2):
            assert make_operation("conv", (2, 9, 8), 3, kernel=kernel, dilation=dilation).output() == (3, 9, 8)


def test_a_transposed_convolution_grows_by_its_stride() -> None:
    for kernel in range(1, 7):
        for stride in range(2 - kernel % 2, 5):  # an even kernel cannot keep the size
            operation = make_operation("conv_transpose", (2, 3, 5), kernel=kernel, stride=stride)
            assert operation.output() == (2, 3 * stride, 5 * stride)
            assert made(operation)(torch.randn(1, 2, 3, 5)).shape[1:] == operation.output()


def test_an_output_padding_as_large_as_the_stride_is_refused() -> None:
    (problem,) = make_chain(
        entries({"conv_transpose": {"stride": 2, "output_padding": 2}}), (2, 3, 3), Context(2)
    ).problems
    assert problem.found == "`output_padding` must be smaller than `stride`"


def test_a_padding_of_more_than_half_the_window_is_refused() -> None:
    (problem,) = make_chain(entries({"max_pool": {"kernel": 3, "padding": 2}}), (2, 5, 5), Context(2)).problems
    assert problem.found == "`padding` is more than half the kernel"


def test_group_norm_has_32_groups_or_the_largest_divisor_below() -> None:
    assert [make_operation("norm", (n, 2, 2), kind="group").groups for n in (64, 48, 7, 37)] == [32, 24, 7, 1]


def test_batch_norm_keeps_running_averages() -> None:
    module, x = made(make_operation("norm", (3, 4, 5))).train(), images((3, 4, 5))
    module(x)
    torch.testing.assert_close(module.running_mean, 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(module.running_var, 0.9 + 0.1 * x.var((0, 2, 3)))


def test_batch_norm_with_a_momentum_keeps_that_much_of_the_newest_batch() -> None:
    module, x = made(make_operation("norm", (3, 4, 5), eps=0.25, momentum=0.01)).train(), images((3, 4, 5))
    y = module(x)
    torch.testing.assert_close(module.running_mean, 0.01 * x.mean((0, 2, 3)))
    torch.testing.assert_close(module.running_var, 0.99 + 0.01 * x.var((0, 2, 3)))
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(y, (x - mean) / (variance + 0.25).sqrt())


@pytest.mark.parametrize(
    ("options", "found", "repair"),
    [
        ({"kind": "group", "momentum": 0.1}, "`momentum` is set, but `kind` is `group`", "Write `kind: batch`"),
        ({"kind": "local_response", "eps": 0.1}, "`eps` is set, but `kind` is `local_response`", "or remove `eps`"),
        ({"kind": "batch", "groups": 2}, "`groups` is set, but `kind` is `batch`", "Write `kind: group`"),
    ],
)
def test_options_that_a_kind_of_norm_lacks(options: dict[str, Any], found: str, repair: str) -> None:
    (problem,) = make_chain(entries({"norm": options}), (4, 3, 3), Context(4)).problems
    assert problem.found == found
    assert repair in problem.repair


def test_local_response_norm_is_that_of_the_paper() -> None:
    x = 30 * images((7, 2, 2))
    expected = torch.empty_like(x)
    for c in range(7):
        energy = sum(x[:, d] ** 2 for d in range(7) if abs(d - c) <= 2)
        expected[:, c] = x[:, c] / (1 + 1e-4 / 5 * energy) ** 0.75
    torch.testing.assert_close(made(make_operation("norm", (7, 2, 2), kind="local_response"))(x), expected)


# ---- dropout -------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5])
def test_dropout_drops_its_share_and_scales_the_rest(p: float) -> None:
    module, x = made(make_operation("dropout", (4, 64, 64), p=p)).train(), torch.ones(2, 4, 64, 64)
    torch.manual_seed(0)
    y = module(x)
    share = (y == 0).double().mean().item()
    assert abs(share - p) <= 4 * (p * (1 - p) / x.numel()) ** 0.5
    torch.testing.assert_close(y[y != 0].unique(), torch.tensor([1 / (1 - p)]))
    assert p == 0 or not torch.equal(module(x), y)
    assert torch.equal(module.eval()(x), x)


def test_dropout_of_channels_drops_them_whole() -> None:
    module = made(operation_of("dropout", (64, 3, 5), None, {"channels": True})).train()
    torch.manual_seed(0)
    dropped = module(torch.ones(16, 64, 3, 5)) == 0
    assert torch.equal(dropped.all((2, 3)), dropped.any((2, 3)))
    assert abs(dropped.double().mean().item() - 0.5) <= 4 * (0.25 / (16 * 64)) ** 0.5


def test_noise_has_its_deviation_and_is_off_in_evaluation_unless_asked() -> None:
    x = torch.ones(4, 8, 32, 32)
    torch.manual_seed(0)
    for evaluation in (False, True):
        module = made(make_operation("noise", (8, 32, 32), std=0.3, evaluation=evaluation)).train()
        added = module(x) - x
        assert added.mean().item() == pytest.approx(0, abs=4 * 0.3 / x.numel() ** 0.5)
        assert added.std().item() == pytest.approx(0.3, rel=0.02)
        assert not torch.equal(module(x) - x, added)
        assert torch.equal(module.eval()(x), x) != evaluation


def test_only_dropout_and_noise_are_random() -> None:
    found = {word for word in OPERATIONS if make_operation(word, (2, 3, 3), **NEEDED.get(word, {})).random}
    assert found == {"dropout", "noise"}
    assert chain_of([{"residual": [{"residual": ["dropout"]}]}]).random
    assert not chain_of([{"residual": [{"residual": ["relu"]}]}]).random


NEEDED: dict[str, dict[str, Any]] = {word: {"size": 2} for word in RESIZES}
NEEDED |= {word: {"body": ["relu"]} for word in ("residual", "product")} | {"clamp": {"max": 1.0}}

# ---- Gabor filters -------------------------------------------------------------


def bank_of(**options: Any) -> np.ndarray[Any, Any]:
    module = made(make_operation("gabor", (1, 9, 9), **options))
    assert not [*module.parameters()]
    assert not module.state_dict()
    bank: np.ndarray[Any, Any] = module.bank[:, 0].numpy()
    return bank


@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize("kernel", [[7, 7], [5, 8], [4, 4]])
def test_the_gabor_bank_is_that_of_the_formula(kernel: list[int], phases: int) -> None:
    bank = bank_of(channels=8, kernel=kernel, phases=phases, wavelength_px=4.0, sigma_px=2.0, aspect=0.5)
    rows, columns = np.indices(kernel)
    place = (columns - (kernel[1] - 1) / 2) + 1j * (rows - (kernel[0] - 1) / 2)
    orientations = 8 // phases
    for n, found in enumerate(bank):
        turned = place * np.exp(-1j * np.pi * (n // phases) / orientations)
        carrier = np.cos(2 * np.pi * turned.real / 4.0 + (n % phases) * np.pi / 2)
        expected = np.exp(-(turned.real**2 + 0.5**2 * turned.imag**2) / (2 * 2.0**2)) * carrier
        expected -= expected.mean()
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=0, atol=1e-12)


def test_fixed_filters_are_kept_by_type_and_device() -> None:
    operation, x = make_operation("gabor", (1, 9, 9), 4), images((1, 9, 9))
    expected, _ = reference_operation(operation, x, {}, training=False)
    for _ in range(2):
        single, _ = evaluate_operation(operation, x.float(), {}, training=False)
        double, _ = evaluate_operation(operation, x, {}, training=False)
        empty, _ = evaluate_operation(operation, x.to("meta"), {}, training=False)
        torch.testing.assert_close(double, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-5)
        assert empty.device.type == "meta"


def test_gabor_filters_have_no_mean_and_unit_length_and_turn() -> None:
    bank = bank_of(channels=4, kernel=9)
    np.testing.assert_allclose(bank.mean((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose((bank**2).sum((1, 2)), 1, rtol=1e-12)
    for n in (0, 1):  # 0 and 90 degrees, 45 and 135
        np.testing.assert_allclose(np.rot90(bank[n]), bank[n + 2], rtol=0, atol=1e-12)


def test_a_gabor_filter_likes_its_own_grating() -> None:
    bank = bank_of(channels=6, kernel=15, wavelength_px=5.0, sigma_px=3.0)
    y, x = np.indices((15, 15)) - 7
    for n in range(6):
        angle = np.pi * n / 6
        grating = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 5.0)
        assert int(np.argmax((bank * grating).sum((1, 2)))) == n


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"phases": 3}, "`phases` must be 1 or 2, and divide the channels"),
        ({"phases": 2, "channels": 3}, "`phases` must be 1 or 2, and divide the channels"),
        ({"kernel": [1, 3]}, "a Gabor filter needs a kernel of at least 3 × 3 pixels"),
    ],
)
def test_gabor_banks_that_cannot_be(options: dict[str, Any], found: str) -> None:
    (problem,) = make_chain(entries({"gabor": options}), (1, 9, 9), Context(6)).problems
    assert problem.found == found


# ---- gains and gates -----------------------------------------------------------

NEUTRAL = ("linear", "tanh", "sigmoid", "divisive")


@each_mode
@pytest.mark.parametrize(
    "operation",
    [
        GainOperation((3, 4, 5), 0.25),
        GainOperation((3, 4, 5), -1e-7),
        GainOperation((3, 4, 5), None),
        *[GateOperation((3, 4, 5), kind) for kind in GATES],  # type: ignore[arg-type]
    ],
    ids=lambda operation: getattr(operation, "constructor", lambda: "")(),
)
def test_gains_and_gates_equal_their_references(operation: Operation, training: bool) -> None:
    equals_reference(operation, (3, 4, 5), training)
    module = made(operation)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == dict(operation.parameters())
    x = images((3, 4, 5))
    neutral = torch.ones_like(x) if getattr(operation, "kind", "") in NEUTRAL else None
    start = {"gain": x if operation.parameters() else None, "gate": neutral}[operation.role]
    if start is not None:  # a learned gain starts at 1, and these gates are 1 where the modulator is 0
        torch.testing.assert_close(module(x if operation.role == "gain" else 0 * x), start)


# ---- parameters of another connection --------------------------------------------


def chain_of(words: list[Any], shape: Shape = (4, 6, 7), channels: int = 4, **place: Any) -> Chain:
    return make_chain(entries(*words), shape, Context(channels, **place))


def equals_reference_of_owner(
    operation: Operation, owner: Chain, shape: Shape, same: bool, training: bool = False, sets: int = 1
) -> None:
    """An operation with the parameters of `owner`, at each update; in the state dict they stand under `V1_to_V2`."""
    root = nn.Module()
    root.V1_to_V2 = made_chain(owner, sets)
    randomised(root, training)
    per_step = owner.links[0].per_step
    chained = Chain(shape, (Link("conv", "conv", {}, operation, per_step, owner="V1_to_V2.conv", same=same),))
    module = made_chain(chained, V1_to_V2=root.V1_to_V2).train(training)
    assert not module.state_dict()
    assert chained.parameters() == 0
    for update in range(1, sets + 2):
        at = update if per_step else None
        hold_equal(module, chained, images(shape), root=root, training=training, update=at)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "geometry",
    [
        {"stride": 2},
        {"stride": [1, 3], "padding": 0},
        {"dilation": [2, 1]},
        {"groups": 2},
        {"groups": 2, "stride": 2},
        {"padding": [2, 0]},
        {},
    ],
    ids=str,
)
def test_a_tied_convolution_has_a_geometry_of_its_own(geometry: dict[str, Any], bias: bool, apart: bool) -> None:
    kernels = {"kernel": [3, 2], "bias": bias}
    groups = {"groups": 2} if "groups" in geometry else {}
    owner = make_chain(entries({"conv": kernels | groups}), (4, 6, 7), Context(6), apart=apart)
    own = make_operation("conv", (4, 5, 9), 6, **kernels, **geometry)
    same = own.constructor() == owner.operations[0].constructor()
    assert same == (geometry in ({}, {"groups": 2}))
    equals_reference_of_owner(own, owner, (4, 5, 9), same, sets=3 if apart else 1)


@each_mode
@pytest.mark.parametrize("word", ["separable", "depthwise", "linear", "norm"])
def test_other_tied_operations_are_their_owners(word: str, training: bool) -> None:
    owner = make_chain(entries(word), (4, 3, 5), Context(4))
    owner = Chain(owner.shape, (Link("conv", word, {}, owner.operations[0]),))
    equals_reference_of_owner(make_operation(word, (4, 3, 5), 4), owner, (4, 3, 5), True, training)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((6, 7), {}),
        ((6, 7), {"bias": True, "kernel": [1, 5]}),
        ((7, 9), {"stride": 2}),
        ((8, 9), {"stride": [2, 3]}),
        ((8, 10), {"stride": [2, 3]}),
        ((6, 8), {"kernel": 4, "stride": [2, 4]}),
        ((6, 7), {"kernel": 3, "padding": 0}),
    ],
)
def test_a_transposed_tie_is_the_adjoint(size: tuple[int, int], options: dict[str, Any], apart: bool) -> None:
    owner = make_chain(entries({"conv": options}), (3, *size), Context(5), apart=apart)
    conv = owner.operations[0]
    assert isinstance(conv, Conv)
    transposed = conv.transposed(conv.output(), size)
    assert transposed is not None
    assert transposed.output() == (3, *size)
    assert transposed.parameters() == {"weight": conv.parameters()["weight"]}
    equals_reference_of_owner(transposed, owner, conv.output(), False, sets=3 if apart else 1)
    weight = torch.randn(conv.parameters()["weight"])
    x, y = torch.randn(1, 3, *size), torch.randn(1, *conv.output())
    link = Link("conv", "conv", {}, transposed, owner="V1_to_V2.conv")
    back = evaluate_chain(Chain(y.shape[1:], (link,)), y, {"V1_to_V2.conv.weight": weight}, "", training=False)
    there = convolve(x, weight, stride=conv.stride, padding=conv.border)
    torch.testing.assert_close((there * y).sum(), (x * back).sum())


def test_a_transposed_tie_that_cannot_reach_the_size_has_none() -> None:
    conv = make_operation("conv", (3, 8, 8), 5, stride=2)
    assert isinstance(conv, Conv)
    for size, fits in [((8, 8), True), ((7, 8), True), ((9, 8), False), ((6, 8), False)]:
        transposed = conv.transposed((5, 4, 4), size)
        assert transposed is not None
        assert transposed.output() == ((3, *size) if fits else (3, 0, 0))


def test_what_cannot_be_transposed() -> None:
    for options in ({"dilation": 2}, {"groups": 2}):
        conv = make_operation("conv", (4, 8, 8), **options)
        assert isinstance(conv, Conv)
        assert conv.transposed((4, 8, 8), (8, 8)) is None


# ---- chains --------------------------------------------------------------------

CHAINS: dict[str, list[Any]] = {
    "nothing": [],
    "norms per step": ["conv", {"norm": {"kind": "batch", "per_step": True}}, "relu", {"norm": "layer"}, "conv"],
    "inner norms per step": [{"residual": BLOCK}, "tanh", {"residual": {"body": ["conv"], "shortcut": BLOCK}}],
    "nested": [{"residual": [{"residual": BLOCK}, "dropout"]}, {"linear": 5}, "sigmoid"],
    "local response": [{"norm": {"kind": "local_response", "per_step": True}}, "max_pool", {"upsample": 2}],
}


@each_mode
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_chains_equal_their_references_at_each_update_and_beyond_the_last_set(
    name: str, apart: bool, training: bool
) -> None:
    links = make_chain(entries(*CHAINS[name]), (4, 6, 8), Context(4), apart=apart)
    assert links.whole
    root = nn.Module()
    root.A = made_chain(links, sets=3)
    randomised(root, training)
    for update in (1, 2, 3, 4, 9):
        at = update if links.per_step else None
        with repeatable_dropout():
            hold_equal(root.A, links, images((4, 6, 8)), root=root, training=training, update=at)
    assert tuple(root.A(images((4, 6, 8)), *((1,) if links.per_step else ())).shape[1:]) == links.output
    assert sum(p.numel() for p in root.parameters()) == links.parameters(sets=3)
    assert {path for path, link in links.walk() if link.operation.parameters() and not link.operation.chains()} == {
        re.sub(r"(\.\d+)?\.(weight|bias)$", "", key.removeprefix("A.")) for key, _ in root.named_parameters()
    }


def test_a_link_is_called_by_its_word_or_role_and_a_number() -> None:
    links = chain_of(["conv", "relu", {"conv_transpose": {"stride": 1}}, "tanh", "depthwise", "conv", "identity"])
    assert [link.name for link in links] == [
        "conv", "activation", "conv_transpose", "activation_2", "depthwise", "conv_2", "activation_3",
    ]  # fmt: skip
    assert [link.word for link in links] == ["conv", "relu", "conv_transpose", "tanh", "depthwise", "conv", "identity"]
    assert chain_of([{"residual": ["conv", "conv"]}, "conv"]).links[1].name == "conv"


@pytest.mark.parametrize(
    ("words", "at_the_end", "expected"),
    [
        (["conv"], False, [False]),
        (["conv"], True, [True]),
        (["conv", "norm"], True, [False]),
        (["conv", "dropout", "identity", {"norm": "layer"}], True, [False]),
        (["conv", "dropout"], False, [False]),
        (["conv", "relu", "norm"], False, [True]),
        (["conv", "conv", "norm", "conv"], False, [True, False, False]),
        (["separable", "depthwise", {"linear": 2}], False, [True, True, False]),
        ([{"conv_transpose": {"stride": 1}}, "relu", "conv_transpose"], False, [True, False]),
        ([{"conv": {"bias": True}}, "norm", {"conv": {"bias": False}}, "relu"], True, [True, False]),
    ],
    ids=str,
)
def test_a_bias_unless_a_norm_follows_or_the_place_has_one(
    words: list[Any], at_the_end: bool, expected: list[bool]
) -> None:
    links = chain_of(words, bias=at_the_end)
    assert [link.operation.bias for link in links if hasattr(link.operation, "bias")] == expected


def test_a_block_inherits_what_follows_it() -> None:
    for words, expected in (
        ([{"residual": ["conv", "relu", "conv"]}, "norm"], [True, False]),
        (
            [{"residual": ["conv", "relu", "conv"]}, "relu"],
            [True, True],
        ),
    ):
        (block, _) = chain_of(words)
        assert [op.bias for op in block.operation.chains()["body"].operations if isinstance(op, Conv)] == expected


def test_the_place_decides_channels_and_the_first_stride() -> None:
    links = make_chain(entries("conv", "conv", {"conv": {"channels": 3}}), (2, 8, 8), Context(5, stride=(2, 4)))
    assert [op.output() for op in links.operations] == [(5, 4, 2), (5, 4, 2), (3, 4, 2)]
    inside = make_chain(entries({"residual": ["conv"]}), (2, 8, 8), Context(2, stride=(2, 2)))
    assert inside.whole
    assert [link.name for link in inside] == ["residual"]
    assert inside.output == (2, 8, 8)


def test_apart_makes_all_parameters_per_step() -> None:
    links = make_chain(entries("conv", "relu", {"residual": ["conv", "tanh"]}), (2, 4, 4), Context(2), apart=True)
    assert {path for path, link in links.walk() if link.per_step} == {"conv", "residual.body.conv"}
    assert links.per_step
    assert links.parameters(sets=3) == 3 * links.parameters()
    shared = make_chain(entries("conv", {"residual": ["conv"]}), (2, 4, 4), Context(2))
    assert not shared.per_step
    assert shared.parameters(sets=3) == shared.parameters() == 2 * 2 * 9 + 2 + 2 * 2 * 9


def test_options_say_the_whole_operation() -> None:
    (link,) = make_chain(entries({"conv": 5}), (2, 8, 8), Context(3, bias=True, stride=(2, 2)))
    assert Conv((2, 8, 8), **link.options) == link.operation
    assert link.options == {
        "kernel": (5, 5), "stride": (2, 2), "dilation": (1, 1), "padding": None, "bias": True, "channels": 3,
        "groups": 1, "weight_norm": False, "positive": False,
    }  # fmt: skip


def test_a_chain_sums_up() -> None:
    links = chain_of(["conv", {"residual": ["conv", {"norm": "layer"}, "dropout"]}, "relu"])
    assert links.macs == 2 * 4 * 4 * 9 * 6 * 7
    assert links.summary() == "3 × 3 conv, bias → residual (3 × 3 conv, layer norm, dropout 0.5) → relu"
    assert len(links) == 3
    assert chain_of([]).output == (4, 6, 7)


# ---- what cannot be made -----------------------------------------------------------


def test_an_entry_that_cannot_be_made_is_left_out() -> None:
    links = chain_of(["conv", "cnov", {"conv": {"kernl": 3}}, {"norm": "batched"}, "relu"])
    assert [link.name for link in links] == ["conv", "activation"]
    assert not links.whole
    assert chain_of(["conv", "relu"]).whole
    assert not chain_of([{"residual": [{"residual": ["cnov"]}]}]).whole


def test_problems_are_found_all_at_once() -> None:
    words = ["conv", "cnov", {"conv": {"kernl": 3, "stride": 0}}, {"norm": "batched"}, {"relu": 3}, {"nearest": None}]
    found = list(make_chain(entries(*words), (4, 6, 7), Context(4)).problems)
    assert [(problem.path, problem.word) for problem in found] == [
        ((1,), "cnov"),
        ((2, "conv"), "conv"),
        ((2, "conv"), "conv"),
        ((3,), "norm"),
        ((4, "relu"), "relu"),
        ((5, "nearest"), "nearest"),
    ]
    details = [problem.detail for problem in found if problem.detail is not None]
    assert {(detail["type"], detail["loc"]) for detail in details[:2]} == {
        ("greater_than_equal", ("stride",)),
        ("extra_forbidden", ("kernl",)),
    }
    assert [(detail["type"], detail["loc"]) for detail in details[2:]] == [("model_type", ()), ("missing", ("size",))]
    norm = found[3]
    assert norm.found == "no norm is called `batched`"
    assert norm.repair == "Choose one of batch, group, layer, instance, local_response."
    assert not list(make_chain(entries("conv", {"residual": BLOCK}), (4, 6, 7), Context(4)).problems)


def test_problems_inside_a_block_say_where() -> None:
    block = {"body": ["relu", {"residual": ["conv", "cnov"]}], "shortcut": [{"norm": "batched"}]}
    found = list(make_chain(entries("conv", {"residual": block}), (4, 6, 7), Context(4)).problems)
    assert [(problem.path, problem.word) for problem in found] == [
        ((1, "residual", "body", 1, "residual", 1), "cnov"),  # the inner block is a bare list
        ((1, "residual", "shortcut", 0), "norm"),
    ]


@pytest.mark.parametrize(
    ("block", "shapes"),
    [
        ({"body": [{"conv": {"stride": 2}}]}, ("4 × 3 × 4", "4 × 6 × 7")),
        ({"body": [{"conv": {"channels": 8}}]}, ("8 × 6 × 7", "4 × 6 × 7")),
        ({"body": ["max_pool"], "shortcut": [{"conv": {"kernel": 1, "stride": 2}}]}, ("4 × 3 × 3", "4 × 3 × 4")),
    ],
)
def test_the_two_ways_of_a_block_must_agree(block: dict[str, Any], shapes: tuple[str, str]) -> None:
    (problem,) = make_chain(entries("relu", {"residual": block}), (4, 6, 7), Context(4)).problems
    assert problem.path == (1,)
    assert problem.found == f"the body gives {shapes[0]}, but the shortcut gives {shapes[1]}"
    assert "Give the shortcut operations that change the shape alike" in problem.repair
    assert not chain_of(["relu", {"residual": block}]).whole


def test_nested_blocks_are_each_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Shape] = []
    placed = ResidualOperation.placed

    def counted(operation: ResidualOperation, place: Place) -> Operation:
        made.append(operation.shape)
        return placed(operation, place)

    monkeypatch.setattr(ResidualOperation, "placed", counted)
    nested: list[Any] = ["conv"]
    for _ in range(12):
        nested = [{"residual": nested}]
    assert make_chain(entries(*nested), (4, 6, 7), Context(4)).whole
    assert len(made) == 12


# ---- readouts ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["avg", "max", "flatten"])
def test_readout_pooling(mode: str) -> None:
    operation = GlobalPool((3, 4, 5), mode)  # type: ignore[arg-type]
    equals_reference(operation, (3, 4, 5), training=False)
    assert operation.output() == (made(operation)(images((3, 4, 5))).flatten(1).shape[1], 1, 1)


def test_linear() -> None:
    operation = Linear((4, 1, 1), 3)
    root = nn.Module()
    root.A = nn.Module()
    root.A.it = module = randomised(made(operation))
    hold_equal(module, Chain((4, 1, 1), (Link("it", "", {}, operation),)), torch.randn(2, 4), root=root)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == dict(operation.parameters())
    assert operation.macs() == 12
    assert operation.output() == (3, 1, 1)


# ---- registration --------------------------------------------------------------


def test_macs_count_each_weight_at_each_output_place() -> None:
    conv = make_operation("conv", (4, 8, 8), 6, stride=2, groups=2)
    assert conv.macs() == 6 * 4 * 4 * (4 // 2) * 9


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="operation `conv` is registered already"):
        register_operation("conv")(Conv)


@pytest.mark.parametrize("name", ["Conv", "7x7", "os.system", "my conv", "", "a" * 65])
def test_a_name_must_be_a_word_of_the_language(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an operation: use small letters, digits and underscores"):
        register_operation(name)(Conv)
    assert name not in OPERATIONS


def test_shorthand_keys_of_a_connection_are_the_options_of_its_convolution() -> None:
    conv, transposed = (OPERATIONS[word].options.model_fields.keys() for word in ("conv", "conv_transpose"))
    assert SHORTHAND.keys() == conv & ConnectionSpec.model_fields.keys()
    assert {key for key, marker in SHORTHAND.items() if marker.transposed} == SHORTHAND.keys() & transposed


# ---- weights that follow from learned ones ---------------------------------------


def test_weight_norm_is_that_of_torch() -> None:
    """Values and gradients of `torch.nn.utils.parametrizations.weight_norm`, from the same v and g."""
    module = randomised(made(make_operation("conv", (3, 5, 5), 4, kernel=3, weight_norm=True)))
    theirs = parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    g, v = theirs.parametrizations["weight"].original0, theirs.parametrizations["weight"].original1
    v.data.copy_(module.weight.data)
    g.data.copy_(module.scale.data.reshape(-1, 1, 1, 1))
    x = images((3, 5, 5))
    ours, expected = module(x), theirs(x)
    torch.testing.assert_close(ours, expected)
    slopes = gradients(ours, [module.weight, module.scale])
    torch.testing.assert_close(slopes, [gradients(expected, [v])[0], gradients(theirs(x), [g])[0].flatten()])


@pytest.mark.parametrize("word", ["conv", "conv_transpose", "linear"])
def test_weight_norm_starts_with_the_learned_weight_itself(word: str) -> None:
    torch.manual_seed(0)
    module = made(make_operation(word, (3, 4, 4), 2, weight_norm=True))
    torch.testing.assert_close(module.used(), module.weight)
    prelude.started(module, nn.init.orthogonal_)
    torch.testing.assert_close(module.used(), module.weight)


RISING_WITHOUT_WEIGHTS = ("relu", "saturating", "max_pool", "avg_pool", "pad", "maxout", "pad_channels", "upsample")


@pytest.mark.parametrize("word", ["conv", "depthwise", "conv_transpose", "linear", *RISING_WITHOUT_WEIGHTS])
def test_what_rises_never_falls(word: str) -> None:
    positive = {"positive": True} if "positive" in OPERATIONS[word].options.model_fields else {}
    operation = make_operation(word, (4, 6, 6), **positive)
    module, x = randomised(made(operation)), images((4, 6, 6))
    assert operation.rises()
    assert (module(x + torch.rand_like(x)) >= module(x)).all()


@pytest.mark.parametrize("word", ["conv", "abs", "silu", "gelu", "square", "complement", "separable", "gabor"])
def test_what_may_fall_is_said_to(word: str) -> None:
    operation = make_operation(word, (4, 6, 6))
    module = randomised(made(operation))
    x = 3 * torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    assert not operation.rises()
    assert (module(x + 1 + x.abs() / 9) < module(x)).any()


# ---- found by review -------------------------------------------------------------


@pytest.mark.parametrize("factor", range(1, 17))
def test_nearest_is_exact_for_whole_ratios(factor: int) -> None:
    for n in range(1, 256 // factor + 1):
        x = torch.arange(n).reshape(1, 1, n, 1).float()
        found = made(make_operation("nearest", (1, n, 1), size=(n * factor, 1)))(x)
        assert found.flatten().tolist() == [i // factor for i in range(n * factor)]


def test_the_first_stride_that_is_not_written_bridges() -> None:
    words = entries({"conv": {"stride": 1}}, "conv", "conv")
    chain = make_chain(words, (4, 8, 8), Context(4, stride=(2, 2)))
    assert [operation.stride for operation in chain.operations] == [(1, 1), (2, 2), (1, 1)]  # type: ignore[attr-defined]


def test_a_norm_without_a_shift_leaves_the_bias() -> None:
    conv, *_ = make_chain(entries("conv", {"norm": "local_response"}), (4, 8, 8), Context(4)).operations
    assert conv.bias  # type: ignore[attr-defined]


# ---- operations across channels ------------------------------------------------


def test_maxout_is_the_largest_of_the_pieces() -> None:
    x = images((6, 2, 2))
    y = made(make_operation("maxout", (6, 2, 2), pieces=3))(x)
    expected = torch.stack([torch.stack([x[:, c], x[:, 2 + c], x[:, 4 + c]]).amax(0) for c in range(2)], 1)
    assert torch.equal(y, expected)


def test_a_normalisation_pool_of_equal_activity_is_that_activity() -> None:
    module = made(make_operation("normalisation_pool", (4, 5, 5), kernel=3))
    y = module(torch.full((1, 4, 5, 5), -2.0))
    torch.testing.assert_close(y[0, :, 2, 2], torch.full((4,), (4 + 1e-5) ** 0.5))
    torch.testing.assert_close(y[0, :, 0, 0], torch.full((4,), (4 * 4 / 9 + 1e-5) ** 0.5))  # zeros beyond the rim


def test_a_radial_basis_unit_answers_its_prototype_with_1_and_falls_off_as_a_gaussian() -> None:
    module = made(make_operation("radial_basis", (2, 3, 3), 1, kernel=3, sigma=2.0))
    prototype = module.weight.detach()
    assert module(prototype).item() == pytest.approx(1)
    away = prototype + torch.tensor([1.0, 2.0])[None, :, None, None]
    assert module(away).item() == pytest.approx(torch.exp(torch.tensor(-(9 * 1 + 9 * 4) / (2 * 4.0))).item())


@pytest.mark.parametrize(
    ("entry", "channels", "found"),
    [
        ({"pad_channels": 2}, 3, "3 channels cannot be padded to 2"),
        ({"maxout": 2}, 3, "3 channels cannot be split into 2 equal pieces"),
        ({"normalisation_pool": {"order": 3}}, 3, "`order` is 3"),
        ({"normalisation_pool": 2}, 3, "a 2 × 2 window has no centre"),
        ({"local_response": 4}, 3, "`neighbours` is 4, so that no channel is in the middle"),
        ({"power": 0}, 3, "`exponent` is 0, which makes every value 1"),
        ({"power": 0.5}, 3, "a power of 0.5 has an infinite slope at 0, so that gradients become infinite"),
        ({"power": {"exponent": 2, "eps": -1.0}}, 3, "`eps` is -1, but it must be 0 or more"),
        (
            {"pad": {"rim": 5, "mode": "reflect"}},
            3,
            "a rim of 5 × 5 cannot mirror an input of 5 × 5, whose edge is left out",
        ),
        ("clamp", 3, "neither `min` nor `max` is set"),
        ({"clamp": {"min": 1.0, "max": 0.5}}, 3, "`min` is 1, but `max` is 0.5"),
        ({"product": {"body": [], "by": ["max_pool"]}}, 3, "the body gives 3 × 5 × 5, but `by` gives 3 × 2 × 2"),
        (
            {"product": {"body": [], "by": [{"conv": {"channels": 2}}]}},
            3,
            "the body gives 3 × 5 × 5, but `by` gives 2 × 5 × 5",
        ),
    ],
)
def test_problems_of_operations_across_channels(entry: Any, channels: int, found: str) -> None:
    (problem,) = make_chain(entries(entry), (channels, 5, 5), Context(channels)).problems
    assert problem.found == found
    assert problem.repair


@pytest.mark.parametrize("word", ["sigmoid", "tanh", "silu", "softplus", "elu", "saturating"])
def test_references_of_saturating_functions_have_gradients_far_out(word: str) -> None:
    operation = make_operation(word, (1, 1, 5))
    x = torch.tensor([-2000.0, -1e-300, 0.0, 1e-300, 2000.0]).reshape(1, 1, 1, 5)
    hold_equal(made(operation), Chain((1, 1, 5), (Link("it", "", {}, operation),)), x, root=nn.Module())
