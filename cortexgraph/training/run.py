"""A trained run: its spec, settings and weights, and the networks with these weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.checks.behaviour import Record
from cortexgraph.codegen import MemoryFormat
from cortexgraph.compiler import compile_spec, unroll
from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphWarning, DataError, Diagnostic
from cortexgraph.interventions import intervene
from cortexgraph.network import CompiledNetwork
from cortexgraph.program import check_choice
from cortexgraph.released import read_weights
from cortexgraph.spec import NetworkSpec, SpecLike
from cortexgraph.spec.fields import pair
from cortexgraph.training.losses import CLASS, weighted_steps
from cortexgraph.training.named_runs import find_run
from cortexgraph.training.reached import reached_steps, read_steps
from cortexgraph.training.records import DataCard
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.tasks import CLASS_MAP, kind_of, target_arguments
from cortexgraph.unrolling import Order
from cortexgraph.wording import quoted

At = Literal["all", "last"] | int | Sequence[int]
Epoch = Literal["kept", "best", "last"]


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained run, read and checked, and the networks with its weights.

    Attributes:
        folder: its files.
        spec: the network as it was trained.
        settings: of training.
        card: what the run keeps of its data.
        weights: the state dict of the epoch that was asked for.
        options: arguments of `compile` for `network`.
        interventions: a file of interventions that all its networks are under (`docs/interventions.md`).

    Examples:
        >>> run = load_run("ventral-cifar10")
        >>> logits = run.network(run.prepare(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)))
        >>> run.classes[:2]
        ('airplane', 'automobile')
    """

    folder: RunFolder
    spec: NetworkSpec
    settings: TrainSettings
    card: DataCard
    weights: Mapping[str, Tensor]
    options: Mapping[str, Any] = field(default_factory=dict)
    interventions: Path | None = None

    def __repr__(self) -> str:
        return f"<TrainedRun {self.spec.name} in {self.folder.path}, trained on {self.data}>"

    def __iter__(self) -> Any:
        """Spec and network, as `spec, network = load_run(path)` takes them."""
        return iter((self.spec, self.network))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes: logit n is that of class n."""
        return tuple(self.card.classes)

    @property
    def data(self) -> str:
        """The name of the data set on which it was trained."""
        return self.card.name

    @property
    def read_in_training(self) -> tuple[int, ...]:
        """The steps at which the loss of training read the first readout."""
        return weighted_steps(self.spec.readout.loss_over or self.settings.loss_over, read_steps(unroll(self.spec)))

    @property
    def kind(self) -> str:
        """The kind of target of the first readout, such as `class` (docs/tasks.md)."""
        return kind_of(self.spec.readouts[0], self.settings.loss)

    def require_classes(self) -> None:
        """Raise DataError if the first readout was not trained to classify."""
        if self.kind != CLASS:
            found, repair = f"{self.spec.name} was not trained to classify", "Use `cg.evaluate` and `cg.predict`."
            raise DataError(Diagnostic("not-a-classifier", str(self.folder.path), found, repair=repair))

    def labels(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """The number of the logit of each image's class, by its name; −1 where the network has no such class.

        Where the classes of a released network have other names, they are taken in their order.
        """
        others, own = sorted(set(names)), self.classes
        renamed = not self.card.train_images and len(others) == len(own)
        numbers = {name: index for index, name in enumerate(others if renamed else own)}
        return np.array([numbers.get(name, -1) for name in names], dtype=np.int64)

    # ---- networks ----------------------------------------------------------------

    @cached_property
    def network(self) -> CompiledNetwork:
        """The network with the run's weights, in evaluation mode."""
        return self.compile(**self.options)

    @arguments_explained
    def compile(
        self,
        steps: int | None = None,
        order: Order | None = None,
        *,
        at: At | None = None,
        record: Record | None = None,
        memory_format: MemoryFormat = "contiguous",
    ) -> CompiledNetwork:
        """Another network with the run's weights, in evaluation mode.

        Args:
            steps, order: number of steps T and order; by default those of the run.
            at: steps of readout: `all` from the first response to T, `last`, or a list; by default those of the run.
            record: states to return, as for `cortexgraph.compile`.
            memory_format: `contiguous` or `channels_last`.

        Raises:
            CompileError: as `cortexgraph.compile`.
            DataError: if the weights do not fit the network.
        """
        spec = with_readouts(self.spec, at)
        video = self.card.frames is not None
        network = compile_spec(spec, steps, order, record, memory_format=memory_format, video=video)
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError:
            raise self.folder.damaged(self.folder.weights, "does not fit the network of spec.yaml") from None
        return (network if self.interventions is None else intervene(network, self.interventions)).eval()

    def reached(self, network: CompiledNetwork) -> dict[int, bool]:
        """For each step of the first readout of a network, whether training reached every parameter that it uses."""
        return reached_steps(self.spec, network.spec)

    # ---- images ------------------------------------------------------------------

    @arguments_explained
    def prepare(self, images: Tensor | npt.NDArray[Any]) -> Tensor:
        """Images normalised as the training images were.

        Args:
            images: [..., C, H, W], uint8, or floats in [0, 1].

        Returns:
            float32 [..., C, H, W], on the device of the images.

        Raises:
            DataError: for values or channels that are not those of images.
        """
        try:
            values = torch.as_tensor(images)
        except (TypeError, ValueError, RuntimeError):
            kind = type(images).__name__
            repair = "Make one with `torch.as_tensor(numpy.asarray(image))`, or give the file to `cg.predict`."
            raise _bad_images(f"they are a {kind}", "a tensor or an array is needed", repair) from None
        mean, std = (torch.tensor(v, device=values.device)[:, None, None] for v in (self.card.mean, self.card.std))
        if values.ndim < 3 or values.shape[-3] != len(mean):
            shape = f"[..., {len(mean)}, H, W]"
            repair = f"The network takes {len(mean)} channels."
            if values.ndim > 2 and values.shape[-1] == len(mean):
                repair = "Put channels first: `.movedim(-1, -3)` of a tensor."
            elif values.ndim > 2 and values.shape[-3] == 1:
                repair = "Repeat the channel: `.expand(-1, 3, -1, -1)` of a tensor."
            elif values.ndim > 2 and values.shape[-3] == 4:
                repair = "Leave the fourth channel out: `[:, :3]`."
            raise _bad_images(f"their shape is {list(values.shape)}", f"{shape} is expected", repair)
        if values.dtype == torch.uint8:
            return (values.float() / 255 - mean) / std
        if not values.is_floating_point():
            kind = str(values.dtype).removeprefix("torch.")
            raise _bad_images(f"their type is {kind}", "it must be uint8, or floats in [0, 1]", "Convert them.")
        if values.numel() and not (values.min() >= 0 and values.max() <= 1):
            extremes = f"from {float(values.min()):g} to {float(values.max()):g}"
            raise _bad_images(f"they are floats {extremes}", "floats lie in [0, 1]", "Scale them, or give uint8.")
        return (values.float() - mean) / std

    def normalised(self, data: ImageData) -> ImageData:
        """A data set with the statistics of the run's training images.

        Raises:
            DataError: if its classes are not those of the run.
        """
        numbered = not self.card.train_images and len(self.classes) == len(data.classes)  # a released network
        numbered |= data.targets.kind == CLASS_MAP  # whose classes are those that occur in the maps
        if self.classes != data.classes and not numbered:
            found = f"its {len(data.classes)} classes are {_some(data.classes)}"
            expected = f"the run was trained on {self.data} with {_some(self.classes)}"
            repair = "Give the data set that the run was trained on, or one with the same classes."
            raise DataError(Diagnostic("other-classes", f"data {data.name}", found, expected, repair))
        return replace(data, mean=tuple(self.card.mean), std=tuple(self.card.std))

    def data_arguments(
        self, source: str | None = None, root: str | Path | None = None, targets: str | Path | None = None
    ) -> dict[str, Any]:
        """Arguments of `load_data` for the run's images, or for another source, in the size that the network takes.

        Args:
            source: another data set; by default that of the run.
            root: the folder of CIFAR-10, in place of the run's.
            targets: the CSV file with the targets of a folder, in place of the run's.

        Raises:
            DataError: if none is named and the run was trained on images made in Python.
        """
        stored = self.card.arguments
        if source is None and stored is None:
            found = f"the arguments that load its data ({self.data}) are not stored with it"
            repair = "Give --data: a name such as cifar10, or a folder of images."
            raise DataError(Diagnostic("no-data", str(self.folder.path), found, repair=repair))
        arguments = stored if stored is not None and source in {None, stored["source"]} else {"source": source}
        size: dict[str, Any] = {"size": pair(self.spec.input.size), "channels": self.spec.input.channels}
        size |= {} if self.card.resize is None else {"resize": self.card.resize}
        if targets is not None:
            size["targets"] = targets
        size |= target_arguments(self.spec, self.settings.loss)
        return arguments | ({} if root is None else {"root": root}) | size


