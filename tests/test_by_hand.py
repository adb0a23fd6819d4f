"""Words of the language in whole networks, each equal to a network written by hand in plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.compiler import check, compile_spec, interpret, unroll
from cortexgraph.errors import CortexGraphError, SpecError
from cortexgraph.exporting import export_network
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.reached import read_steps
from cortexgraph.unrolling.cost import macs_of
from tests.models.parity import ByHand, States, Weights, compare_by_hand


def network(connections: list[Any], steps: int = 3, **changes: Any) -> NetworkSpec:
    """Two areas, A and B, of four channels."""
    spec: dict[str, Any] = {
        "name": "by hand",
        "input": {"channels": 2, "size": 8},
        "areas": {"A": {"channels": 4, "size": 8}, "B": {"channels": 4, "size": 4}},
        "connections": connections,
        "readout": {"from": "B", "classes": 3, "at": "all"},
        "time": {"steps": steps},
    }
    for key, value in changes.items():
        spec[key] = spec.get(key, {}) | value if isinstance(value, dict) else value
    return NetworkSpec.model_validate(spec)


def equals(spec: NetworkSpec, by_hand: ByHand) -> None:
    """In training and in evaluation, compiled and interpreted."""
    for training in (True, False):
        assert compare_by_hand(spec, by_hand, training=training, interpreted=True).worst < 1e-9


# ---- gates, functions and products ---------------------------------------------------

FACTORS = {"product": lambda m: m, "logistic": torch.sigmoid, "complement": lambda m: 1 - torch.sigmoid(m)}


@pytest.mark.parametrize("gate", FACTORS)
def test_a_plain_gate_multiplies_the_sum_of_the_drives(gate: str) -> None:
    back = {"from": "B", "to": "A", "kernel": 1, "role": "modulate", "gate": gate}
    spec = network(["image -> A -> B", "A -> A", back])

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        logits = []
        for t in range(1, 4):
            u = w.conv("image_to_A.conv", x)
            if t > 1:
                u = u + w.conv("A_to_A.conv", states["A", t - 1])
            if t > 2:
                m = F.interpolate(w.conv("B_to_A.conv", states["B", t - 1]), size=(8, 8), mode="nearest")
                u = u * FACTORS[gate](m)
            states["A", t] = F.relu(u)
            if t > 1:
                states["B", t] = F.relu(w.conv("A_to_B.conv", states["A", t - 1], stride=2))
                logits.append(w.classify(states["B", t].mean((2, 3))))
        return torch.stack(logits, 1), states

    equals(spec, by_hand)


def test_products_powers_and_clamps_in_transforms_bodies_and_cells() -> None:
    products = [{"product": {"body": [{"conv": 3}], "by": [{"conv": 1}, "sigmoid"]}}, {"conv": {"stride": 2}}]
    excited = {"product": {"body": ["relu"], "by": [{"pool": 1}, {"conv": 1}, "sigmoid"]}}
    areas = {
        "A": {"channels": 4, "size": 8, "activation": "square", "cell": {"leaky": {"activation": "complement"}}},
        "B": {"channels": 4, "size": 4, "body": [excited, {"power": {"exponent": 0.5, "eps": 0.1}}, {"clamp": 1.5}]},
    }
    spec = network([{"from": "image", "to": "A"}, {"from": "A", "to": "B", "transform": products}], areas=areas)

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        logits = []
        for t in range(1, 4):
            u = w.conv("image_to_A.conv", x).square()
            states["A", t] = 1 - (u if t == 1 else u + 0.5 * states["A", t - 1])
            if t > 1:
                a, name = states["A", t - 1], "A_to_B.product"
                gated = w.conv(f"{name}.body.conv", a) * torch.sigmoid(w.conv(f"{name}.by.conv", a))
                u = w.conv("A_to_B.conv", gated, stride=2)
                u = F.relu(u) * torch.sigmoid(w.conv("B.product.by.conv", u.mean((2, 3), keepdim=True)))
                states["B", t] = (F.relu(u) + 0.1).sqrt().clamp(max=1.5)
                logits.append(w.classify(states["B", t].mean((2, 3))))
        return torch.stack(logits, 1), states

    equals(spec, by_hand)


# ---- noise ----------------------------------------------------------------------------


def test_noise_of_a_seed_is_the_same_in_every_call_and_another_at_every_update() -> None:
    """As written by hand: also in a loop over steps, and in evaluation only where that is asked for."""
    seeded = {"noise": {"std": 0.5, "seed": 7, "evaluation": True}}
    for body, steps in (([seeded], 3), ([{"residual": {"body": [seeded], "shortcut": []}}], 12)):
        areas = {"A": {"channels": 2, "size": 8, "body": body}, "B": {"channels": 4, "size": 4}}
        spec = network([{"from": "image", "to": "A", "transform": []}, "A -> B"], steps=steps, areas=areas)
        module, x = compile_spec(spec, record={"A": "all"}), torch.randn(2, 2, 8, 8)
        torch.manual_seed(0)
        (_, states), (_, again) = module(x), module.eval()(x)
        drawn = {t: torch.Generator().manual_seed(1_000_003 * 7 + t) for t in range(1, steps + 1)}
        noise = {t: torch.randn(x.shape, generator=generator) for t, generator in drawn.items()}
        for t in range(1, steps + 1):
            expected = x + 0.5 * noise[t] + (x if steps == 12 else 0)
            torch.testing.assert_close(states["A", t], expected)
            assert torch.equal(states["A", t], again["A", t])
    without = {"noise": {"std": 0.5, "seed": 7}}
    silent = compile_spec(network([{"from": "image", "to": "A", "transform": [{"conv": 3}, without]}, "A -> B"])).eval()
    assert torch.equal(silent(x), silent(x))
    assert not torch.equal(silent(x), silent.train()(x))


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("steps", [3, 12])
def test_dropout_of_one_mask_for_all_steps(steps: int, channels: bool) -> None:
    """At every step of a call the same places are 0, and the others twice as large; another call draws others."""
    body = [{"dropout": {"p": 0.5, "over_time": "shared", "channels": channels}}]
    areas = {"A": {"channels": 6, "size": 8, "body": body}, "B": {"channels": 4, "size": 4}}
    spec = network([{"from": "image", "to": "A", "kernel": 1, "bias": False}, "A -> B"], steps=steps, areas=areas)
    module, x = compile_spec(spec, record={"A": "all"}), torch.rand(2, 2, 8, 8)
    kernel = module.state_dict()["image_to_A.conv.weight"]
    assert set(module.state_dict()) == {"image_to_A.conv.weight", "A_to_B.conv.weight", "A_to_B.conv.bias"} | {
        f"readout.linear.{part}" for part in ("weight", "bias")
    }
    factors = []
    for _ in range(2):
        _, states = module(x)
        factor = states["A", 1] / F.conv2d(x, kernel)
        factors.append(factor.round(decimals=3))
        assert all(torch.equal(states["A", t], states["A", 1]) for t in range(1, steps + 1))
    assert {*factors[0].unique().tolist()} == {0.0, 2.0}
    assert not torch.equal(*factors)
    if channels:
        assert torch.equal(factors[0], factors[0][:, :, :1, :1].expand_as(factors[0]))
    _, states = interpret(spec, module.state_dict(), x, training=True)
    assert all(torch.equal(states["A", t], states["A", 1]) for t in range(1, steps + 1))
    torch.testing.assert_close(module.eval()(x)[1]["A", steps], F.conv2d(x, kernel))


def test_segments_that_are_recomputed_have_the_masks_of_their_own_call() -> None:
    body = [{"dropout": {"p": 0.5, "over_time": "shared"}}, "tanh"]
    areas = {"A": {"channels": 4, "size": 8, "body": body}, "B": {"channels": 4, "size": 4, "norm": "batch"}}
    spec = network(["image -> A -> B", "A -> A"], steps=12, areas=areas, readout={"at": "last"})
    plain, segmented = compile_spec(spec), compile_spec(spec, checkpoint=3)
    segmented.load_state_dict(plain.state_dict())
    found = []
    for module in (plain, segmented):
        torch.manual_seed(0)
        images = [torch.rand(2, 2, 8, 8) for _ in range(2)]
        sum(module(x).square().sum() for x in images).backward()
        found.append({name: p.grad for name, p in module.named_parameters()})
    torch.testing.assert_close(found[0], found[1])


# ---- merging ------------------------------------------------------------------------


def test_areas_concatenate_by_default_unless_they_sum() -> None:
    areas = {"A": {"channels": 4, "size": 8, "merge": "sum"}, "B": {"channels": 4, "size": 4}}
    connections = ["image -> A", {"from": "A", "to": "B", "kernel": 1}, "B -> B"]
    spec = network(connections, defaults={"area": {"merge": "concat"}}, areas=areas)

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        logits = []
        for t in range(1, 4):
            states["A", t] = F.relu(w.conv("image_to_A.conv", x))
            if t > 1:
                below = w.conv("A_to_B.conv", states["A", t - 1], stride=2)
                before = torch.zeros_like(below) if t == 2 else states["B", t - 1]
                states["B", t] = F.relu(w.conv("B.conv", torch.cat([below, before], 1)))
                logits.append(w.classify(states["B", t].mean((2, 3))))
        return torch.stack(logits, 1), states

    equals(spec, by_hand)


# ---- operations after a cell ---------------------------------------------------------


def test_others_read_the_output_of_an_area_and_its_cell_goes_on_from_the_state_before() -> None:
    areas = {
        "A": {"channels": 4, "size": 8, "body": [], "cell": {"leaky": 0.5}, "output": [{"conv": 3}, "tanh"]},
        "B": {"channels": 4, "size": 4, "cell": {"intersection": 1}, "output": [{"norm": "layer"}]},
    }
    spec = network(["image -> A -> B", {"from": "B", "to": "A", "kernel": 1}], areas=areas)

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        logits, a, m = [], torch.zeros(()), torch.zeros(2, 4, 4, 4, dtype=x.dtype)
        for t in range(1, 4):
            u = w.conv("image_to_A.conv", x)
            if t == 3:
                u = u + F.interpolate(w.conv("B_to_A.conv", states["B", 2]), size=(8, 8), mode="nearest")
            a = 0.5 * a + u
            states["A", t] = torch.tanh(w.conv("A.cell.output.conv", a))
            if t > 1:
                u = F.relu(w.conv("A_to_B.conv", states["A", t - 1], stride=2))
                g_y, y, g_m, n = w.conv("B.cell.cell.gates", torch.cat([u, m], 1)).chunk(4, 1)
                g_y, g_m = torch.sigmoid(g_y + 1), torch.sigmoid(g_m + 1)
                y, m = g_y * u + (1 - g_y) * F.relu(y), g_m * m + (1 - g_m) * torch.tanh(n)
                states["B", t] = w.group_norm("B.cell.output.norm", y, 1)
                logits.append(w.classify(states["B", t].mean((2, 3))))
        return torch.stack(logits, 1), states

    equals(spec, by_hand)


def test_the_output_after_a_cell_with_memory_is_shared_over_steps_as_the_cell_is() -> None:
    area = {"channels": 4, "size": 8, "cell": "ugrnn", "body": ["conv"], "output": [{"conv": 1}], "weights": "per_step"}
    module = compile_spec(network(["image -> A -> B"], areas={"A": area, "B": {"channels": 4, "size": 4}}))
    assert {name for name in module.state_dict() if name.startswith("A.")} == {
        *(f"A.conv.{n}.{part}" for n in range(3) for part in ("weight", "bias")),
        *(f"A.cell.{name}.{part}" for name in ("cell.gates", "output.conv") for part in ("weight", "bias")),
    }


def test_the_output_of_an_area_without_memory_belongs_to_its_body() -> None:
    areas = {"A": {"channels": 4, "size": 8, "output": [{"norm": "batch"}, "tanh"]}, "B": {"channels": 4, "size": 4}}
    spec = network(["image -> A -> B"], steps=2, areas=areas)

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        a = torch.tanh(w.batch_norm("A.norm", F.relu(w.conv("image_to_A.conv", x))))
        b = F.relu(w.conv("A_to_B.conv", a, stride=2))
        return w.classify(b.mean((2, 3)))[:, None], {("A", 1): a, ("A", 2): a, ("B", 2): b}

    equals(spec, by_hand)


# ---- readouts ------------------------------------------------------------------------


@pytest.mark.parametrize("over_time", ["each", "mean", "cumulative"])
def test_a_readout_without_a_linear_layer_over_time(over_time: str) -> None:
    readout = {"from": "B", "classes": 4, "at": "all", "transform": [{"pool": 1}], "over_time": over_time}
    spec = network(["image -> A -> B", "B -> B"], steps=4, readout=[readout])

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        a = F.relu(w.conv("image_to_A.conv", x))
        states: States = {("A", t): a for t in range(1, 5)}
        read: list[Tensor] = []
        for t in range(2, 5):
            u = w.conv("A_to_B.conv", a, stride=2)
            states["B", t] = F.relu(u if t == 2 else u + w.conv("B_to_B.conv", states["B", t - 1]))
            read.append(states["B", t].mean((2, 3)))
        if over_time == "cumulative":
            read = [read[0], read[0] + read[1], read[0] + read[1] + read[2]]
        if over_time == "mean":
            read = [read[0], (read[0] + read[1]) / 2, (read[0] + read[1] + read[2]) / 3]
        return torch.stack(read, 1), states

    equals(spec, by_hand)


def test_a_readout_with_layers_of_its_own() -> None:
    layers = [{"conv": {"kernel": 1, "channels": 5}}, "relu", {"linear": 3}]
    readout = {"from": "B", "classes": 3, "at": [2, 3], "transform": layers, "over_time": "cumulative"}
    spec = network(["image -> A -> B", "A -> A"], readout=[readout])

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        read: list[Tensor] = []
        for t in range(1, 4):
            u = w.conv("image_to_A.conv", x)
            states["A", t] = F.relu(u if t == 1 else u + w.conv("A_to_A.conv", states["A", t - 1]))
            if t > 1:
                states["B", t] = F.relu(w.conv("A_to_B.conv", states["A", t - 1], stride=2))
                read.append(w.linear("readout.linear", F.relu(w.conv("readout.conv", states["B", t]))).flatten(1))
        return torch.stack([read[0], read[0] + read[1]], 1), states

    equals(spec, by_hand)


@pytest.mark.parametrize(("pool", "steps"), [("avg", 4), ("flatten", 4), ("transform", 4), ("avg", 12)])
def test_a_readout_of_the_states_of_several_steps_together(pool: str, steps: int) -> None:
    """Also out of a loop over steps: the features of all its steps stand one after another."""
    how = {"transform": ["relu", {"pool": 1}, {"linear": 3}]} if pool == "transform" else {"pool": pool}
    at = [2, 4] if steps == 4 else [2, 8, 9, 10, 11, 12]
    readout = {"from": "B", "classes": 3, "at": at, "over_time": "concat"} | how
    spec = network(["image -> A -> B", "B -> B"], steps=steps, readout=[readout])

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        a = F.relu(w.conv("image_to_A.conv", x))
        states: States = {("A", t): a for t in range(1, steps + 1)}
        for t in range(2, steps + 1):
            u = w.conv("A_to_B.conv", a, stride=2)
            states["B", t] = F.relu(u if t == 2 else u + w.conv("B_to_B.conv", states["B", t - 1]))
        read = [states["B", t].flatten(1) if pool == "flatten" else states["B", t].mean((2, 3)) for t in at]
        return w.classify(torch.cat(read, 1)), states

    equals(spec, by_hand)
    unrolled = unroll(spec)
    features = len(at) * 4 * (16 if pool == "flatten" else 1)
    assert sum(macs_of(unrolled, node) for node in unrolled.readouts) == 3 * features
    assert read_steps(unrolled) == (steps,)


def test_the_steps_of_a_readout_of_states_together_are_listed() -> None:
    for at, found in (
        ("all", "the number of steps of `at: all` depends on T"),
        ([3, 2], "the steps of `at` do not rise"),
    ):
        with pytest.raises(SpecError, match=found):
            network(["image -> A -> B"], readout={"at": at, "over_time": "concat"})


def test_combined_logits_are_not_read_at_other_steps() -> None:
    readout = {"from": "B", "classes": 3, "at": "all", "over_time": "mean"}
    spec = network(["image -> A -> B"], readout=readout)
    assert spec.read_at("all") == spec
    with pytest.raises(SpecError, match="Write `over_time: each`") as caught:
        spec.read_at("last")
    assert [finding.code for finding in caught.value.diagnostics] == ["combined-readout"]


def test_what_a_readout_cannot_have() -> None:
    for transform, found in (
        ([{"norm": "batch"}, {"linear": 3}], "a readout cannot have a batch norm"),
        ([{"pool": 1}], "the transform (pool to 1 × 1) gives 4 × 1 × 1"),
        ([], "the transform (nothing) gives 4 × 4 × 4"),
    ):
        spec = network(["image -> A -> B"], readout={"transform": transform})
        (finding,) = check(spec)
        assert (finding.code, finding.place, finding.found) == ("bad-readout", "readout.transform", found)
        assert finding.repair


# ---- exported ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_networks_of_these_words_are_exported(suffix: str, tmp_path: Path) -> None:
    areas = {
        "A": {
            "channels": 4,
            "size": 8,
            "norm": {"kind": "batch", "eps": 0.01, "momentum": 0.2},
            "cell": {"leaky": {"activation": "square"}},
            "output": [{"power": {"exponent": 0.5, "eps": 0.1}}, {"clamp": {"min": 0.2, "max": 1.5}}],
        },
        "B": {"channels": 4, "size": 4, "body": [{"product": {"body": ["relu"], "by": [{"pool": 1}, "complement"]}}]},
    }
    padded = [{"pad": {"rim": 1, "mode": "reflect"}}, {"conv": {"kernel": 3, "padding": 0}}, {"noise": 0.1}]
    pooled = [
        {"pad": {"rim": [0, 1], "mode": "replicate"}},
        {"max_pool": {"kernel": 3, "stride": 2, "ceil_mode": True}},
    ]
    connections = [
        {"from": "image", "to": "A", "transform": padded},
        {"from": "A", "to": "B", "transform": [*pooled, {"conv": 1}], "resize": {"mode": "antialiased", "at": "after"}},
        {"from": "B", "to": "A", "role": "modulate", "gate": "complement", "resize": "antialiased"},
    ]
    readout = {"from": "B", "classes": 4, "at": "all", "transform": [{"pool": 1}], "over_time": "mean"}
    spec = network(connections, steps=4, areas=areas, readout=[readout])
    assert check(spec) == []
    exported = export_network(compile_spec(spec), tmp_path / f"network.{suffix}")
    assert exported.difference < 1e-5


def test_noise_in_evaluation_is_not_exported(tmp_path: Path) -> None:
    noise = [{"conv": 3}, {"noise": {"std": 0.1, "evaluation": True}}]
    network_with_noise = compile_spec(network([{"from": "image", "to": "A", "transform": noise}, "A -> B"]))
    with pytest.raises(CortexGraphError, match="Remove `evaluation: true` from the noise"):
        export_network(network_with_noise, tmp_path / "network.pt2")
    assert not [*tmp_path.iterdir()]
