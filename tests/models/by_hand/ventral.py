"""Ventral streams of today: Spoerer's B, BL, BT, BLT, the form of Adeli, of Nayebi, of BLT-VS; leaky areas; macaque."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.by_hand.recurrent import response_norm
from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]

HIERARCHY = ("V1", "V2", "V4", "IT")


def added(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum(0)


# ---- Spoerer et al. 2017, 2020 -----------------------------------------------------


def spoerer(kind: str) -> ByHand:
    """h_l(t) = LRN(ReLU(B ⋆ pool(h_{l−1}(t)) + L ⋆ h_l(t − 1) + T ⋆ᵀ h_{l+1}(t − 1) + b)), as far as `kind` says."""

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        logits = []
        for t in range(1, 2 if kind == "b" else 5):
            for layer in ("L1", "L2"):
                if layer == "L1":
                    terms = [w.conv("image_to_L1.conv", x)]
                else:
                    terms = [w.conv("L1_to_L2.conv", F.max_pool2d(states["L1", t], 2))]
                if "l" in kind and t > 1:
                    terms.append(w.conv(f"{layer}_to_{layer}.conv", states[layer, t - 1]))
                if "t" in kind and t > 1 and layer == "L1":
                    weight = w.state["L2_to_L1.conv_transpose.weight"]
                    top = F.conv_transpose2d(states["L2", t - 1], weight, None, 2, padding=1, output_padding=1)
                    terms.append(top)
                states[layer, t] = response_norm(F.relu(added(terms)), 5, 5e-4, 0.5)
            logits.append(w.classify(states["L2", t].amax((2, 3))))
        return (logits[0] if kind == "b" else torch.stack(logits, 1)), states

    return run


def bl_ecoset(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """h_l(t) = ReLU(BN_t(B ⋆ pool(h_{l−1}(t)) + L ⋆ h_l(t − 1))), seven layers, eight steps; ε is Keras's 1e-3."""
    states: States = {}
    logits = []
    for t in range(1, 9):
        for n in range(1, 8):
            below = x if n == 1 else F.max_pool2d(states[f"L{n - 1}", t], 2)
            u = w.conv(f"{'image' if n == 1 else f'L{n - 1}'}_to_L{n}.conv", below)
            if t > 1:
                u = u + w.conv(f"L{n}_to_L{n}.conv", states[f"L{n}", t - 1])
            states[f"L{n}", t] = F.relu(w.batch_norm(f"L{n}.norm.{t - 1}", u, eps=1e-3))
        logits.append(w.classify(states["L7", t].mean((2, 3))))
    return torch.stack(logits, 1), states


# ---- simultaneous streams ------------------------------------------------------------


