"""Every cell: its module against the reference equation and against implementations written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cortexgraph.ops import CELLS, Cell, Context
from cortexgraph.ops.elementwise import activations
from cortexgraph.ops.evaluate import evaluate_cell, modules
from cortexgraph.ops.registry import Made
from cortexgraph.spec import OperationSpec
from tests.ops.references import REFERENCES, reference_cell

C, H, W = SHAPE = (3, 4, 5)

CASES: list[tuple[str, Any]] = [
    ("simple", None),
    ("leaky", None),
    ("leaky", 0.9),
    ("leaky", 0.0),
    ("leaky", {"decay": 1.0, "activation": "relu"}),
    ("leaky", {"decay": 0.7, "input": "rest"}),
    ("leaky", {"decay": 0.7, "learned": True}),
    ("leaky", {"decay": 0.2, "learned": True, "input": "rest", "activation": "tanh"}),
    ("leaky", {"tau_ms": 20.0}),
    ("leaky", {"tau_ms": 30.0, "activation": "relu"}),
    ("leaky", {"tau_ms": 20.0, "input": "full", "learned": True}),
    ("leaky", {"tau_ms": 2.0, "dt_ms": 2.0}),
    ("conv_gru", None),
    ("conv_gru", [1, 3]),
    ("conv_lstm", None),
    ("conv_lstm", {"kernel": 5, "forget_bias": 0.0}),
    ("conv_lstm", {"peepholes": True}),
    ("ugrnn", None),
    ("ugrnn", {"kernel": [3, 1], "forget_bias": -0.5}),
    ("intersection", None),
    ("intersection", {"kernel": 1, "forget_bias": 2.0}),
    ("reciprocal_gated", None),
    ("reciprocal_gated", {"kernel": [1, 5], "bias": True, "activation": "elu"}),
    ("reciprocal_gated", {"activation": "relu"}),
]

each_case = pytest.mark.parametrize(("word", "options"), CASES, ids=str)


def made_of(
    word: str, given: Any = None, shape: tuple[int, int, int] = SHAPE, dt_ms: float | None = 10.0
) -> Made[Cell]:
    return CELLS.make(OperationSpec(name=word, options=given), shape, Context(shape[0], dt_ms=dt_ms))


def cell_of(word: str, given: Any = None, shape: tuple[int, int, int] = SHAPE) -> Cell:
    made = made_of(word, given, shape)
    assert not made.problems
    assert made.component is not None
    return made.component


def problem_of(word: str, given: Any, dt_ms: float | None = 10.0) -> tuple[str, str]:
    (problem,) = made_of(word, given, dt_ms=dt_ms).problems
    return problem.found, problem.repair


def module_of(cell: Cell, seed: int = 0) -> nn.Module:
    """The module of the constructor's text, in float64, with parameters away from their first values."""
    module: nn.Module = eval(cell.constructor(), modules()).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.8, 0.8, generator=generator)
    return module


