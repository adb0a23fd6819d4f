from __future__ import annotations

import math

import pytest
import torch

import cortexgraph as cg
from cortexgraph.compiler import unroll
from cortexgraph.errors import CompileError, CortexGraphError, SpecError
from cortexgraph.spec import load
from cortexgraph.spec.model import ReadoutSpec
from cortexgraph.training import TrainSettings
from cortexgraph.training.losses import LOSSES, correct_per_step, loss_per_step, readout_loss, register_loss
from cortexgraph.training.reached import check_losses

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


def test_squared_error_by_hand() -> None:
    """Targets 1 − s + s/K for the label and s/K for the others; the mean over classes and images."""
    targets = [[1 / 30, 28 / 30, 1 / 30], [1 / 30, 1 / 30, 28 / 30]]
    squares = [
        sum((x - t) ** 2 for x, t in zip(logits, target, strict=True)) / 3
        for logits, target in zip(LOGITS[:, 0].tolist(), targets, strict=True)
    ]
    found = readout_loss(LOGITS[:, :1], LABELS, 0.1, loss="squared-error")
    assert found.item() == pytest.approx(sum(squares) / 2)


def test_readouts_with_other_numbers_of_classes_share_the_loss() -> None:
    both = {"IT": LOGITS, "early": torch.zeros(2, 5)}
    each = [by_hand(0, 0.0), by_hand(1, 0.0), math.log(5)]
    assert readout_loss(both, LABELS).item() == pytest.approx(sum(each) / 3)


