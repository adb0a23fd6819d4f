"""Tasks other than classification, end to end: train, evaluate and predict; and targets that do not fit."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cortexgraph.compiler import compile_spec, interpret
from cortexgraph.data import ImageData, LabelledImages, Targets, load_data
from cortexgraph.data.folder import of_images
from cortexgraph.errors import CompileError, DataError, SpecError
from cortexgraph.hub.card import card_text
from cortexgraph.recording import record
from cortexgraph.spec import NetworkSpec, save
from cortexgraph.training import Summary, TrainSettings, evaluate, load_run, predict, train
from cortexgraph.training.losses import LOSSES, register_loss
from cortexgraph.training.tasks import target_arguments

from .conftest import SIZE_PX, run, striped_data, striped_images, tiny_spec

pytestmark = pytest.mark.usefixtures("no_pictures")


def readout(**changes: Any) -> dict[str, Any]:
    return {"from": "IT", "classes": 2, "at": "all"} | changes


def with_targets(
    kind: str, make: Callable[[LabelledImages], torch.Tensor], names: tuple[str, ...] = ("a", "b")
) -> ImageData:
    """The stripes with targets made of each split."""
    splits = {}
    for n, (split, count) in enumerate((("train", 48), ("test", 24))):
        images = striped_images(count, seed=n)
        zeros = torch.zeros(count, dtype=torch.int64)
        splits[split] = LabelledImages(images.images, zeros, make(images))
    targets = Targets(kind, tuple(splits["train"].goals(torch.arange(1)).shape[1:]))
    return striped_data(**splits, classes=names, targets=targets)


def brightness(images: LabelledImages) -> torch.Tensor:
    """Mean and contrast of each image, both of about unit size: float32 [N, 2]."""
    values = images.images.float().flatten(1) / 255
    return torch.stack([5 * values.mean(1), 5 * values.std(1)], 1)


def trained(spec: NetworkSpec, data: ImageData, folder: Path, **settings: Any) -> tuple[Summary, list[dict[str, str]]]:
    chosen = TrainSettings(**({"epochs": 2, "batch_size": 8, "lr": 0.04, "device": "cpu", "flip": "none"} | settings))
    summary = train(spec, data, chosen, folder, quiet=True, logger=["csv"])
    return summary, list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


# ---- numbers and labels ------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec, images without classes, and a table with their mean and contrast."""
    folder = tmp_path_factory.mktemp("place")
    save(tiny_spec(readout=readout(loss="huber")), folder / "tiny.yaml")
    rows = ["file,mean,contrast"]
    for split, count in (("train", 24), ("test", 12)):
        images = striped_images(count, seed=len(split))
        for index, (image, values) in enumerate(zip(images.images, brightness(images).tolist(), strict=True)):
            file = folder / "images" / split / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(file)
            rows.append(f"{split}/{index}.png,{values[0]},{values[1]}")
    (folder / "targets.csv").write_text("\n".join(rows))
    return folder


