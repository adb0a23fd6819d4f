from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cortexgraph.compiler import compile_spec
from cortexgraph.data import ImageData, LabelledImages
from cortexgraph.errors import DataError, SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings, load_run, train
from cortexgraph.training.images import check_fit, data_card, mixed
from cortexgraph.training.module import TrainingModule

from .conftest import striped_data, tiny_spec


def test_fitting_data(spec: NetworkSpec, data: ImageData) -> None:
    check_fit(spec, data)
    check_fit(tiny_spec(input={"channels": 1, "size": [8, 8]}), data)


def test_everything_that_does_not_fit_at_once(data: ImageData) -> None:
    spec = tiny_spec(
        input={"channels": 3, "size": [8, 16]},
        areas={"V1": {"channels": 4, "size": [8, 16]}, "IT": {"channels": 6, "size": [4, 8]}},
        readout={"from": "IT", "classes": 10},
    )
    with pytest.raises(DataError, match="data-mismatch") as error:
        check_fit(spec, data)
    assert str(error.value).splitlines() == [
        "readout.classes: the network declares 10, but the data has 3 classes.",
        '  Give `cg.load(spec, ["readout.classes=3"])`, or other data.    [data-mismatch]',
        "input.channels: the network declares 3, but the data has 1 channels.",
        '  Give `cg.load(spec, ["input.channels=1"])`, or other data.    [data-mismatch]',
        "input.size: the network declares 8 × 16, but the data has 8 × 8 pixels (height, width).",
        '  Give `cg.load(spec, ["input.size=[8, 8]"])`, or other data.    [data-mismatch]',
    ]


def test_card_notices_any_change(data: ImageData) -> None:
    before = data_card(data)
    assert data_card(data) == before
    assert (before.train_images, before.test_images) == (48, 24)
    labels = data.test.labels.clone()
    labels[0] = (labels[0] + 1) % 3
    pixels = data.train.images.clone()
    pixels[5, 0, 2, 2] ^= 1
    for changed in (
        replace(data, test=LabelledImages(data.test.images, labels)),
        replace(data, train=LabelledImages(pixels, data.train.labels)),
        replace(
            data, train=LabelledImages(torch.cat([data.train.images[1:], data.train.images[:1]]), data.train.labels)
        ),
    ):
        assert data_card(changed).sha256 != before.sha256


# ---- mixtures of images ----------------------------------------------------------


def test_mixup_by_hand() -> None:
    images = torch.randn(6, 3, 8, 8)
    mixture, share = mixed(images, TrainSettings(mixup=0.7), 0, 3)
    assert 0 < share < 1
    by_hand = torch.stack([share * images[n] + (1 - share) * images[n - 1] for n in range(6)])
    torch.testing.assert_close(mixture, by_hand)


def test_shares_of_mixup_are_those_of_the_beta_distribution() -> None:
    shares = [mixed(torch.zeros(2, 1, 1, 1), TrainSettings(mixup=0.4), 0, batch)[1] for batch in range(400)]
    values = torch.tensor(shares)
    assert abs(float(values.mean()) - 0.5) < 0.05
    assert abs(float(values.var()) - 1 / (4 * (2 * 0.4 + 1))) < 0.02


def test_cutmix_by_hand() -> None:
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 8, 8)
    for batch in range(20):
        mixture, share = mixed(images, TrainSettings(cutmix=1.0), 0, batch)
        own = mixture == images
        assert torch.equal(own, own[:1, :1].expand_as(own))
        assert share == pytest.approx(own[0, 0].float().mean().item())
        rows, columns = (~own[0, 0]).nonzero().unbind(1)
        if len(rows):
            assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert torch.equal(mixture, torch.where(own, images, images.roll(1, 0)))


@pytest.mark.parametrize("changes", [{"mixup": 0.7}, {"cutmix": 1.0}])
def test_all_frames_of_a_video_are_mixed_alike(changes: dict[str, float]) -> None:
    videos, chosen = torch.randn(6, 4, 3, 8, 8), TrainSettings(**changes)  # type: ignore[arg-type]
    mixture, share = mixed(videos, chosen, 0, 3)
    for frame in range(4):
        expected, expected_share = mixed(videos[:, frame], chosen, 0, 3)
        assert share == expected_share
        assert torch.equal(mixture[:, frame], expected)


def test_randaugment_is_for_grey_and_colour_images(tmp_path: Path) -> None:
    parts = {name: getattr(striped_data(), name) for name in ("train", "test")}
    four = {name: replace(part, images=part.images.repeat(1, 4, 1, 1)) for name, part in parts.items()}
    data, spec = striped_data(**four, mean=(0.5,) * 4, std=(0.3,) * 4), tiny_spec(input={"channels": 4, "size": 8})
    with pytest.raises(DataError, match="the images have 4 channels, but RandAugment is for 1 or 3"):
        train(spec, data, TrainSettings(randaugment=1, device="cpu"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_loss_of_a_mixture_by_hand() -> None:
    data, settings = striped_data(), TrainSettings(mixup=1.0, device="cpu", epochs=1)
    module = TrainingModule(compile_spec(tiny_spec()), data, settings).eval()
    images, labels = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    loss = module._count("train", images, labels, labels.roll(1), 0.3)
    targets = 0.3 * torch.eye(3)[labels] + 0.7 * torch.eye(3)[labels.roll(1)]
    logits = module.network(images)
    each = [
        torch.nn.functional.cross_entropy(logits[:, n], targets, label_smoothing=0.1) for n in range(logits.shape[1])
    ]
    torch.testing.assert_close(loss, torch.stack(each).mean())


def test_another_mean_and_deviation_are_stored_and_used(
    spec: NetworkSpec, data: ImageData, settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    train(spec, data, settings(epochs=1, mean=[0.25], std="0.125"), tmp_path / "run", quiet=True)
    run = load_run(tmp_path / "run")
    assert (run.card.mean, run.card.std) == ([0.25], [0.125])
    assert run.prepare(torch.full((1, 8, 8), 0.5)).unique().tolist() == [2.0]
    train(spec, replace(data, mean=(0.25,), std=(0.125,)), settings(epochs=1), tmp_path / "same", quiet=True)
    assert load_run(tmp_path / "same").weights.keys() == run.weights.keys()
    assert all(torch.equal(value, run.weights[name]) for name, value in load_run(tmp_path / "same").weights.items())


@pytest.mark.parametrize(("mean", "std"), [("0.5", ""), ("0.5,0.5", "0.2,0.2"), ("0.5", "0"), ("123.7", "58.4")])
def test_a_mean_and_deviation_for_each_channel_are_needed(
    spec: NetworkSpec, data: ImageData, settings: Callable[..., TrainSettings], tmp_path: Path, mean: str, std: str
) -> None:
    with pytest.raises(DataError, match=rf"mean is `{mean}` and std is `{std}`, but the images have 1 channel of"):
        train(spec, data, settings(mean=mean, std=std), tmp_path / "run")
    with pytest.raises(SpecError, match=r"a number for each channel, with commas between\.\n  It means: Mean of each"):
        settings(mean="half")
