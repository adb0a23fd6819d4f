"""The images of a run: whether they fit the network, their digest, and their augmentation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cortexgraph.compiler import build
from cortexgraph.data import Augment, ImageData
from cortexgraph.data.load import balanced_subset
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.graph import Readout
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.fields import pair
from cortexgraph.spec.origin import path_text
from cortexgraph.training.losses import CLASS, CROSS_ENTROPY, LABELS, NOTHING, NUMBERS, VIEWS
from cortexgraph.training.records import DataCard, Origin
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.tasks import CLASS_MAP, FRAMES, KINDS, check_registered, frames_needed, kind_of, loss_of
from cortexgraph.wording import by, count_of

AUGMENTATION = {
    "crop_padding_px": "shift",
    "padding": "border",
    "flip": "flip",
    "cutout_px": "cutout",
    "randaugment": "randaugment",
}
"""The setting that stands over each field of `Augment`."""
FLIPS: dict[str | None, bool | str] = {"random": True, "alternating": "alternating", "none": False}


def check_fit(spec: NetworkSpec, data: ImageData, loss: str = CROSS_ENTROPY, *, targets: bool = True) -> None:
    """Raise DataError, with a finding for each difference, unless size, channels and targets of the data fit a network.

    `loss` is that of readouts that name none; without `targets` these do not matter. CompileError for losses that are
    not registered.
    """
    check_registered(spec)
    if not isinstance(data, ImageData):
        repair = "Load images with `cg.load_data`, or make them of tensors with `cortexgraph.data.ImageData.of`."
        raise DataError(Diagnostic("data-mismatch", "data", f"a {type(data).__name__} was given", repair=repair))
    channels, *size = data.train.shape
    findings = [
        finding for readout in build(spec).readouts if targets for finding in _targets(spec, readout, data, loss)
    ]
    declared, place = spec.input, path_text(spec.input_path(next(iter(spec.inputs))))
    compared = [
        (f"{place}.channels", [declared.channels], [channels], "channels"),
        (f"{place}.size", [*pair(declared.size)], size, "pixels (height, width)"),
    ]
    if findings := [*findings, *(_misfit(*each) for each in compared if each[1] != each[2])]:
        raise DataError(findings)


def _targets(spec: NetworkSpec, readout: Readout, data: ImageData, loss: str) -> Iterator[Diagnostic]:
    """In what the targets of a readout differ from those of the data, or of the images themselves."""
    declared, several = spec.readouts[readout.index], len(spec.readouts) > 1
    place = f"readout{f'[{readout.index}]' * several}"
    kind, name = kind_of(declared, loss), declared.loss or loss
    if declared.target != "data" and kind != FRAMES:
        found, repair = f"the loss {name} does not train on images", f"Give --loss {loss_of(NUMBERS)}, or leave it out."
        yield Diagnostic("task-mismatch", f"{place}.target", found, "`target` is set", repair)
    elif kind == LABELS and readout.is_map:
        found = f"the loss {name} does not train answers for each place"
        repair = f"Give --loss {CROSS_ENTROPY}, or mse."
        yield Diagnostic("task-mismatch", place, found, repair=repair)
    elif kind in KINDS and kind != data.targets.kind:
        found = f"the loss {name} trains on {KINDS[kind]}"
        repair = f"Give --loss {loss_of(data.targets.kind)}, or --targets FILE with other targets (docs/tasks.md)."
        if readout.is_map != data.targets.kind.endswith("map"):
            repair = f"Write `pool: {'avg' if readout.is_map else 'places'}` in the readout, or give other targets."
        yield other_targets(place, found, data, repair)
    elif kind == CLASS_MAP and readout.classes == 1:
        found, repair = "there is one class, which every place has", "Give 2 classes or more, or a map of numbers."
        yield Diagnostic("one-class", f"{place}.classes", found, repair=repair)
    elif kind in KINDS:
        known = len(data.classes) if kind != CLASS_MAP else max(len(data.classes), readout.classes)
        unit = "classes" if kind in {CLASS, CLASS_MAP} else "targets"
        if readout.classes != known:
            yield _misfit(f"{place}.classes", [readout.classes], [known], unit)
    elif kind == FRAMES and readout.classes != data.train.shape[0]:
        yield _misfit(f"{place}.classes", [readout.classes], [data.train.shape[0]], "channels")
    size = tuple(data.targets.shape[-2:] if kind in KINDS else data.train.shape[1:])
    if readout.is_map and kind not in {NOTHING, VIEWS} and len(size) == 2 and readout.outputs[1:] != size:
        found = f"the readout answers for {' × '.join(map(str, readout.outputs[1:]))} places"
        factor = size[0] // readout.outputs[1]
        repair = (
            "Read an area of that size" + f", or end its `transform` with `{{upsample: {factor}}}`" * (factor > 1) + "."
        )
        yield Diagnostic("map-size", place, found, f"its targets have {by(size)}", repair)


def other_targets(place: str, found: str, data: ImageData, repair: str) -> Diagnostic:
    """The finding for data with targets of another kind."""
    has = KINDS.get(data.targets.kind, data.targets.kind)
    return Diagnostic("task-mismatch", place, found, f"the data has {has}", repair)


def check_frames(spec: NetworkSpec, data: ImageData) -> None:
    """Raise DataError unless videos have a frame for each step, and after the last one the one to be predicted."""
    needed, frames = frames_needed(spec), data.train.frames
    if frames is None and needed > spec.time.steps:
        found, repair = "a readout predicts the next frame", "Give videos, in a folder for each, with --video."
        raise DataError(Diagnostic("task-mismatch", "readout.target", found, "the data has images", repair))
    if frames is not None and frames < needed:
        found, expected = f"the network needs {needed} frames", f"the videos have {frames}"
        repair = f"Give --steps {max(1, spec.time.steps - needed + frames)}, or longer videos."
        raise DataError(Diagnostic("bad-video", "time.steps", found, expected, repair))


def check_classes(classes: int, data: ImageData) -> None:
    """Raise DataError if the number of logits is not that of the classes."""
    if classes != len(data.classes):
        raise DataError(_misfit("readout.classes", [classes], [len(data.classes)], "classes", "gives"))


def _misfit(path: str, own: list[int], other: list[int], unit: str, verb: str = "declares") -> Diagnostic:
    found = f"the network {verb} {' × '.join(map(str, own))}"
    expected = f"the data has {' × '.join(map(str, other))} {unit}"
    repair = f"Give --set {path}={repr(str(other)) if len(other) > 1 else other[0]}, or other data."
    return Diagnostic("data-mismatch", path, found, expected, repair)


def data_card(data: ImageData, origin: Mapping[str, object] | None = None) -> DataCard:
    """What a run keeps of its data; `origin` are the arguments of `load_data` that made it."""
    digest = hashlib.sha256()
    for split in (data.train, data.test):
        split.update(digest)
    return DataCard(
        name=data.name,
        classes=list(data.classes),
        train_images=len(data.train),
        test_images=len(data.test),
        mean=list(data.mean),
        std=list(data.std),
        augment={name: value for name, value in asdict(data.augment).items() if name != "randaugment" or value},
        sha256=digest.hexdigest(),
        preparation=data.preparation,
        streamed=data.train.streamed,
        resize=None if origin is None else cast("int | None", origin.get("resize")),
        load_data=None if origin is None else Origin.model_validate(origin, strict=False),
        **({} if data.train.frames is None else {"frames": data.train.frames}),
    )


def normalised(data: ImageData, settings: TrainSettings) -> ImageData:
    """The data with the mean and deviation of the settings, where they are given, in place of its own.

    Raises:
        DataError: if one is missing, not for each channel, or not of values from 0 to 1.
    """
    if not settings.mean and not settings.std:
        return data
    mean, std = (tuple(map(float, filter(None, text.split(",")))) for text in (settings.mean, settings.std))
    channels = data.train.shape[0]
    if not len(mean) == len(std) == channels or not min(std) > 0 or max(mean) > 1:
        found = f"mean is `{settings.mean}` and std is `{settings.std}`"
        expected = f"the images have {count_of(channels, 'channel')} of values from 0 to 1"
        repair = "Give --mean (0 to 1) and --std (above 0), each with one number for each channel."
        raise DataError(Diagnostic("bad-setting", "settings.mean", found, expected, repair))
    return replace(data, mean=mean, std=std)


def validation_rows(data: ImageData, settings: TrainSettings) -> list[int]:
    """Which training images the settings set aside for validation: the same share of every class, from the seed.

    Raises DataError if none would be left to train on, or none set aside.
    """
    asked, available = settings.validation, len(data.train)
    count = asked if isinstance(asked, int) else round(asked * available)
    if asked and not 0 < count < available:
        found = f"{count:,} of {available:,} training images would be set aside"
        expected = "at least one must be set aside and at least one left"
        repair = "Give fewer images, or a share such as 0.1." if count else "Give a larger share, or a number."
        raise DataError(Diagnostic("validation-split", "settings.validation", found, expected, repair))
    return balanced_subset(data.train.labels.tolist(), count, settings.seed, proportional=True)


def set_aside(data: ImageData, rows: Sequence[int]) -> ImageData:
    """The data with these training images, if there are any, as validation images."""
    if not rows:
        return data
    left = torch.ones(len(data.train), dtype=torch.bool)
    left[list(rows)] = False
    return replace(data, train=data.train[left.nonzero()[:, 0].tolist()], validation=data.train[rows])


def augmentation(data: ImageData, settings: TrainSettings) -> Augment | None:
    """The augmentation of training images: that of the data set, with the settings over it."""
    if not settings.augment:
        return None
    chosen = {field: getattr(settings, name) for field, name in AUGMENTATION.items()}
    chosen |= {"flip": FLIPS.get(chosen["flip"]), "randaugment": chosen["randaugment"] or None}
    return replace(data.augment, **{name: value for name, value in chosen.items() if value is not None})


def is_mixing(settings: TrainSettings) -> bool:
    """Whether training images are mixed with others of their batch."""
    return settings.augment and bool(settings.mixup or settings.cutmix)


def mixed(images: Tensor, settings: TrainSettings, epoch: int, batch: int) -> tuple[Tensor, float]:
    """A batch [B, C, H, W] with each image mixed with the one before it, and its own share, by mixup or cutmix.

    All frames of a video [B, F, C, H, W] are mixed alike. Seed, epoch and number of the batch decide the draws: several
    processes that share the batch see the same mixture.
    """
    from torchvision.transforms import v2

    # With the numbers of the images as labels, the mixed labels hold the shares, for any loss.
    count = len(images)
    makers = [(v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix)]
    transforms = [maker(alpha=alpha, num_classes=count) for maker, alpha in makers if alpha]
    with torch.random.fork_rng(devices=[]):
        seed_by(settings.seed, epoch, batch, 1)  # four numbers: processes seed themselves by three
        mixture, shares = v2.RandomChoice(transforms)(images.flatten(1, -3), torch.arange(count))
    return mixture.view_as(images), float(shares[0, 0])


def seed_by(*numbers: int) -> None:
    """Seed torch by these numbers; the seeds of neighbouring numbers have nothing in common."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def check_augmentation(spec: NetworkSpec, data: ImageData, settings: TrainSettings) -> None:
    """Raise DataError if these images, or their targets, cannot be augmented as the settings say."""
    kinds = {kind_of(readout, settings.loss) for readout in spec.readouts}
    if findings := [*_cannot_be_augmented(data, settings, kinds)]:
        raise DataError(findings)


