"""The published models in `specs/` equal their equations (../shared/PEERS.md says where these were read)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.pipeline import check, unroll
from cortexgraph.spec import load
from tests.models.parity import ByHand, States, Weights, compare_by_hand

HIERARCHY = ("V1", "V2", "V4", "IT")
SPECS = Path(__file__).parents[2] / "specs"


# ---- CORnet-RT (Kubilius et al. 2018) ------------------------------------------


def cornet_rt(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r(t) = ReLU(GN(conv(a + r(t − 1)))), a = ReLU(GN(conv_in x)); a and r are 0 before any signal."""
    channels, size = (32, 64, 128, 256), (16, 8, 4, 2)
    r: dict[str, Tensor] = {}
    states: States = {}
    for t in range(1, 6):
        new = {}
        for k, area in enumerate(HIERARCHY):
            below = x if k == 0 else r.get(HIERARCHY[k - 1])
            if below is None:
                a = x.new_zeros(len(x), channels[k], size[k], size[k])
            else:
                name = f"image_to_{area}" if k == 0 else f"{HIERARCHY[k - 1]}_to_{area}"
                a = F.relu(w.group_norm(f"{name}.norm", w.conv(f"{name}.conv", below, stride=2), 32))
            total = a + r[area] if area in r else a
            new[area] = F.relu(w.group_norm(f"{area}.norm", w.conv(f"{area}.conv", total), 32))
        r = new
        states |= {(area, t): r[area] for area in HIERARCHY}
    return w.classify(r["IT"].mean((2, 3))), states


def test_in_cornet_rt_the_image_reaches_it_at_the_fourth_step() -> None:
    graph = unroll(load("cornet_rt"))
    seen = graph.from_image()
    assert [node.step for node in graph.updates("IT") if node in seen] == [4, 5]
    assert graph.live_steps("IT") == (1, 2, 3, 4, 5)  # before, it gives ReLU of the norm's shift


# ---- CORnet-S (Kubilius et al. 2019) -------------------------------------------


def cornet_s_block(w: Weights, area: str, x: Tensor, times: int) -> list[Tensor]:
    """The states of one area over its iterations; `x` is its input, brought to its channels."""
    name, found = f"{area}_in_to_{area}.residual", []
    for n in range(times):
        y = F.relu(w.batch_norm(f"{name}.body.norm.{n}", w.conv(f"{name}.body.conv", x)))
        y = w.conv(f"{name}.body.conv_2", y, stride=2 if n == 0 else 1)
        y = F.relu(w.batch_norm(f"{name}.body.norm_2.{n}", y))
        y = w.batch_norm(f"{name}.body.norm_3.{n}", w.conv(f"{name}.body.conv_3", y))
        if n == 0:
            x = w.batch_norm(f"{name}.shortcut.norm", w.conv(f"{name}.shortcut.conv", x, stride=2))
        x = F.relu(y + x)
        found.append(x)
    return found


