"""CORnet-R, -RT (Kubilius et al. 2018) and -S (Kubilius et al. 2019), at any size."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]

HIERARCHY = ("V1", "V2", "V4", "IT")


def group_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """With 32 groups for the published 64 channels of V1, and in proportion."""
    return w.group_norm(name, x, len(w.state["V1.norm.weight"]) // 2)


def processed(w: Weights, area: str, x: Tensor, stride: int) -> Tensor:
    """a = ReLU(GN(conv_in x)); x is the image for V1, otherwise the area below."""
    below = "image" if area == "V1" else HIERARCHY[HIERARCHY.index(area) - 1]
    name = f"{below}_to_{area}"
    return F.relu(group_norm(w, f"{name}.norm", w.conv(f"{name}.conv", x, stride if area == "V1" else 2)))


def updated(w: Weights, area: str, a: Tensor | float, r: Tensor | float, like: tuple[int, ...]) -> Tensor:
    """r(t) = ReLU(GN(conv(a + r(t − 1)))); both are 0 before any signal."""
    weight = w.state[f"{area}.conv.weight"]
    total = weight.new_zeros(like[0], len(weight), *like[1:]) + a + r
    return F.relu(group_norm(w, f"{area}.norm", w.conv(f"{area}.conv", total)))


def cornet_r(stride: int, *, in_time: bool) -> ByHand:
    """CORnet-RT (`in_time`: each area reads the one below as it was a step before), or CORnet-R (as it is now)."""

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        side = x.shape[-1] // stride
        like = {area: (len(x), side // 2**k, side // 2**k) for k, area in enumerate(HIERARCHY)}
        r: dict[str, Tensor] = {}
        states: States = {}
        for t in range(1, 6):
            before = dict(r)
            for k, area in enumerate(HIERARCHY):
                below = x if k == 0 else (before if in_time or t == 1 else r).get(HIERARCHY[k - 1])
                a = 0.0 if below is None else processed(w, area, below, stride)
                r[area] = states[area, t] = updated(w, area, a, before.get(area, 0.0), like[area])
        return w.classify(r["IT"].mean((2, 3))), states

    return run


def cornet_s_block(w: Weights, area: str, x: Tensor, times: int) -> Tensor:
    """The state of one area after its iterations; `x` is its input, brought to its channels."""
    name = f"{area}_in_to_{area}.residual"
    for n in range(times):
        y = F.relu(w.batch_norm(f"{name}.body.norm.{n}", w.conv(f"{name}.body.conv", x)))
        y = w.conv(f"{name}.body.conv_2", y, stride=2 if n == 0 else 1)
        y = F.relu(w.batch_norm(f"{name}.body.norm_2.{n}", y))
        y = w.batch_norm(f"{name}.body.norm_3.{n}", w.conv(f"{name}.body.conv_3", y))
        if n == 0:
            x = w.batch_norm(f"{name}.shortcut.norm", w.conv(f"{name}.shortcut.conv", x, stride=2))
        x = F.relu(y + x)
    return x


def cornet_s(stride: int) -> ByHand:
    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        y = F.relu(w.batch_norm("image_to_V1.norm", w.conv("image_to_V1.conv", x, stride)))
        y = F.max_pool2d(y, 3, stride=2, padding=1)
        y = F.relu(w.batch_norm("image_to_V1.norm_2", w.conv("image_to_V1.conv_2", y)))
        states: States = {("V1", 1): y}
        before = "V1"
        for area, times in (("V2", 2), ("V4", 4), ("IT", 2)):
            states[f"{area} in", 1] = entered = w.conv(f"{before}_to_{area}_in.conv", y)
            y = states[area, 1] = cornet_s_block(w, area, entered, times)
            before = area
        return w.classify(y.mean((2, 3))), states

    return run


MODELS: Mapping[str, ByHand] = {
    "cornet_r": cornet_r(2, in_time=False),
    "cornet_r_imagenet": cornet_r(4, in_time=False),
    "cornet_rt": cornet_r(2, in_time=True),
    "cornet_rt_imagenet": cornet_r(4, in_time=True),
    "cornet_s": cornet_s(1),
    "cornet_s_imagenet": cornet_s(2),
}