def test_a_registered_loss_is_known_by_name() -> None:
    @cg.register_loss("zero-one")
    def zero_one(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
        return (logits.argmax(1) != labels).float()

    try:
        assert TrainSettings(loss="zero-one").loss == "zero-one"
        assert readout_loss(LOGITS, LABELS, loss="zero-one").item() == pytest.approx(0.5)
        with pytest.raises(ValueError, match="loss `zero-one` is registered already"):
            cg.register_loss("zero-one")(zero_one)
    finally:
        LOSSES.pop("zero-one")
    with pytest.raises(
        SpecError, match=r"settings\.loss: 'zero-one' was given, but it must be cross-entropy(,| or) squ"
    ):
        TrainSettings(loss="zero-one")


def test_weights_of_steps_by_hand() -> None:
    logits, labels = torch.randn(5, 3, 4), torch.tensor([0, 1, 2, 3, 0])
    one, two, three = (torch.nn.functional.cross_entropy(logits[:, n], labels) for n in range(3))
    weighted = readout_loss(logits, labels, over="0.5,0,1.5")
    torch.testing.assert_close(weighted, (0.5 * one + 1.5 * three) / 2)
    torch.testing.assert_close(
        readout_loss({"a": logits, "b": logits.flip(1)}, labels, over="1,2,0"),
        ((one + 2 * two) / 3 + (three + 2 * two) / 3) / 2,
    )
    assert TrainSettings(loss_over=[0.5, 0, 1.5]).loss_over == "0.5,0,1.5"  # type: ignore[arg-type]
    torch.testing.assert_close(
        readout_loss(logits, labels, over=TrainSettings(loss_over=".5,0,1.5").loss_over), weighted
    )


def test_readouts_with_losses_and_weights_of_their_own_by_hand() -> None:
    logits, other, labels = torch.randn(5, 3, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    entropy = [torch.nn.functional.cross_entropy(logits[:, n], labels) for n in range(3)]
    error = (other - torch.nn.functional.one_hot(labels, 4)).square().mean()
    every = ReadoutSpec(source="A", classes=4, at="all")
    squared = ReadoutSpec(source="B", classes=4, loss="squared-error")
    both = {"a": logits, "b": other}
    plain = readout_loss(both, labels, readouts=[every, squared])
    torch.testing.assert_close(plain, (sum(entropy) + error) / 4)
    weighted = every.model_copy(update={"loss_over": (1.0, 0.0, 0.5)})
    expected = (entropy[0] + 0.5 * entropy[2] + error) / 2.5
    torch.testing.assert_close(readout_loss(both, labels, over="last", readouts=[weighted, squared]), expected)


def test_losses_of_readouts_are_checked_before_training() -> None:
    path = ["readout.loss=squared-eror", "readout.at=all", "readout.loss_over=[1, 2]"]
    with pytest.raises(CompileError, match=r"Did you mean `squared-error`\?") as caught:
        check_losses(unroll(load("ventral", path)), "all")
    places = [(finding.code, finding.place.split("=")[0]) for finding in caught.value.diagnostics]
    assert [code for code, _ in places] == ["unknown-value", "loss-weights"]
    with pytest.raises(SpecError, match="all weights of `loss_over` are 0"):
        ReadoutSpec(source="A", classes=4, loss_over=(0.0, 0.0))


def test_a_loss_gives_one_number_for_each_row() -> None:
    register_loss("mean")(lambda logits, labels, smoothing: logits.mean())
    try:
        with pytest.raises(CortexGraphError, match=r"loss mean: it returned \[\], but a loss for each row is .*\[20\]"):
            loss_per_step(torch.zeros(4, 5, 2), torch.zeros(4, dtype=torch.int64), loss="mean")
    finally:
        LOSSES.pop("mean")


def by_formula(name: str, values: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The losses of rows, float64 [M], from their published formulas."""
    if name == "binary-cross-entropy":
        p, y = 1 / (1 + torch.exp(-values)), targets * (1 - smoothing) + smoothing / 2
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean(1)
    if name == "nt-xent":  # Chen et al. 2020, equation 1, with a temperature of 0.5
        count, losses = len(values) // 2, []
        for i in range(2 * count):
            similar = [torch.cosine_similarity(values[i], values[k], dim=0) / 0.5 for k in range(2 * count)]
            others = torch.stack([s.exp() for k, s in enumerate(similar) if k != i]).sum()
            losses.append(-(similar[(i + count) % (2 * count)].exp() / others).log())
        return torch.stack(losses)
    difference = values if name == "activity" else values - targets
    size = difference.abs()
    each = {"mse": size**2, "huber": torch.where(size <= 1, size**2 / 2, size - 0.5)}.get(name, size)
    return each.mean(1)


@pytest.mark.parametrize("name", ["binary-cross-entropy", "mse", "l1", "huber", "activity", "nt-xent"])
def test_each_loss_and_its_gradient_equal_the_published_formula(name: str) -> None:
    random = torch.Generator().manual_seed(3)
    logits = (2 * torch.randn(6, 2, 3, generator=random, dtype=torch.float64)).requires_grad_()
    targets = torch.randn(6, 3, generator=random, dtype=torch.float64)
    targets = (targets > 0).double() if name == "binary-cross-entropy" else targets
    found = loss_per_step(logits, targets.float(), 0.1, name)
    expected = torch.stack([by_formula(name, logits[:, n], targets, 0.1).mean() for n in range(2)])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)
    gradients = [torch.autograd.grad(value @ weights, logits)[0] for value in (found.double(), expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cross-entropy", "squared-error", "mse"])
def test_the_loss_of_places_is_the_mean_over_those_with_a_target(name: str) -> None:
    random = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 4, 5, 5, generator=random, requires_grad=True)  # [B, n, classes, H, W]
    classes = torch.randint(-1, 4, (2, 5, 5), generator=random)
    numbers = torch.randn(2, 4, 5, 5, generator=random)
    numbers[:, :, classes[0] < 0] = torch.nan
    targets = numbers if name == "mse" else classes
    found = loss_per_step(logits, targets, loss=name)
    for step in range(3):
        rows = [
            (logits[b, step, :, y, x], targets[b, ..., y, x])
            for b in range(2)
            for y in range(5)
            for x in range(5)
            if (numbers[b, 0, y, x].isfinite() if name == "mse" else classes[b, y, x] >= 0)
        ]
        values, wanted = (torch.stack(each) for each in zip(*rows, strict=True))
        expected = LOSSES[name].function(values, wanted, 0.0).mean()
        torch.testing.assert_close(found[step], expected)
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_targets_of_each_step_are_those_of_their_step() -> None:
    logits, targets = torch.randn(2, 3, 4, 5, 5), torch.randn(2, 3, 4, 5, 5)
    expected = (logits - targets).square().mean((0, 2, 3, 4))
    torch.testing.assert_close(loss_per_step(logits, targets, loss="mse"), expected)
    torch.testing.assert_close(readout_loss(logits, targets, loss="mse", over="last"), expected[-1])


def test_a_loss_trains_on_a_known_target() -> None:
    with pytest.raises(ValueError, match="`sounds` is not a target of a loss; they are class, labels"):
        register_loss("loud", "sounds")(lambda logits, labels, smoothing: logits.mean(1))