def test_numbers_from_a_csv_file_through_train_eval_and_predict(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["train", place / "tiny.yaml", "--data", place / "images", "--targets", place / "targets.csv"]
    done = run(
        *words, "--epochs", 3, "--batch-size", 8, "--device", "cpu", "--lr", 0.02, "--out", "run", "--logger", "csv"
    )
    assert done.exit_code == 0, done.output
    assert "24 training and 12 test images with numbers for each image (mean, contrast), 1 × 8 × 8" in done.output
    assert "test R², last epoch" in done.output
    summary = json.loads(Path("run/summary.json").read_text())
    assert "accuracy" not in summary
    assert summary["score"] == "r2"
    assert summary["metrics"].keys() == {"r2", "mae"}
    table = list(csv.DictReader(Path("run/metrics.csv").read_text().splitlines()))
    assert {"train_r2", "test_r2", "test_r2_step_2", "test_mae_step_4"} <= table[0].keys()
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert "- loss: huber, over all readout steps\n" in Path("run/summary.md").read_text()

    evaluated = run("eval", "run", "--csv", "t.csv", "--plot", "t.svg")
    assert evaluated.exit_code == 0, evaluated.output
    row = list(csv.DictReader(Path("t.csv").read_text().splitlines()))[-1]
    assert float(row["r2"]) == pytest.approx(summary["metrics"]["r2"]["4"], abs=1e-5)
    assert float(row["mae"]) == pytest.approx(summary["metrics"]["mae"]["4"], abs=1e-5)
    assert "accuracy" not in row

    trained_run = load_run("run")
    card = card_text(trained_run, trained_run.folder.read_summary(), "lab/size", None, [])
    assert "pipeline_tag: image-feature-extraction" in card
    assert "name: test R² at step 4" in card
    decided = run("eval", "run", "--decide", "entropy < 0.3")
    assert "tiny was not trained to classify" in str(decided.exception)
    other = run("eval", "run", "--data", place / "images" / ".." / "images")
    assert other.exit_code == 0, other.output
    table_free = run("eval", "run", "--data", place)
    assert "the targets are to be of the kind `numbers`" in str(table_free.exception)

    file = place / "images" / "test" / "3.png"
    predicted = run("predict", file, "-w", "run", "--csv", "p.csv")
    assert predicted.exit_code == 0, predicted.output
    last = list(csv.DictReader(Path("p.csv").read_text().splitlines()))[-1]
    assert (last["file"], last["step"]) == (str(file), "4")
    values = predict(file, "run").values[0, -1]
    assert [float(last["mean"]), float(last["contrast"])] == pytest.approx(values.tolist(), abs=1e-5)
    with pytest.raises(DataError, match="tiny does not give probabilities of classes or labels"):
        predict(file, "run").best(0)


def test_a_loss_of_a_readout_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    """It says on what the readout trains: without it, numbers would be read as classes."""
    spec, data = tiny_spec(readout=readout(loss="log-cosh")), with_targets("numbers", brightness)
    register_loss("log-cosh", "numbers")(lambda values, targets, _: (values - targets).cosh().log().mean(1))
    try:
        trained(spec, data, tmp_path / "run", epochs=1)
    finally:
        LOSSES.pop("log-cosh")
    with pytest.raises(DataError, match=r"its loss `log-cosh` is not registered\.\n  Import the Python file"):
        predict([], tmp_path / "run")
    for call in (lambda: trained(spec, data, tmp_path / "other"), lambda: target_arguments(spec, "mse")):
        with pytest.raises(CompileError, match=r"readout(\[0\])?\.loss: no loss is called `log-cosh`"):
            call()


def test_a_row_that_is_missing_is_one_message(place: Path, tmp_path: Path) -> None:
    table = tmp_path / "short.csv"
    table.write_text("\n".join((place / "targets.csv").read_text().splitlines()[:-1]))
    done = run("train", place / "tiny.yaml", "--data", place / "images", "--targets", table, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "1 image without a row: test/11.png, but each image needs one row." in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_labels_have_average_precision_and_probabilities(tmp_path: Path) -> None:
    names = ("horizontal", "bright")
    data = with_targets(
        "labels", lambda images: torch.stack([images.labels == 0, brightness(images)[:, 0] > 2.4], 1).float(), names
    )
    spec = tiny_spec(readout=readout())
    summary, table = trained(spec, data, tmp_path / "run", loss="binary-cross-entropy", epochs=5, lr=0.08)
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert {"test_average_precision_step_4", "test_f1"} <= table[0].keys()
    assert summary.scores[4] > 0.7
    measured = evaluate(tmp_path / "run", data, device="cpu")
    assert measured.scores()[-1] == pytest.approx(summary.scores[4], abs=1e-6)
    Image.fromarray(data.test.images[0, 0].numpy()).save(tmp_path / "a.png")  # type: ignore[attr-defined]
    predictions = predict(tmp_path / "a.png", tmp_path / "run", device="cpu")
    logits = load_run(tmp_path / "run").network(load_run(tmp_path / "run").prepare(data.test.images[:1]))  # type: ignore[attr-defined]
    torch.testing.assert_close(predictions.probabilities, logits.detach().sigmoid())


# ---- places ------------------------------------------------------------------------


def upright(kind: str) -> dict[str, Any]:
    """A readout that answers for each of 8 × 8 places."""
    return readout(**{"from": "V1", "pool": "places", "classes": 2 if kind == "class-map" else 1})


def bright(images: LabelledImages) -> torch.Tensor:
    """Which places are bright; the first column is not known."""
    return (images.images[:, 0] > 128).long().index_fill(2, torch.tensor([0]), -1)


@pytest.mark.parametrize(("kind", "score"), [("class-map", "mean_iou"), ("number-map", "r2")])
def test_answers_for_each_place(kind: str, score: str, tmp_path: Path) -> None:
    classes = kind == "class-map"
    data = with_targets(
        kind,
        bright if classes else lambda images: images.images.float() / 255,
        ("0", "1") if classes else ("depth",),
    )
    spec, loss = tiny_spec(readout=upright(kind)), "cross-entropy" if classes else "mse"
    summary, table = trained(spec, data, tmp_path / "run", loss=loss, epochs=4, lr=0.02)
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert summary.score == score
    assert summary.scores[4] > 0.5
    measured = evaluate(tmp_path / "run", data, device="cpu")
    assert measured.steps[-1].metrics == pytest.approx({n: v[4] for n, v in summary.metrics.items()}, abs=1e-5)
    Image.fromarray(data.test.images[0, 0].numpy()).save(tmp_path / "a.png")  # type: ignore[attr-defined]
    predictions = predict(tmp_path / "a.png", tmp_path / "run", device="cpu")
    assert predictions.values.shape[3:] == (SIZE_PX, SIZE_PX)
    last = [*predictions.rows()][-1]
    place = predictions.values[0, -1, :, 7, 7]
    expected = {"class": int(place.argmax())} if classes else {"value_0": place.item()}
    if classes:
        recorded = record(tmp_path / "run", of_images("stripes", data.test, ["", ""]), tmp_path / "a.npz", device="cpu")
        assert recorded.accuracy is None
        assert np.load(tmp_path / "a.npz")["logits"].shape == (24, 4, 2, SIZE_PX, SIZE_PX)
    assert last == {"file": str(tmp_path / "a.png"), "step": 4, "row": 7, "column": 7} | expected


@pytest.mark.parametrize(
    ("over_time", "transform"), [("each", None), ("mean", [{"conv": 3}, "relu"]), ("cumulative", [])]
)
def test_a_readout_of_places_equals_the_interpreter(over_time: str, transform: list[Any] | None) -> None:
    classes = 4 if transform == [] else 2
    chain = {} if transform is None else {"transform": transform}
    spec = tiny_spec(
        readout=readout(**{"from": "V1", "pool": "places", "classes": classes, "over_time": over_time}, **chain)
    )
    network = compile_spec(spec).eval()
    x = torch.rand(2, 1, 8, 8)
    logits = network(x)
    assert logits.shape == (2, 4, classes, 8, 8)
    torch.testing.assert_close(logits, interpret(spec, network.state_dict(), x)[0])
    assert "Logits [B, 4, " in network.source or "logits so far [B, 4, " in network.source


def test_a_transform_of_places_gives_as_many_channels_as_classes() -> None:
    with pytest.raises(Exception, match=r"gives 4 channels, but the readout has 3 for each place"):
        compile_spec(tiny_spec(readout=readout(**{"from": "V1", "pool": "places", "classes": 3, "transform": []})))


# ---- what does not fit -------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "loss", "kind", "message"),
    [
        ({}, "mse", "class", "the loss mse trains on numbers for each image, but the data has a class for each image"),
        ({}, "cross-entropy", "numbers", "Give `loss` mse, or `targets` FILE with other targets"),
        (
            {"loss": "l1"},
            "cross-entropy",
            "labels",
            r"the loss l1 trains on numbers .*Give `loss` binary-cross-entropy",
        ),
        ({"classes": 3}, "mse", "numbers", r"declares 3, but the data has 2 targets.*readout.classes=2"),
        (
            {"pool": "places"},
            "mse",
            "number-map",
            r"answers for 4 × 4 places, but its targets have 8 × 8.*`{upsample: 2}`",
        ),
        ({"pool": "places"}, "cross-entropy", "class", "Write `pool: avg` in the readout"),
        ({"pool": "places"}, "binary-cross-entropy", "labels", "does not train answers for each place"),
        ({"pool": "places", "target": "image"}, "cross-entropy", "class", "cross-entropy does not train on images"),
    ],
)
def test_targets_that_do_not_fit_are_found_before_training(
    changes: dict[str, Any], loss: str, kind: str, message: str, tmp_path: Path
) -> None:
    makers: dict[str, Callable[[LabelledImages], torch.Tensor]] = {
        "numbers": brightness,
        "labels": brightness,
        "class-map": bright,
        "number-map": lambda images: images.images.float().expand(-1, 2, -1, -1),
    }
    data = striped_data() if kind == "class" else with_targets(kind, makers[kind])
    with pytest.raises(DataError, match=f"(?s){message}"):
        train(tiny_spec(readout=readout(**changes)), data, TrainSettings(loss=loss, device="cpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_map_is_not_mixed_and_not_mirrored_for_evaluation(tmp_path: Path) -> None:
    data, spec = with_targets("class-map", bright, ("0", "1")), tiny_spec(readout=upright("class-map"))
    for changes in ({}, {"shift": 0, "flip": "none"}):
        settings = TrainSettings(mixup=0.2, cutmix=1.0, device="cpu", **changes)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="mixed images have no targets of this kind") as caught:
            train(spec, data, settings, tmp_path / "run")
        assert [finding.place for finding in caught.value.diagnostics] == ["settings.mixup", "settings.cutmix"]
    with pytest.raises(DataError, match="do not stay the same in a mirror image"):
        evaluate(compile_spec(spec), data, device="cpu", tta="mirror")


def test_a_readout_without_places_has_no_image_to_give() -> None:
    with pytest.raises(SpecError, match="`target: image` is set, but the readout has no places"):
        tiny_spec(readout=readout(target="image"))


# ---- videos ------------------------------------------------------------------------


def drifting(folder: Path, frames: int = 5, *, classes: bool = True) -> Path:
    """Videos of a bright bar that moves to the right or to the left by one pixel at each frame."""
    for split, count in (("train", 8), ("test", 4)):
        for n in range(count):
            right = n % 2 == 0
            for t in range(frames):
                picture = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
                picture[:, (n + (t if right else -t)) % SIZE_PX] = 255
                file = folder / split / (("right" if right else "left") * classes) / f"video {n}" / f"{t + 8}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(file)
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drifting(tmp_path_factory.mktemp("videos"))


def frame_spec(target: str, **changes: Any) -> NetworkSpec:
    return tiny_spec(readout=readout(**{"from": "V1", "pool": "places", "classes": 1, "target": target} | changes))


def test_the_next_frame_is_predicted_from_a_folder_of_videos(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save(frame_spec("next-frame", loss="l1"), tmp_path / "next.yaml")
    words = ["train", "next.yaml", "--data", videos, "--video", "--batch-size", 4, "--device", "cpu", "--lr", 0.02]
    done = run(*words, "--epochs", 4, "--out", "run", "--logger", "csv")
    assert done.exit_code == 0, done.output
    assert "8 training and 4 test videos without targets, 5 frames of 1 × 8 × 8" in done.output
    table = list(csv.DictReader(Path("run/metrics.csv").read_text().splitlines()))
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert {"test_r2", "test_mae_step_1"} <= table[0].keys()
    evaluated = run("eval", "run", "--csv", "t.csv")
    assert evaluated.exit_code == 0, evaluated.output
    rows = list(csv.DictReader(Path("t.csv").read_text().splitlines()))
    # by hand: the frame after each step, normalised as the images are
    trained_run = load_run("run")
    frames = np.stack(
        [
            [np.asarray(Image.open(f)) for f in sorted(v.iterdir(), key=lambda f: int(f.stem))]
            for v in sorted((videos / "test").glob("*/*"))
        ]
    )
    x = trained_run.prepare(torch.from_numpy(frames)[:, :, None])
    given = trained_run.network(x[:, :4]).detach()
    for n, row in enumerate(rows):
        assert float(row["mae"]) == pytest.approx(float((given[:, n] - x[:, n + 1]).abs().mean()), abs=1e-5)
    folder = next((videos / "test").glob("*/*"))
    predicted = run("predict", folder, "-w", "run", "--csv", "p.csv")
    assert predicted.exit_code == 0, predicted.output
    longer = run("eval", "run", "--steps", 6)
    assert "the videos have 5 frames, but the network needs 7, one for each step" in str(longer.exception)


def test_videos_are_classified_and_images_reconstructed(videos: Path, tmp_path: Path) -> None:
    arguments = {"size": (8, 8), "channels": 1, "cache": False}
    data = load_data(str(videos), frames=4, **arguments)
    assert (data.train.frames, data.classes) == (4, ("left", "right"))
    summary, table = trained(tiny_spec(readout=readout()), data, tmp_path / "classes", epochs=2, batch_size=4)
    assert summary.score == "accuracy"
    assert load_run(tmp_path / "classes").network.options.video
    images = striped_data()
    summary, table = trained(frame_spec("image"), images, tmp_path / "images", loss="mse", epochs=3)
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert summary.score == "r2"


def test_predictive_coding_minimises_the_activity_of_error_units(tmp_path: Path) -> None:
    spec = tiny_spec(
        readout={"from": "V1", "pool": "places", "transform": [], "classes": 4, "at": "all", "loss": "activity"}
    )
    summary, table = trained(spec, striped_data(), tmp_path / "run")
    assert float(table[-1]["test_activity"]) == pytest.approx(float(table[-1]["test_activity_step_4"]))
    assert summary.best_epoch == 1 + min(range(len(table)), key=lambda n: float(table[n]["test_activity"]))


def test_videos_that_do_not_fit_are_one_message(videos: Path, tmp_path: Path) -> None:
    arguments = {"size": (8, 8), "channels": 1, "cache": False}
    uneven = drifting(tmp_path / "videos")
    (uneven / "train" / "left" / "video 1" / "9.png").unlink()
    with pytest.raises(
        DataError, match="1 video of another length: train/left/video 1 4, but the others have 5 frames"
    ):
        load_data(str(uneven), frames=4, **arguments)
    with pytest.raises(DataError, match="the videos have 5 frames, but the network needs 9, one for each step"):
        load_data(str(videos), frames=9, **arguments)
    with pytest.raises(DataError, match="`shapes` has images"):
        load_data("shapes", frames=9, size=(32, 32), channels=3)
    with pytest.raises(DataError, match="a readout predicts the next frame, but the data has images"):
        train(frame_spec("next-frame"), striped_data(), TrainSettings(loss="mse", device="cpu"), tmp_path / "run")
    with pytest.raises(DataError, match=r"(?s)the network needs 5 frames, but the videos have 4.*steps.*3"):
        settings = TrainSettings(loss="mse", device="cpu")
        train(frame_spec("next-frame"), load_data(str(videos), frames=4, **arguments), settings, tmp_path / "run")


# ---- two views ---------------------------------------------------------------------


def test_two_views_are_told_from_those_of_other_images(tmp_path: Path) -> None:
    spec, data = tiny_spec(readout=readout(classes=4)), striped_data()
    summary, table = trained(spec, data, tmp_path / "run", loss="nt-xent", batch_size=16, shift=1)
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert summary.score == "pair_accuracy"
    measured = evaluate(tmp_path / "run", data, device="cpu")
    assert measured.images == 24
    assert measured.scores()[-1] == pytest.approx(summary.scores[4], abs=1e-6)
    with pytest.raises(DataError, match="two views of an image would be the same"):
        train(spec, data, TrainSettings(loss="nt-xent", augment=False, device="cpu"), tmp_path / "other")