def cornet_s(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    y = F.relu(w.batch_norm("image_to_V1.norm", w.conv("image_to_V1.conv", x)))
    y = F.max_pool2d(y, 3, stride=2, padding=1)
    y = F.relu(w.batch_norm("image_to_V1.norm_2", w.conv("image_to_V1.conv_2", y)))
    states: States = {("V1", 1): y}
    before = "V1"
    for area, times in (("V2", 2), ("V4", 4), ("IT", 2)):
        states[f"{area} in", 1] = entered = w.conv(f"{before}_to_{area}_in.conv", y)
        y = states[area, 1] = cornet_s_block(w, area, entered, times)[-1]
        before = area
    return w.classify(y.mean((2, 3))), states


def test_cornet_s_iterates_two_four_and_two_times() -> None:
    graph = unroll(load("cornet_s"))
    assert {area: graph.ordinals[area] for area in HIERARCHY} == {"V1": 1, "V2": 2, "V4": 4, "IT": 2}


# ---- RCNN (Liang & Hu 2015) -----------------------------------------------------


def rcnn(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r(n) = ReLU(norm(w_f ⋆ u + w_r ⋆ r(n − 1))), n = 0 … 3, where r(0) has the feedforward term alone."""
    y = F.relu(w.batch_norm("C1.norm.0", w.conv("image_to_C1.conv", x)))
    states: States = {("C1", 1): y}
    for before, layer, pooled in (("C1", "R2", True), ("R2", "R3", False), ("R3", "R4", True), ("R4", "R5", False)):
        u = F.max_pool2d(y, 3, stride=2, padding=1) if pooled else y
        feedforward = w.conv(f"{before}_to_{layer}.conv", u)
        y = F.relu(w.batch_norm(f"{layer}.norm.0", feedforward))
        for n in range(1, 4):
            recurrent = w.conv(f"{layer}_to_{layer}.conv", y)
            y = F.relu(w.batch_norm(f"{layer}.norm.{n}", feedforward + recurrent))
        states[layer, 1] = y
    return w.classify(y.amax((2, 3))), states


# ---- BLT (Spoerer et al. 2017; in the form of Adeli et al. 2025) ------------------


def blt(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r_j(t) = ReLU(GN(Σ_i conv_ij r_i(t − 1) [+ stem for V1])); at first V1 has the stem alone."""
    stem = F.max_pool2d(w.conv("image_to_V1.conv", x), 2)
    r: dict[str, Tensor] = {}
    states: States = {}
    logits = []
    for t in range(1, 8):
        new = {}
        for k, area in enumerate(HIERARCHY):
            u = [stem] if k == 0 else []
            if k > 0 and HIERARCHY[k - 1] in r:
                u.append(w.conv(f"{HIERARCHY[k - 1]}_to_{area}.conv", r[HIERARCHY[k - 1]], stride=2))
            if area in r:
                u.append(w.conv(f"{area}_to_{area}.conv", r[area]))
            if k < 3 and HIERARCHY[k + 1] in r:
                u.append(w.up(f"{HIERARCHY[k + 1]}_to_{area}.conv", r[HIERARCHY[k + 1]]))
            if u:
                new[area] = F.relu(w.group_norm(f"{area}.norm", torch.stack(u).sum(0), 32))
        r |= new
        states |= {(area, t): r[area] for area in r}
        if "IT" in r:
            logits.append(w.classify(r["IT"].mean((2, 3))))
    return torch.stack(logits, 1), states


# ---- leaky areas with delays in ms (in the form of DynVision) ---------------------

DT_MS, TAU_MS = 5, 10
FORWARD_MS, LATERAL_MS, FEEDBACK_MS, SKIP_MS = 10, 5, 20, 15


def leaky_ms(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r(t) = ReLU(r(t − dt) + dt/τ (u − r(t − dt))), areas from low to high; delays count from source to target."""
    history: dict[str, list[Tensor | None]] = {area: [] for area in HIERARCHY}

    def past(area: str, t: int, delay_ms: int) -> Tensor | None:
        at = t - delay_ms // DT_MS
        return history[area][at - 1] if at >= 1 else None

    states: States = {}
    for t in range(1, 15):
        for k, area in enumerate(HIERARCHY):
            terms = [w.conv("image_to_V1.conv", x)] if k == 0 else []
            for source, delay in (
                *([(HIERARCHY[k - 1], FORWARD_MS)] if k else []),
                (area, LATERAL_MS),
                *([(HIERARCHY[k + 1], FEEDBACK_MS)] if k < 3 else []),
                *([("V1", SKIP_MS)] if area == "V4" else []),
            ):
                value = past(source, t, delay)
                if value is None:
                    continue
                ratio = 2 ** (k - HIERARCHY.index(source))
                y = w.conv(f"{source}_to_{area}.conv", value, stride=max(1, int(ratio)))
                terms.append(F.interpolate(y, scale_factor=2) if ratio < 1 else y)
            before = history[area][-1] if history[area] else None
            if not terms and before is None:
                history[area].append(None)
                continue
            u = torch.stack(terms).sum(0) if terms else torch.zeros_like(before)  # type: ignore[arg-type]
            r = torch.zeros_like(u) if before is None else before
            history[area].append(F.relu(r + DT_MS / TAU_MS * (u - r)))
            states[area, t] = history[area][-1]  # type: ignore[assignment]
    return w.classify(states["IT", 14].mean((2, 3))), states


MODELS: dict[str, ByHand] = {
    "cornet_rt": cornet_rt,
    "cornet_s": cornet_s,
    "rcnn": rcnn,
    "blt": blt,
    "leaky_ms": leaky_ms,
}


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", MODELS)
def test_the_spec_equals_the_equations(name: str, training: bool) -> None:
    difference = compare_by_hand(load(name), MODELS[name], training=training)
    assert difference.states > 0
    assert difference.worst < 1e-8


@pytest.mark.parametrize("name", MODELS)
def test_the_spec_is_short_sound_and_cited(name: str) -> None:
    assert len((SPECS / f"{name}.yaml").read_text().splitlines()) <= 60
    spec = load(name)
    assert check(spec) == []
    assert spec.references
    assert spec.description