def blt(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """r_j(t) = ReLU(GN(Σ_i conv_ij r_i(t − 1) [+ stem for V1])); at first V1 has the stem alone (Adeli et al. 2025)."""
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
                u.append(w.up(f"{HIERARCHY[k + 1]}_to_{area}.conv_transpose", r[HIERARCHY[k + 1]]))
            if u:
                new[area] = F.relu(w.group_norm(f"{area}.norm", added(u), 32))
        r |= new
        states |= {(area, t): r[area] for area in r}
        if "IT" in r:
            logits.append(w.classify(r["IT"].mean((2, 3))))
    return torch.stack(logits, 1), states


def ventral(steps: int, *, lateral: bool, feedback: str, per_step: bool) -> ByHand:
    """h_l(t) = ReLU(BN(Σ W ⋆ h(t − 1))); feedback by repetition, by the transposed feedforward kernel, or none."""

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        r: dict[str, Tensor] = {}
        updates = dict.fromkeys(HIERARCHY, 0)
        states: States = {}
        for t in range(1, steps + 1):
            new = {}
            for k, area in enumerate(HIERARCHY):
                u = [w.conv("image_to_V1.conv", x)] if k == 0 else []
                if k > 0 and HIERARCHY[k - 1] in r:
                    u.append(w.conv(f"{HIERARCHY[k - 1]}_to_{area}.conv", r[HIERARCHY[k - 1]], stride=2))
                if lateral and area in r:
                    u.append(w.conv(f"{area}_to_{area}.conv", r[area]))
                above = HIERARCHY[k + 1] if k < 3 else None
                if feedback == "nearest" and above in r:
                    u.append(F.interpolate(w.conv(f"{above}_to_{area}.conv", r[above]), scale_factor=2))
                if feedback == "transposed" and above in r:
                    gain = w.state[f"{above}_to_{area}.gain.weight"]
                    u.append(gain * w.deconv(f"{area}_to_{above}.conv", r[above]))
                if u:
                    norm = f"{area}.norm.{updates[area]}" if per_step else f"{area}.norm"
                    new[area] = F.relu(w.batch_norm(norm, added(u)))
                    updates[area] += 1
            r |= new
            states |= {(area, t): r[area] for area in r}
        return w.classify(r["IT"].mean((2, 3))), states

    return run


def ventral_strong(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """V1, V2, IT one after another, each two times, in two sweeps: GELU(BN_n(maxpool(W ⋆ below) + lateral + feedback)).

    n counts the updates of an area; lateral and feedback connections read the newest states, as far as there are any.
    """
    stages = ("LGN", "V1", "V2", "IT", None)
    r = {"LGN": F.gelu(w.conv("image_to_LGN.conv", x))}
    states: States = {}
    logits = []
    for t in (1, 2):
        for below, area, above in zip(stages, stages[1:], stages[2:], strict=False):
            for n in (2 * t - 2, 2 * t - 1):
                u = F.max_pool2d(w.conv(f"{below}_to_{area}.conv", r[str(below)]), 2)
                if area in r:
                    u = u + w.conv(f"{area}_to_{area}.conv", r[str(area)])
                if above in r:
                    u = u + F.interpolate(w.conv(f"{above}_to_{area}.conv", r[str(above)]), scale_factor=2)
                r[str(area)] = F.gelu(w.batch_norm(f"{area}.norm.{n}", u))
        states |= {(area, t): value for area, value in r.items()}
        logits.append(w.classify(r["IT"].amax((2, 3))))
    return torch.stack(logits, 1), states


def convrnn_rgc(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """h' = elu((1 − σ(W_ch ∗ c)) u + (1 − σ(W_hh ∗ h)) h), c' likewise with W_hc, W_cc (Nayebi et al. 2018)."""
    incoming = {"V1": ("IT",), "V2": ("V1", "V4"), "V4": ("V2", "IT"), "IT": ("V4",)}
    size = {"V1": 32, "V2": 16, "V4": 8, "IT": 4}
    h: dict[str, Tensor] = {}
    c: dict[str, Tensor] = {}
    states: States = {}
    for t in range(1, 11):
        new_h, new_c = {}, {}
        for area in HIERARCHY:
            terms = [w.conv("image_to_V1.conv", x)] if area == "V1" else []
            for source in incoming[area]:
                if source not in h:
                    continue
                y = h[source]
                if size[source] < size[area]:
                    y = F.interpolate(y, size[area], mode="bilinear", align_corners=False)
                terms.append(w.conv(f"{source}_to_{area}.conv", y, stride=max(1, size[source] // size[area])))
            if area == "V1":
                new_h[area] = F.relu(w.batch_norm("V1.norm", added(terms)))
            elif terms or area in h:
                u = F.relu(w.batch_norm(f"{area}.norm", added(terms)))
                new_h[area], new_c[area] = reciprocal(w, area, u, h.get(area), c.get(area))
        h, c = h | new_h, c | new_c
        states |= {(area, t): h[area] for area in h}
    return w.classify(h["IT"].mean((2, 3))), states


def reciprocal(w: Weights, area: str, u: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor]:
    h, c = (torch.zeros_like(u) if value is None else value for value in (h, c))
    hh, hc = torch.sigmoid(w.conv(f"{area}.cell.from_h", h)).chunk(2, 1)
    ch, cc = torch.sigmoid(w.conv(f"{area}.cell.from_c", c)).chunk(2, 1)
    return F.elu((1 - ch) * u + (1 - hh) * h), F.elu((1 - hc) * u + (1 - cc) * c)


# ---- bottom-up and top-down populations (BLT-VS) ---------------------------------------


def blt_vs(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """bu = GN(ReLU(drive_bu) · 2σ(mod_td)), td = GN(ReLU(drive_td) · 2σ(mod_bu)); absent terms are left out.

    Three sweeps up and down; the kernels that drive one population gate the other.
    """
    stages = ("Retina", "LGN", "V1", "V2", "V4", "IT")
    strides = {"V1": 2, "V2": 2, "V4": 2, "IT": 2}
    states: States = {}
    bu: dict[str, Tensor] = {}
    td: dict[str, Tensor] = {}

    def normed(name: str, y: Tensor, stage: str) -> Tensor:
        return w.group_norm(f"{stage}_{name}.norm", y, 8)

    def gated(drives: list[Tensor], modulators: list[Tensor]) -> Tensor:
        y = F.relu(added(drives))
        for m in modulators:
            y = y * 2 * torch.sigmoid(m)
        return y

    for t in (1, 2, 3):
        for n, stage in enumerate(stages):
            below, above = stages[n - 1] if n else "image", stages[n + 1] if n < 5 else None
            source = "image_to_Retina_bu" if n == 0 else f"{below}_bu_to_{stage}_bu"
            drives = [w.conv(f"{source}.conv", x if n == 0 else bu[below], strides.get(stage, 1))]
            if n > 1 and stage in bu:
                drives.append(w.conv(f"{stage}_bu_to_{stage}_bu.conv", bu[stage]))
            modulators = []
            if above in td:
                owner = "V1_td_to_LGN_bu" if stage == "LGN" else f"{above}_td_to_{stage}_td"
                modulators.append(w.up(f"{owner}.conv_transpose", td[above]))
            bu[stage] = states[f"{stage} bu", t] = normed("bu", gated(drives, modulators), stage)
        for n in (5, 4, 3, 2):
            stage, below = stages[n], stages[n - 1]
            if stage == "IT":
                drives = [w.conv("IT_bu_to_IT_td.conv", bu["IT"])]
            else:
                drives = [w.up(f"{stages[n + 1]}_td_to_{stage}_td.conv_transpose", td[stages[n + 1]])]
            if stage in td:
                drives.append(w.conv(f"{stage}_td_to_{stage}_td.conv", td[stage]))
            modulators = [w.conv(f"{below}_bu_to_{stage}_bu.conv", bu[below], strides[stage])]
            td[stage] = states[f"{stage} td", t] = normed("td", gated(drives, modulators), stage)
    return w.classify(bu["IT"].mean((2, 3))), states


# ---- leaky areas with delays in ms (in the form of DynVision) ---------------------------

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
            u = added(terms) if terms else torch.zeros_like(before)  # type: ignore[arg-type]
            r = torch.zeros_like(u) if before is None else before
            history[area].append(F.relu(r + DT_MS / TAU_MS * (u - r)))
            states[area, t] = history[area][-1]  # type: ignore[assignment]
    return w.classify(states["IT", 14].mean((2, 3))), states


# ---- macaque -------------------------------------------------------------------------------

SIZES = {"image": 32, "LGN": 32, "V1": 32, "V2": 16, "V3": 16, "V3A": 8, "V4": 8, "MT": 8, "TEO": 4, "TE": 4}
PROJECTIONS = {
    "LGN": "image",
    "V1": "LGN V2 V3 V4 MT",
    "V2": "V1 V3 V4 MT",
    "V3": "V2 V1 V3A V4 MT",
    "V3A": "V3 V4 MT",
    "V4": "V1 V2 V3 V3A MT TEO TE",
    "MT": "V1 V2 V3 V3A V4",
    "TEO": "V4 TE",
    "TE": "TEO V4",
}
"""The areas that project to each area."""


def macaque_hierarchy(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    """h(t) = ReLU(BN_n(Σ conv h(t − 1))), all areas at once; n counts an area's own updates."""
    h: dict[str, Tensor] = {}
    updates = dict.fromkeys(PROJECTIONS, 0)
    states: States = {}
    for t in range(1, 9):
        new = {}
        for area, sources in PROJECTIONS.items():
            terms = []
            for source in sources.split():
                value = x if source == "image" else h.get(source)
                if value is None:
                    continue
                down = max(1, SIZES[source] // SIZES[area])
                y = w.conv(f"{source}_to_{area}.conv", value, stride=down)
                terms.append(F.interpolate(y, SIZES[area]) if SIZES[source] < SIZES[area] else y)
            if terms:
                new[area] = F.relu(w.batch_norm(f"{area}.norm.{updates[area]}", added(terms)))
                updates[area] += 1
        h |= new
        states |= {(area, t): h[area] for area in h}
    return w.classify(h["TE"].mean((2, 3))), states


def binocular(w: Weights, x: Any) -> tuple[Tensor, States]:
    """Half-squared sums of the two eyes, pooled by complex cells; each area responds a step after the one below."""
    eyes = {eye: F.relu(w.conv(f"{eye}_to_V1_L4_{eye}.conv", x[eye])) for eye in ("left", "right")}
    simple = F.relu(added([w.conv(f"V1_L4_{eye}_to_simple.conv", state) for eye, state in eyes.items()])) ** 2
    complex_ = F.relu(w.batch_norm("complex.norm", w.conv("simple_to_complex.conv", simple, 2)))
    v2 = F.relu(w.batch_norm("V2.norm", w.conv("complex_to_V2.conv", complex_, 2)))
    rising = [*((f"V1-L4 {eye}", state, 1) for eye, state in eyes.items()), ("simple", simple, 2)]
    rising += [("complex", complex_, 3), ("V2", v2, 4)]
    states = {(area, t): state for area, state, first in rising for t in range(first, 6)}
    return w.classify(v2.mean((2, 3))), states


MODELS: Mapping[str, ByHand] = {
    "binocular": binocular,
    **{f"spoerer_{kind}": spoerer(kind) for kind in ("b", "bl", "bt", "blt")},
    "bl_ecoset": bl_ecoset,
    "blt": blt,
    "ventral": ventral(6, lateral=True, feedback="nearest", per_step=True),
    "ventral_feedforward": ventral(4, lateral=False, feedback="none", per_step=False),
    "ventral_strong": ventral_strong,
    "deconv_feedback": ventral(6, lateral=False, feedback="transposed", per_step=True),
    "convrnn_rgc": convrnn_rgc,
    "blt_vs": blt_vs,
    "leaky_ms": leaky_ms,
    "macaque_hierarchy": macaque_hierarchy,
}