@arguments_explained
def load_run(
    path: str | Path,
    *,
    spec: SpecLike | None = None,
    key_map: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    at: At | None = None,
    record: Record | None = None,
    epoch: Epoch = "kept",
) -> TrainedRun:
    """Open a trained run.

    Args:
        path: the folder of a run, the name of a trained network that ships, such as `ventral-cifar10`, one of the hub,
            such as `hf://org/name` or `hf://org/name@revision`, or the checkpoint of a released model.
        spec: of a checkpoint: the network that it belongs to.
        key_map: of a checkpoint: the file that says which tensor is which parameter; as for
            `cortexgraph.released.read_weights`.
        steps: number of steps T of `network`, as for `TrainedRun.compile`; by default as trained.
        order: order of its updates; by default as trained.
        at: steps at which it is read; by default as trained.
        record: states that it records; none by default.
        epoch: whose weights: those that the run `kept` (of the epoch that is best on validation images; without these
            of the last), those of the `best` epoch, or of the `last`.

    Raises:
        CompileError, SpecError: for an unknown epoch, and as `TrainedRun.compile`.
        DataError: if this is not a run, has not finished an epoch, or is damaged.

    Examples:
        >>> run = load_run("ventral-cifar10", steps=12, at="all")
        >>> run.network(run.prepare(torch.rand(2, 3, 32, 32))).shape
        torch.Size([2, 9, 10])
    """
    options = {"steps": steps, "order": order, "at": at, "record": record}
    if spec is not None or key_map is not None or Path(path).is_file():
        return _released(Path(path), spec, key_map, options)
    folder = find_run(path)
    check_choice("epoch", epoch, get_args(Epoch))
    settings, trained, card = folder.train_settings(), folder.read_spec(), folder.read_card()
    if not folder.checkpoints.exists() and folder.code:  # a run from others: in an own one, code is no surprise
        found = f"{path}: files that may hold code are not read ({quoted(folder.code)})"
        warnings.warn(found, CortexGraphWarning, stacklevel=2)
    unroll(with_readouts(trained, at), steps, order, record)  # so that wrong options are reported now
    weights = folder.read_weights(trained, card) if epoch == "kept" else folder.read_epoch(epoch, trained, card)
    return TrainedRun(folder, trained, settings, card, weights, options)