def named(cell: Cell, result: Tensor | tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What a module returned, by the names of the states."""
    if not cell.hidden:
        assert isinstance(result, Tensor)
        return {"h": result}
    return dict(zip(("h", *cell.hidden), result, strict=True))


def rolled(cell: Cell, module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """The visible states of a silent area that gets these inputs."""
    carried: dict[str, Tensor] = {}
    visible = []
    for x in inputs:
        carried = named(cell, module(x, *(carried.get(name) for name in cell.reads)))
        visible.append(carried["h"])
    return visible


def randn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], leaves: tuple[list[Tensor], ...]) -> None:
    """Equal values, and equal gradients of a weighted sum of them at either side's leaves."""
    assert found.keys() == expected.keys()
    sums = [sum((v * randn(*v.shape, seed=i)).sum() for i, v in enumerate(s.values())) for s in (found, expected)]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12)
    ours, theirs = (
        torch.autograd.grad(total, at, allow_unused=True, materialize_grads=True, retain_graph=True)
        for total, at in zip(sums, leaves, strict=True)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("old", ["silent", "zeros", "random", "mixed"])
@each_case
def test_the_module_and_the_interpreter_equal_the_reference(word: str, options: Any, old: str, training: bool) -> None:
    cell = cell_of(word, options)
    module = module_of(cell).train(training)
    x = randn(2, *SHAPE)
    x[0, 0] = 0  # a silent unit sits at 0, where derivatives jump
    silent = [old == "silent" or (old == "mixed" and index == 0) for index, _ in enumerate(cell.reads)]
    values = [randn(2, *SHAPE, seed=2 + i) * (old != "zeros") * (not silent[i]) for i, _ in enumerate(cell.reads)]
    live = [0, *(1 + index for index, s in enumerate(silent) if not s)]

    ours = [value.clone().requires_grad_() for value in (x, *values)]
    result = module(ours[0], *(None if s else v for s, v in zip(silent, ours[1:], strict=True)))
    for evaluated in (reference_cell, evaluate_cell):
        theirs = [value.clone().requires_grad_() for value in (x, *values)]
        state = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
        expected = evaluated(cell, theirs[0], dict(zip(cell.reads, theirs[1:], strict=True)), state, training)
        leaves = ([*(ours[i] for i in live), *module.parameters()], [*(theirs[i] for i in live), *state.values()])
        assert_same(named(cell, result), expected, leaves)


@each_case
def test_shapes_are_those_of_the_module(word: str, options: Any) -> None:
    cell = cell_of(word, options)
    module = module_of(cell)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == dict(cell.parameters())
    states = named(cell, module(randn(2, *SHAPE), *[None] * len(cell.reads)))
    assert {value.shape for value in states.values()} == {(2, *SHAPE)}
    assert set(cell.reads) <= {"h", *cell.hidden}
    assert cell.has_memory == (word != "simple")


@each_case
def test_the_module_can_be_traced(word: str, options: Any) -> None:
    cell = cell_of(word, options)
    module = module_of(cell)
    traced = fx.symbolic_trace(module)
    given = [randn(2, *SHAPE, seed=i) for i in range(1 + len(cell.reads))]
    torch.testing.assert_close(traced(*given), module(*given))


def test_every_cell_has_a_case_and_a_reference() -> None:
    assert set(CELLS) == {word for word, _ in CASES}
    assert {CELLS[word].make_from for word in CELLS} <= set(REFERENCES)


# ---- against torch's own cells, on maps of one place


def test_a_gru_on_one_place_is_torchs() -> None:
    cell = cell_of("conv_gru", 1, (C, 1, 1))
    module, torchs = module_of(cell), nn.GRUCell(C, C).double()
    with torch.no_grad():
        torchs.weight_ih.copy_(module.input.weight[:, :, 0, 0])
        torchs.weight_hh.copy_(module.state.weight[:, :, 0, 0])
        torchs.bias_ih.copy_(module.input.bias)
        torchs.bias_hh.copy_(torch.cat([torch.zeros(2 * C), module.shift]))
    inputs = [randn(2, C, seed=t) for t in range(5)]
    h = torch.zeros(2, C, dtype=torch.float64)
    for x, found in zip(inputs, rolled(cell, module, [x[:, :, None, None] for x in inputs]), strict=True):
        h = torchs(x, h)
        torch.testing.assert_close(found[:, :, 0, 0], h, rtol=1e-12, atol=1e-13)


def test_an_lstm_on_one_place_is_torchs() -> None:
    cell = cell_of("conv_lstm", 1, (C, 1, 1))
    module, torchs = module_of(cell), nn.LSTMCell(C, C).double()
    with torch.no_grad():
        torchs.weight_ih.copy_(module.gates.weight[:, :C, 0, 0])
        torchs.weight_hh.copy_(module.gates.weight[:, C:, 0, 0])
        torchs.bias_ih.copy_(module.gates.bias)
        torchs.bias_hh.zero_()
    inputs = [randn(2, C, seed=t) for t in range(5)]
    h, c = torch.zeros(2, 2, C, dtype=torch.float64)
    for x, found in zip(inputs, rolled(cell, module, [x[:, :, None, None] for x in inputs]), strict=True):
        h, c = torchs(x, (h, c))
        torch.testing.assert_close(found[:, :, 0, 0], h, rtol=1e-12, atol=1e-13)


# ---- against loops written from the papers' equations


def star(weight: Tensor, x: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding="same")


def gru_loop(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    (W_r, W_z, W_n), (U_r, U_z, U_n) = p["input.weight"].chunk(3), p["state.weight"].chunk(3)
    b_r, b_z, b_n = p["input.bias"].view(-1, 1, 1).chunk(3)
    c_n = p["shift"].view(-1, 1, 1)
    h, visible = torch.zeros_like(inputs[0]), []
    for x in inputs:
        r = torch.sigmoid(star(W_r, x) + star(U_r, h) + b_r)
        z = torch.sigmoid(star(W_z, x) + star(U_z, h) + b_z)
        n = torch.tanh(star(W_n, x) + b_n + r * (star(U_n, h) + c_n))
        h = n + z * (h - n)
        visible.append(h)
    return visible


def joint(p: Mapping[str, Tensor], count: int) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """Functions (x, h) → W ∗ [x, h] + b of a layer that holds `count` of them."""

    def affine(weight: Tensor, bias: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, h: F.conv2d(torch.cat([x, h], 1), weight, bias, padding="same")

    return [affine(*pair) for pair in zip(p["gates.weight"].chunk(count), p["gates.bias"].chunk(count), strict=True)]


def lstm_loop(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    i, f, g, o = joint(p, 4)
    h, c, visible = torch.zeros_like(inputs[0]), torch.zeros_like(inputs[0]), []
    for x in inputs:
        c_new = torch.sigmoid(f(x, h)) * c + torch.sigmoid(i(x, h)) * torch.tanh(g(x, h))
        h, c = torch.sigmoid(o(x, h)) * torch.tanh(c_new), c_new
        visible.append(h)
    return visible


def ugrnn_loop(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    gate, candidate = joint(p, 2)
    h, visible = torch.zeros_like(inputs[0]), []
    for x in inputs:
        g, c = torch.sigmoid(gate(x, h) + 1), torch.tanh(candidate(x, h))
        h = g * h + (1 - g) * c
        visible.append(h)
    return visible


def intersection_loop(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    y_gate, y_candidate, m_gate, m_candidate = joint(p, 4)
    m, visible = torch.zeros_like(inputs[0]), []
    for x in inputs:
        g_y, g_m = torch.sigmoid(y_gate(x, m) + 1), torch.sigmoid(m_gate(x, m) + 1)
        y_in, m_in = F.relu(y_candidate(x, m)), torch.tanh(m_candidate(x, m))
        visible.append(g_y * x + (1 - g_y) * y_in)
        m = g_m * m + (1 - g_m) * m_in
    return visible


def reciprocal_loop(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    (W_hh, W_hc), (W_ch, W_cc) = p["from_h.weight"].chunk(2), p["from_c.weight"].chunk(2)
    h, c, visible = torch.zeros_like(inputs[0]), torch.zeros_like(inputs[0]), []
    for x in inputs:
        a_h = (1 - torch.sigmoid(star(W_ch, c))) * x + (1 - torch.sigmoid(star(W_hh, h))) * h
        a_c = (1 - torch.sigmoid(star(W_hc, h))) * x + (1 - torch.sigmoid(star(W_cc, c))) * c
        h, c = torch.tanh(a_h), torch.tanh(a_c)
        visible.append(h)
    return visible


def leaky_sum(p: Mapping[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """h_t = Σ_s a^(t − s) x_s with a = 0.5."""
    return [sum(0.5 ** (t - s) * inputs[s] for s in range(t + 1)) for t in range(len(inputs))]


@pytest.mark.parametrize(
    ("word", "loop"),
    [
        ("conv_gru", gru_loop),
        ("conv_lstm", lstm_loop),
        ("ugrnn", ugrnn_loop),
        ("intersection", intersection_loop),
        ("reciprocal_gated", reciprocal_loop),
        ("leaky", leaky_sum),
    ],
)
def test_several_steps_equal_the_papers_equations(
    word: str, loop: Callable[[Mapping[str, Tensor], list[Tensor]], list[Tensor]]
) -> None:
    cell = cell_of(word)
    module = module_of(cell)
    state = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
    inputs = [randn(2, *SHAPE, seed=t) for t in range(4)]
    ours, theirs = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
    found, expected = rolled(cell, module, ours), loop(state, theirs)
    leaves = ([*ours, *module.parameters()], [*theirs, *state.values()])
    assert_same(dict(zip("abcd", found, strict=True)), dict(zip("abcd", expected, strict=True)), leaves)


# ---- leaky


def test_a_time_constant_is_an_euler_step() -> None:
    """r' = ReLU(r + dt/τ (u − r))."""
    cell = cell_of("leaky", {"tau_ms": 40.0, "activation": "relu"})
    inputs = [randn(2, *SHAPE, seed=t) for t in range(5)]
    r = torch.zeros_like(inputs[0])
    for u, found in zip(inputs, rolled(cell, module_of(cell), inputs), strict=True):
        r = F.relu(r + 10 / 40 * (u - r))
        torch.testing.assert_close(found, r)


@pytest.mark.parametrize(("options", "limit"), [({"tau_ms": 20.0}, 1), ({"decay": 0.5}, 2)])
def test_where_a_constant_input_leads(options: dict[str, Any], limit: float) -> None:
    cell, x = cell_of("leaky", options), randn(2, *SHAPE)
    torch.testing.assert_close(rolled(cell, module_of(cell), [x] * 60)[-1], limit * x)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (None, "Leaky(0.5)"),
        (0.9, "Leaky(0.9)"),
        (1, "Leaky(1.0)"),
        ({"tau_ms": 20.0}, "Leaky(0.5, rest=True)"),
        ({"tau_ms": 20.0, "dt_ms": 5.0, "input": "full"}, "Leaky(0.75)"),
        (
            {"decay": 0.9, "learned": True, "activation": "relu", "input": "rest"},
            "Leaky(0.9, rest=True, channels=3, activation=nn.ReLU())",
        ),
    ],
)
def test_the_constructor_of_a_leaky_cell(options: Any, text: str) -> None:
    assert cell_of("leaky", options).constructor() == text


def test_a_learned_decay_starts_at_the_declared_one() -> None:
    for options, start in (({"decay": 0.9}, 0.9), ({"tau_ms": 40.0}, 0.75), ({}, 0.5)):
        cell = cell_of("leaky", {**options, "learned": True})
        module = eval(cell.constructor(), modules())
        torch.testing.assert_close(torch.sigmoid(module.alpha), torch.full((C,), start))


ACTIVATIONS = (
    f"Choose one of {', '.join(activations())}. To use your own, import the file that registers it: --import FILE."
)


@pytest.mark.parametrize(
    ("options", "dt_ms", "found", "repair"),
    [
        ({"tau_ms": 20.0}, None, "`tau_ms` needs the duration of a step", "Give `dt_ms` under `time`."),
        (
            {"tau_ms": 5.0},
            10.0,
            "`tau_ms` is 5, shorter than a step of 10 ms: the old state would turn negative",
            "Give `tau_ms` at least 10, or make `dt_ms` smaller.",
        ),
        (
            {"decay": 0.5, "tau_ms": 20.0},
            10.0,
            "`decay` and `tau_ms` both say how fast the state decays",
            "Leave one of them out.",
        ),
        (
            {"decay": 1.5},
            None,
            "`decay` is 1.5, but it must be from 0 to 1",
            "Give the part of the old state that stays.",
        ),
        (
            {"decay": -0.1, "learned": True},
            None,
            "`decay` is -0.1, but it must be from 0 to 1",
            "Give the part of the old state that stays.",
        ),
        (
            {"decay": 1.0, "learned": True},
            None,
            "a learned decay cannot start at 1, which σ never reaches",
            "Start between 0 and 1.",
        ),
        (
            {"decay": 0.0, "learned": True},
            None,
            "a learned decay cannot start at 0, which σ never reaches",
            "Start between 0 and 1.",
        ),
        (
            {"tau_ms": 10.0, "learned": True},
            10.0,
            "a learned decay cannot start at 0, which σ never reaches",
            "Give a longer `tau_ms`.",
        ),
        ({"activation": "rellu"}, None, "no activation is called `rellu`", "Did you mean `relu`?"),
        ({"activation": "step"}, None, "no activation is called `step`", ACTIVATIONS),
        ({"activation": "clamp"}, None, "no activation is called `clamp`", ACTIVATIONS),
    ],
)
def test_problems_of_a_leaky_cell(options: Any, dt_ms: float | None, found: str, repair: str) -> None:
    assert problem_of("leaky", options, dt_ms) == (found, repair)


# ---- gated


@pytest.mark.parametrize(
    ("word", "options", "text", "summary"),
    [
        ("conv_gru", None, "ConvGRU(3, 3)", "ConvGRU"),
        ("conv_gru", [3, 5], "ConvGRU(3, (3, 5))", "3 × 5 ConvGRU"),
        ("conv_lstm", None, "ConvLSTM(3, 3)", "ConvLSTM"),
        ("conv_lstm", {"forget_bias": 0.5}, "ConvLSTM(3, 3, forget_bias=0.5)", "ConvLSTM"),
        ("ugrnn", 5, "UGRNN(3, 5)", "5 × 5 UGRNN"),
        ("intersection", {"forget_bias": 0}, "IntersectionRNN(3, 3, forget_bias=0.0)", "IntersectionRNN"),
        ("reciprocal_gated", None, "ReciprocalGated(3, 3)", "reciprocal gated"),
        (
            "reciprocal_gated",
            {"bias": True, "activation": "elu"},
            "ReciprocalGated(3, 3, bias=True, activation=nn.ELU())",
            "reciprocal gated",
        ),
        ("leaky", {"tau_ms": 20.0, "learned": True}, "Leaky(0.5, rest=True, channels=3)", "leaky, τ = 20 ms, learned"),
        ("leaky", None, "Leaky(0.5)", "leaky 0.5"),
    ],
)
def test_constructors_and_summaries(word: str, options: Any, text: str, summary: str) -> None:
    cell = cell_of(word, options)
    assert (cell.constructor(), cell.summary()) == (text, summary)


@pytest.mark.parametrize(
    ("word", "convolutions"),
    [("leaky", 0), ("conv_gru", 6), ("conv_lstm", 8), ("ugrnn", 4), ("intersection", 8), ("reciprocal_gated", 4)],
)
def test_macs_count_each_weight_at_each_place(word: str, convolutions: int) -> None:
    assert cell_of(word).macs() == convolutions * C * C * 9 * H * W
    if convolutions:
        assert cell_of(word, [1, 5]).macs() == convolutions * C * C * 5 * H * W


@pytest.mark.parametrize("bias", [1.0, 0.0, -2.5])
def test_the_forget_gate_of_an_lstm_starts_at_its_bias(bias: float) -> None:
    module = eval(cell_of("conv_lstm", {"forget_bias": bias}).constructor(), modules())
    _, forget, _, _ = module.gates.bias.chunk(4)
    assert forget.tolist() == [bias] * C
    assert module.gates.bias.requires_grad


@pytest.mark.parametrize("word", ["ugrnn", "intersection"])
def test_a_large_forget_bias_keeps_the_state(word: str) -> None:
    cell = cell_of(word, {"forget_bias": 50.0})
    x, old = randn(2, *SHAPE), randn(2, *SHAPE, seed=2)
    kept = named(cell, module_of(cell)(x, old))
    torch.testing.assert_close(kept[cell.reads[-1]], old)
    if word == "intersection":
        torch.testing.assert_close(kept["h"], x)


@pytest.mark.parametrize("word", ["conv_gru", "conv_lstm", "ugrnn", "intersection", "reciprocal_gated"])
@pytest.mark.parametrize(("kernel", "text"), [(2, "2 × 2"), ([3, 4], "3 × 4")])
def test_an_even_kernel_is_a_problem(word: str, kernel: Any, text: str) -> None:
    found = f"a {text} kernel has no centre, so the new state would be smaller than the old"
    assert problem_of(word, {"kernel": kernel}) == (found, "Give `kernel` odd numbers, such as 3.")


def test_an_unknown_activation_of_a_reciprocal_gated_cell_is_a_problem() -> None:
    found = "no activation is called `tahn`", "Did you mean `tanh`?"
    assert problem_of("reciprocal_gated", {"activation": "tahn"}) == found


@pytest.mark.parametrize(
    ("word", "options", "message"),
    [
        ("leaky", "slow", "decay\n.*valid number"),
        ("leaky", {"tau_ms": 0.0}, "tau_ms\n.*greater than 0"),
        ("leaky", {"learned": "yes"}, "learned\n.*valid boolean"),
        ("leaky", {"input": "half"}, "input\n.*'full' or 'rest'"),
        ("leaky", {"taus": 2.0}, "taus\n.*not permitted"),
        ("conv_gru", 0, "kernel\n.*greater than or equal to 1"),
        ("conv_lstm", {"forget_bias": float("nan")}, "forget_bias\n.*finite number"),
        ("reciprocal_gated", {"bias": 1}, "bias\n.*valid boolean"),
    ],
)
def test_options_of_the_wrong_type_are_refused(word: str, options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CELLS[word].read(options, Context(C))