def _cannot_be_augmented(data: ImageData, settings: TrainSettings, kinds: set[str]) -> Iterator[Diagnostic]:
    augment, channels = augmentation(data, settings), data.train.shape[0]
    leave_out = "Leave it out."
    if VIEWS in kinds and (augment is None or str(augment) == "none"):
        found, repair = "two views of an image would be the same", "Leave --no-augment out, or give --shift or others."
        yield Diagnostic("bad-augment", "settings.augment", found, repair=repair)
    for name in ("mixup", "cutmix"):
        if settings.augment and getattr(settings, name) and not kinds <= {CLASS, LABELS, NUMBERS}:
            found = "mixed images have no targets of this kind"
            yield Diagnostic("bad-augment", f"settings.{name}", found, repair=leave_out)
    if augment is None:
        return
    if augment.randaugment and len(data.targets.shape) > 1:
        found = "RandAugment moves the places of an image, and not those of its target"
        yield Diagnostic("bad-augment", "settings.randaugment", found, repair=leave_out)
    elif augment.randaugment and channels not in (1, 3):
        found, expected = f"the images have {channels} channels", "RandAugment is for 1 or 3"
        yield Diagnostic("bad-augment", "settings.randaugment", found, expected, leave_out)
    try:
        augment.check_fits(*data.train.shape[1:])
    except DataError as error:
        for finding in error.diagnostics:
            field = finding.place.removeprefix("augment.")
            yield replace(finding, place=f"settings.{AUGMENTATION[field]}")


