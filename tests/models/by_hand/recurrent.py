"""Recurrent networks of machine learning: RCNN, recursive, scene parsing, ConvLSTM, stacked, deep, slow, loopy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]


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


def response_norm(x: Tensor, n: int, alpha: float, beta: float, c: float = 1.0) -> Tensor:
    """x / (c + α/n Σ x²)^β over n neighbouring maps."""
    squares = F.pad(x.square(), (0, 0, 0, 0, n // 2, n // 2))
    energy = torch.stack([squares[:, k : k + x.shape[1]] for k in range(n)]).sum(0)
    return x / (c + alpha / n * energy) ** beta


def rcnn96(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """As above with LRN after ReLU, over 13 maps, and dropout after every layer but the first and the last."""
    y = F.relu(w.conv("image_to_C1.conv", x))
    states: States = {("C1", 1): y}
    for before, layer, pooled in (("C1", "R2", True), ("R2", "R3", False), ("R3", "R4", True), ("R4", "R5", False)):
        u = F.max_pool2d(y, 3, stride=2, padding=1) if pooled else y
        u = u if before == "C1" else F.dropout(u, 0.5, w.training)
        feedforward = w.conv(f"{before}_to_{layer}.conv", u)
        y = response_norm(F.relu(feedforward), 13, 0.001, 0.75)
        for _ in range(3):
            y = response_norm(F.relu(feedforward + w.conv(f"{layer}_to_{layer}.conv", y)), 13, 0.001, 0.75)
        states[layer, 1] = y
    return w.classify(y.amax((2, 3))), states


# ---- shared layers, re-entering input -------------------------------------------


def recursive_conv(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """Z(1) = maxpool(ReLU(V ⋆ x + b)), Z(n) = ReLU(W ⋆ Z(n − 1) + c) (Eigen et al. 2013)."""
    z = F.max_pool2d(F.relu(w.conv("image_to_Z.conv", x, stride=2, padding=3)), 2)
    states: States = {("Z", 1): z}
    for n in range(2, 6):
        z = states["Z", n] = F.relu(w.conv("Z_to_Z.conv", z))
    return w.classify(z.flatten(1)), states


def scene_parsing(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """Each instance gets the image beside the last label planes, at first zeros (Pinheiro & Collobert 2013)."""
    planes = x.new_zeros(len(x), 10, 8, 8)
    states: States = {}
    logits = []
    for p in (1, 2, 3):
        f = states["F", p] = torch.cat([x, planes.repeat_interleave(4, 2).repeat_interleave(4, 3)], 1)
        h = states["H1", p] = torch.tanh(F.max_pool2d(w.conv("F_to_H1.conv", f), 2))
        h = states["H2", p] = torch.tanh(F.max_pool2d(w.conv("H1_to_H2.conv", h), 2))
        planes = states["labels", p] = w.conv("H2_to_labels.conv", h)
        logits.append(w.classify(planes.mean((2, 3))))
    return torch.stack(logits, 1), states


def loopy(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """Three passes; the top of the last one is added to the first two layers (Caswell et al. 2016)."""
    states: States = {}
    for t in (1, 2, 3):
        y = w.conv("image_to_conv1.conv", x)
        for before, layer in ((None, "conv1"), ("conv1", "conv2"), ("conv2", "conv3")):
            if before is not None:
                y = w.conv(f"{before}_to_{layer}.conv", states[before, t], stride=2)
            if t > 1 and layer != "conv3":
                top = w.conv(f"conv3_to_{layer}.conv", states["conv3", t - 1])
                y = y + F.interpolate(top, y.shape[-1])
            states[layer, t] = F.relu(y)
    return w.classify(states["conv3", 3].mean((2, 3))), states


# ---- layers of recurrent units ---------------------------------------------------


def convlstm(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """Shi et al. 2015 with peepholes, one weight for each channel; two layers, the upper one at once."""
    states: States = {}
    h: dict[str, Tensor] = {}
    c: dict[str, Tensor] = {}
    for t in range(1, 9):
        below = x
        for before, layer in (("image", "L1"), ("L1", "L2")):
            u = w.conv(f"{before}_to_{layer}.conv", below, stride=2)
            old_h, old_c = h.get(layer, torch.zeros_like(u)), c.get(layer, torch.zeros_like(u))
            a = w.conv(f"{layer}.cell.gates", torch.cat([u, old_h], 1))
            i, f, g, o = (a[:, k * u.shape[1] : (k + 1) * u.shape[1]] for k in range(4))
            p_i, p_f, p_o = w.state[f"{layer}.cell.peepholes"].reshape(3, 1, -1, 1, 1)
            c[layer] = torch.sigmoid(f + p_f * old_c) * old_c + torch.sigmoid(i + p_i * old_c) * torch.tanh(g)
            h[layer] = states[layer, t] = torch.sigmoid(o + p_o * c[layer]) * torch.tanh(c[layer])
            below = h[layer]
    return w.classify(h["L2"].mean((2, 3))), states


def stacked_rnn(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """h_l(t) = tanh(W_l ⋆ h_l(t − 1) + U_l ⋆ h_{l−1}(t) + b)."""
    states: States = {}
    for t in range(1, 7):
        below, before = x, "image"
        for layer in ("L1", "L2", "L3"):
            u = w.conv(f"{before}_to_{layer}.conv", below, stride=1 if layer == "L1" else 2)
            if t > 1:
                u = u + w.conv(f"{layer}_to_{layer}.conv", states[layer, t - 1])
            below = states[layer, t] = torch.tanh(u)
            before = layer
    return w.classify(below.mean((2, 3))), states


def deep_transition_rnn(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """z = tanh(W ⋆ h(t − 1) + U ⋆ x), h(t) = tanh(V ⋆ z + S ⋆ h(t − 1))."""
    states: States = {}
    h = None
    for t in range(1, 7):
        u = w.conv("image_to_z.conv", x, stride=2)
        z = states["z", t] = torch.tanh(u if h is None else u + w.conv("h_to_z.conv", h))
        v = w.conv("z_to_h.conv", z)
        h = states["h", t] = torch.tanh(v if h is None else v + w.conv("h_to_h.conv", h))
    return w.classify(h.mean((2, 3))), states  # type: ignore[union-attr]


def hierarchical_rnn(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """h(t) = tanh(h(t − dt) + dt/τ (u − h(t − dt))), τ = 10, 20, 40, 80 ms, dt = 10 ms, every connection one step."""
    areas = ("V1", "V2", "V4", "IT")
    h: dict[str, Tensor] = {}
    states: States = {}
    for t in range(1, 9):
        new = {}
        for k, area in enumerate(areas):
            terms = [w.conv("image_to_V1.conv", x)] if k == 0 else []
            if k and areas[k - 1] in h:
                terms.append(w.conv(f"{areas[k - 1]}_to_{area}.conv", h[areas[k - 1]], stride=2))
            if area in h:
                terms.append(w.conv(f"{area}_to_{area}.conv", h[area]))
            if k < 3 and areas[k + 1] in h:
                terms.append(F.interpolate(w.conv(f"{areas[k + 1]}_to_{area}.conv", h[areas[k + 1]]), scale_factor=2))
            if terms:
                u, old = sum(terms[1:], terms[0]), h.get(area, torch.zeros_like(terms[0]))
                new[area] = torch.tanh(old + 10 / (10 * 2**k) * (u - old))
        h |= new
        states |= {(area, t): h[area] for area in h}
    return w.classify(h["IT"].mean((2, 3))), states


def clockwork_rnn(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """A module of period n is updated where n divides t − 1, from itself and slower ones; otherwise it holds."""
    modules = {"fast": 1, "middle": 2, "slow": 4}
    states: States = {}
    for t in range(1, 9):
        for name, period in modules.items():
            if (t - 1) % period:
                states[name, t] = states[name, t - 1]
                continue
            u = w.conv(f"image_to_{name}.conv", x, stride=2)
            for other, slower in modules.items():
                if slower >= period and t > 1:
                    u = u + w.conv(f"{other}_to_{name}.conv", states[other, t - 1])
            states[name, t] = F.relu(u)
    return w.classify(states["fast", 8].mean((2, 3))), states


MODELS: Mapping[str, ByHand] = {
    "rcnn": rcnn,
    "rcnn96": rcnn96,
    "recursive_conv": recursive_conv,
    "scene_parsing": scene_parsing,
    "loopy": loopy,
    "convlstm": convlstm,
    "stacked_rnn": stacked_rnn,
    "deep_transition_rnn": deep_transition_rnn,
    "hierarchical_rnn": hierarchical_rnn,
    "clockwork_rnn": clockwork_rnn,
}
