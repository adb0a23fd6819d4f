"""Liao & Poggio 2016: ResNets with shared and unshared weights, networks of two and three states."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional as F

from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]


def block(w: Weights, name: str, x: Tensor, n: int | None, conv: int | None = None) -> Tensor:
    """x + conv(ReLU(BN(conv(ReLU(BN(x)))))), with norms of step n and convolutions of step `conv` (None: shared)."""
    step, own = ("" if n is None else f".{n}"), ("" if conv is None else f".{conv}")
    y = w.conv(f"{name}.conv{own}", F.relu(w.batch_norm(f"{name}.norm{step}", x)))
    return x + w.conv(f"{name}.conv_2{own}", F.relu(w.batch_norm(f"{name}.norm_2{step}", y)))


def resnet(unshared: bool) -> ByHand:
    """Ten pre-activation blocks in a row: of one block's weights, or each with its own."""

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        h = stem = w.conv("image_to_stem.conv", x)
        states: States = {}
        for t in range(1, 11):
            h = block(w, "stem_to_H.residual.body", h, t - 1, t - 1 if unshared else None)
            top = F.relu(w.batch_norm("top.norm", h))
            states |= {("stem", t): stem, ("H", t): h, ("top", t): top}
        return w.classify(top.mean((2, 3))), states

    return run


def send(w: Weights, name: str, x: Tensor, n: int | None, ratio: float) -> Tensor:
    """conv(ReLU(BN(x))), down by its stride, or up by repetition."""
    step = "" if n is None else f".{n}"
    y = F.relu(w.batch_norm(f"{name}.norm{step}", x))
    y = w.conv(f"{name}.conv", y, stride=max(1, int(ratio)))
    return F.interpolate(y, scale_factor=1 / ratio) if ratio < 1 else y


SIZE = {"A": 32, "B": 16, "C": 8}


def several(states: str, links: str, per_step: bool = True) -> ByHand:
    """h_i(t) = h_i(t − 1) + K_i(h_i(t − 1)) + Σ_j K_ji(h_j(t − 1)); `links` such as "AB BA" are the K_ji."""
    incoming: Mapping[str, list[str]] = {i: [pair[0] for pair in links.split() if pair[1] == i] for i in states}

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        stem = w.conv("image_to_stem.conv", x)
        h: dict[str, Tensor] = {}
        updates = dict.fromkeys(states, 0)
        found: States = {}
        for t in range(1, 7):
            new: dict[str, Tensor] = {}
            for i in states:
                n = updates[i] if per_step else None
                terms = []
                if i == "A":
                    terms.append(block(w, "stem_to_A.residual.body", stem if t == 1 else h["A"], n))
                elif i in h:
                    terms.append(block(w, f"{i}_to_{i}.residual.body", h[i], n))
                terms += [send(w, f"{j}_to_{i}", h[j], n, SIZE[j] / SIZE[i]) for j in incoming[i] if j in h]
                if terms:
                    new[i] = sum(terms[1:], terms[0])
                    updates[i] += 1
            h |= new
            found |= {("stem", t): stem} | {(i, t): h[i] for i in h}
            if states[-1] in h:
                found["top", t] = F.relu(w.batch_norm("top.norm", h[states[-1]]))
        return w.classify(found["top", 6].mean((2, 3))), found

    return run


FULL = "AB BA BC CB AC CA"
MODELS: Mapping[str, Callable[[Weights, Tensor], tuple[Tensor, States]]] = {
    "liao_resnet_shared": resnet(unshared=False),
    "liao_resnet_unshared": resnet(unshared=True),
    "liao_2state_feedforward": several("AB", "AB"),
    "liao_2state_full": several("AB", "AB BA"),
    "liao_3state_feedforward": several("ABC", "AB BC"),
    "liao_3state_adjacent": several("ABC", "AB BA BC CB"),
    "liao_3state_full": several("ABC", FULL),
    "liao_3state_full_shared_norm": several("ABC", FULL, per_step=False),
}