def images_text(data: ImageData, settings: TrainSettings) -> str:
    """The images and their augmentation, as the run announces them."""
    size, noun = " × ".join(map(str, data.train.shape)), "images"
    if data.train.frames is not None:
        size, noun = f"{count_of(data.train.frames, 'frame')} of {size}", "videos"
    augment, mixing = augmentation(data, settings), {"mixup": settings.mixup, "cutmix": settings.cutmix}
    counts = f"{len(data.train):,} training and {len(data.test):,} test {noun}"
    if data.validation is not None:
        counts = f"{len(data.train):,} training, {len(data.validation):,} validation and {len(data.test):,} test {noun}"
    parts = [
        f"{counts} {_content(data)}, {size}",
        *([data.preparation] if data.preparation else []),
        *(["read as they are needed, as they do not fit into memory"] if data.train.streamed else []),
        f"augmentation: {augment or 'none'}",
        *[f"{name} {value:g}" for name, value in mixing.items() if value and settings.augment],
    ]
    return "; ".join(parts)


def _content(data: ImageData) -> str:
    """What the targets are, for people."""
    kind = data.targets.kind
    if kind == CLASS:
        return f"of {len(data.classes)} classes"
    if kind not in KINDS:
        return "without targets" if kind == NOTHING else f"with {kind}"
    names = f" ({', '.join(data.classes)})" if kind in {LABELS, NUMBERS} else ""
    return f"with {KINDS[kind]}{names}"
