from __future__ import annotations

import math

import pytest
import torch

from cortexgraph.training.objective import correct_per_step, loss_per_step, readout_loss

# Two images, two readout steps, three classes.
LOGITS = torch.tensor([[[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]], [[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]]])
LABELS = torch.tensor([1, 2])


def cross_entropy(logits: list[float], label: int, smoothing: float) -> float:
    """By hand: targets 1 − s + s/K for the label and s/K for the others."""
    total = sum(math.exp(value) for value in logits)
    classes = len(logits)
    targets = [smoothing / classes + (1 - smoothing) * (k == label) for k in range(classes)]
    return -sum(q * math.log(math.exp(value) / total) for q, value in zip(targets, logits, strict=True))


def by_hand(step: int, smoothing: float) -> float:
    pairs = zip(LOGITS[:, step].tolist(), LABELS.tolist(), strict=True)
    return sum(cross_entropy(logits, label, smoothing) for logits, label in pairs) / 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_by_hand(smoothing: float) -> None:
    each = [by_hand(0, smoothing), by_hand(1, smoothing)]
    torch.testing.assert_close(loss_per_step(LOGITS, LABELS, smoothing), torch.tensor(each))
    assert readout_loss(LOGITS, LABELS, smoothing).item() == pytest.approx(sum(each) / 2)
    assert readout_loss(LOGITS, LABELS, smoothing, over="last").item() == pytest.approx(each[1])


def test_one_readout_needs_no_axis() -> None:
    assert readout_loss(LOGITS[:, 1], LABELS, 0.1).item() == pytest.approx(by_hand(1, 0.1))
    assert correct_per_step(LOGITS[:, 1], LABELS).tolist() == [2]


def test_last_leaves_other_steps_without_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    readout_loss(logits, LABELS, over="last").backward()
    assert logits.grad is not None
    assert logits.grad[:, 0].abs().max() == 0
    assert logits.grad[:, 1].abs().min() > 0


def test_correct_per_step() -> None:
    assert correct_per_step(LOGITS, LABELS).tolist() == [0, 2]


def test_half_precision_logits_are_summed_in_single() -> None:
    assert loss_per_step(LOGITS.bfloat16(), LABELS).dtype == torch.float32


def test_several_readouts_share_the_loss_and_the_first_counts() -> None:
    both = {"IT": LOGITS, "early": LOGITS[:, 0]}
    each = [by_hand(0, 0.0), by_hand(1, 0.0), by_hand(0, 0.0)]
    assert readout_loss(both, LABELS).item() == pytest.approx(sum(each) / 3)
    assert readout_loss(both, LABELS, over="last").item() == pytest.approx((each[1] + each[2]) / 2)
    assert correct_per_step(both, LABELS).tolist() == [0, 2]
