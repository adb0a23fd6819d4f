"""Feedforward networks: AlexNet-style (Krizhevsky et al. 2012), ResNet-20 (He et al. 2016 a, b), CORnet-Z."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.parity import ByHand, States, Weights

__all__ = ["MODELS"]


def alexnet(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    states: States = {}
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5")
    for before, layer in zip(("image", *layers), layers, strict=False):
        x = F.max_pool2d(x, 2) if layer in ("conv2", "conv3") else x
        x = states[layer, 1] = F.relu(w.conv(f"{before}_to_{layer}.conv", x))
    x = F.dropout(F.max_pool2d(x, 2), 0.5, w.training)
    x = states["fc6", 1] = F.relu(w.linear("conv5_to_fc6.linear", x))
    x = F.dropout(x, 0.5, w.training)
    x = states["fc7", 1] = F.relu(w.linear("fc6_to_fc7.linear", x))
    return w.classify(x.flatten(1)), states


def shortcut(x: Tensor, stride: int, channels: int) -> Tensor:
    """Every other place, and zeros for the channels that x has not (option A)."""
    x = x[:, :, ::stride, ::stride]
    return torch.cat([x, x.new_zeros(len(x), channels - x.shape[1], *x.shape[2:])], 1)


def post(w: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    y = F.relu(w.batch_norm(f"{name}.body.norm", w.conv(f"{name}.body.conv", x, stride)))
    y = w.batch_norm(f"{name}.body.norm_2", w.conv(f"{name}.body.conv_2", y))
    return F.relu(y + shortcut(x, stride, y.shape[1]))


def pre(w: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    y = w.conv(f"{name}.body.conv", F.relu(w.batch_norm(f"{name}.body.norm", x)), stride)
    y = w.conv(f"{name}.body.conv_2", F.relu(w.batch_norm(f"{name}.body.norm_2", y)))
    return y + shortcut(x, stride, y.shape[1])


def resnet20(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    x = F.relu(w.batch_norm("stem.norm", w.conv("image_to_stem.conv", x)))
    return residual_stages(w, x, {("stem", 1): x}, preact=False)


def preact_resnet20(w: Weights, x: Tensor) -> tuple[Tensor, States]:
    x = w.conv("image_to_stem.conv", x)
    return residual_stages(w, x, {("stem", 1): x}, preact=True)


def residual_stages(w: Weights, x: Tensor, states: States, preact: bool) -> tuple[Tensor, States]:
    for stage, before in ((1, "stem"), (2, "stage_1"), (3, "stage_2")):
        for n in ("", "_2", "_3"):
            stride = 2 if stage > 1 and n == "" else 1
            x = (pre if preact else post)(w, f"{before}_to_stage_{stage}.residual{n}", x, stride)
        x = F.relu(w.batch_norm("stage_3.norm", x)) if preact and stage == 3 else x
        states[f"stage {stage}", 1] = x
    return w.classify(x.mean((2, 3))), states


def cornet_z(stride: int) -> ByHand:
    """conv → ReLU → max pool in each area (Kubilius et al. 2018)."""

    def run(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        states: States = {}
        before = "image"
        for area in ("V1", "V2", "V4", "IT"):
            x = F.relu(w.conv(f"{before}_to_{area}.conv", x, stride if area == "V1" else 1))
            x = states[area, 1] = F.max_pool2d(x, 3, stride=2, padding=1)
            before = area
        return w.classify(x.mean((2, 3))), states

    return run


MODELS: Mapping[str, ByHand] = {
    "alexnet": alexnet,
    "resnet20": resnet20,
    "preact_resnet20": preact_resnet20,
    "cornet_z": cornet_z(1),
    "cornet_z_imagenet": cornet_z(2),
}