def _released(path: Path, spec: SpecLike | None, key_map: str | Path | None, options: Mapping[str, Any]) -> TrainedRun:
    """The checkpoint of a released model, as a run without a folder whose training is not known."""
    weights = read_weights(path, spec, key_map)
    images = weights.images
    card = DataCard(
        name=weights.data,
        classes=list(weights.classes),
        train_images=0,
        test_images=0,
        mean=list(images.mean),
        std=list(images.std),
        augment={},
        sha256="",
        load_data=None,
        resize=images.resize,
    )
    return TrainedRun(RunFolder(path), weights.spec, TrainSettings(), card, weights.state, options)


def opened(run: str | Path | TrainedRun) -> TrainedRun:
    """The run, opened if it is not. Raises DataError if it cannot be read, or is something else."""
    if isinstance(run, TrainedRun):
        return run
    if not isinstance(run, str | PathLike):
        found = f"a {type(run).__name__} was given, but a run of `cg.load_run`, or its folder, is needed"
        repair = "Train the network first, with `cg.train`."
        if isinstance(run, torch.nn.Module):
            repair = "A network knows neither its classes nor the normalisation: see docs/own_training_loop.md."
        raise DataError(Diagnostic("no-run", "run", found, repair=repair))
    return load_run(run)


def with_readouts(spec: NetworkSpec, at: At | None) -> NetworkSpec:
    """The spec with other steps of readout, if they are given."""
    if at is None:
        return spec
    if isinstance(at, str):
        return spec.read_at(at)
    steps = [at] if isinstance(at, SupportsIndex) else [*at]
    plain = {index(step) if isinstance(step, SupportsIndex) else step for step in steps}
    return spec.read_at(tuple(sorted(plain, key=repr) if any(isinstance(s, str) for s in plain) else sorted(plain)))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def _bad_images(found: str, expected: str, repair: str) -> DataError:
    return DataError(Diagnostic("bad-images", "images", found, expected, repair))
