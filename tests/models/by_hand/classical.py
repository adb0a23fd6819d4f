"""Models of visual cortex before deep learning: neocognitron, HMAX, predictive coding."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, exp, pi, sin

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]


# ---- neocognitron (Fukushima 1980) ------------------------------------------------


def neocognitron(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """u_S = φ((1 + e) / (1 + v/2) − 1), u_C = ψ((1 + e) / (1 + v) − 1), ψ(x) = x₊ / (1/2 + x₊)."""
    states: States = {}
    c, before = x, "image"
    for stage in (1, 2, 3):
        e = w.conv(f"{before}_to_S{stage}.conv", c)
        v = (F.avg_pool2d(c.square().mean(1, keepdim=True), 5, stride=1, padding=2) + 1e-5).sqrt()
        s = states[f"S{stage}", 1] = F.relu((1 + e) / (1 + v / 2) - 1)
        e = F.avg_pool2d(s, 3, stride=2, padding=1)
        v = F.avg_pool2d(s.mean(1, keepdim=True) + 1e-5, 3, stride=2, padding=1)
        u = F.relu((1 + e) / (1 + v) - 1)
        c = states[f"C{stage}", 1] = u / (0.5 + u)
        before = f"C{stage}"
    return w.classify(c.amax((2, 3))), states


# ---- HMAX (Riesenhuber & Poggio 1999; Serre et al. 2007) ---------------------------

SCALES = {7: (2.8, 3.5), 9: (3.6, 4.6), 11: (4.5, 5.6), 13: (5.4, 6.8)}
"""Filter size in pixels: σ and λ of the Gabor function, of Serre et al. 2007."""


def gabor(size: int) -> Tensor:
    """Four orientations of exp(−(u² + γ² v²) / 2σ²) cos(2π u / λ), γ = 0.3, without mean, of unit length."""
    (sigma, wavelength), half = SCALES[size], size // 2
    bank = torch.empty(4, 1, size, size, dtype=torch.float64)
    for n in range(4):
        for row in range(size):
            for column in range(size):
                y, x, theta = row - half, column - half, n * pi / 4
                u, v = x * cos(theta) + y * sin(theta), -x * sin(theta) + y * cos(theta)
                envelope = exp(-(u**2 + 0.3**2 * v**2) / (2 * sigma**2))
                bank[n, 0, row, column] = envelope * cos(2 * pi * u / wavelength)
    bank = bank - bank.mean((2, 3), keepdim=True)
    return bank / bank.flatten(1).norm(dim=1)[:, None, None, None]


def hmax(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    states: States = {}
    grey = x.mean(1, keepdim=True)
    prototypes = w.state["C1_band_1_to_S2_band_1.radial_basis.weight"]
    tops = []
    for band, sizes, window, step, pad in ((1, (7, 9), 8, 4, 2), (2, (11, 13), 10, 5, 4)):
        pooled = []
        for size in sizes:
            s1 = states[f"S1 {size} px", 1] = F.conv2d(grey, gabor(size), padding=size // 2).abs()
            pooled.append(F.max_pool2d(s1, window, step, pad))
        c1 = states[f"C1 band {band}", 1] = torch.maximum(*pooled)
        patches = F.unfold(c1, 4)[:, None]  # [B, 1, 4 · 4 · 4, places]
        distance = (patches - prototypes.flatten(1)[None, :, :, None]).square().sum(2)
        side = c1.shape[-1] - 3
        s2 = states[f"S2 band {band}", 1] = torch.exp(-distance / 2).unflatten(2, (side, side))
        tops.append(s2.amax((2, 3)))
    c2 = torch.maximum(*tops)
    states["C2", 1] = c2[:, :, None, None]
    return w.classify(c2), states


# ---- predictive coding (Rao & Ballard 1999) ----------------------------------------


def predictive_coding(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r ← r − k ∂/∂r ½(|I − U₁ r₁|² + |r₁ − U₂ r₂|² + α |r₁|² + α |r₂|²), with k = 0.1, α = 1.

    The gradient is taken by autograd, not written out. The language leaves out what is 0 because nothing has arrived:
    r₂ and its error have no state before step 2.
    """
    k, alpha = 0.1, 1.0
    with torch.enable_grad():
        r1 = x.new_zeros(len(x), 32, 16, 16).requires_grad_()
        r2 = x.new_zeros(len(x), 64, 8, 8).requires_grad_()
        states: States = {}
        for t in range(1, 11):
            e0 = x - w.deconv("E0_to_R1.conv", r1)
            e1 = r1 - w.deconv("E1_to_R2.conv", r2)
            energy = (e0.square().sum() + e1.square().sum() + alpha * (r1.square().sum() + r2.square().sum())) / 2
            d1, d2 = torch.autograd.grad(energy, (r1, r2), create_graph=True)
            r1, r2 = r1 - k * d1, r2 - k * d2
            states |= {("E0", t): e0, ("R1", t): r1}
            if t > 1:
                states |= {("E1", t): e1, ("R2", t): r2}
    return w.classify(r2.mean((2, 3))), states


MODELS: Mapping[str, ByHand] = {
    "neocognitron": neocognitron,
    "hmax": hmax,
    "predictive_coding": predictive_coding,
}
