"""The compiled network with its objective, as Lightning trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cortexgraph.data import Batches, ImageData
from cortexgraph.network import CompiledNetwork
from cortexgraph.training.images import is_mixing, seed_by
from cortexgraph.training.loaders import EpochLoader, evaluation_batches, run_length, train_batches
from cortexgraph.training.losses import logits_per_step
from cortexgraph.training.metrics import Scores
from cortexgraph.training.optimizers import lr_factor, make_optimizer, make_scheduler
from cortexgraph.training.reached import all_read_steps, read_steps
from cortexgraph.training.records import Split
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.tasks import SCORES, Objective


class TrainingModule(pl.LightningModule):  # type: ignore[misc, unused-ignore]
    """Trains a compiled network on images.

    Args:
        network: as `cortexgraph.compile` returns it.
        data: the images.
        settings: how to train.
        frozen: modules of the network that run as in evaluation, so that their running statistics stay.
    """

    def __init__(
        self, network: CompiledNetwork, data: ImageData, settings: TrainSettings, frozen: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.frozen = tuple(frozen)
        self.network, self.data, self.settings = network, data, settings
        self.readout_steps = read_steps(network.unrolled)
        self.objective = objective_of(network, settings)
        self.score = SCORES[self.objective.kind]
        self.updates = run_length(data, settings)
        self.split: Split = "test" if data.validation is None else "validation"  # on which epochs are evaluated
        self.counts = {"train": self._zero(), "evaluation": self._zero()}
        self.averaged = moving_average(network, settings.ema) if settings.ema else None

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and saved: the average, if there is one."""
        return self.network if self.averaged is None else self.averaged.module

    def _zero(self) -> Scores:
        outputs = self.network.spec.readouts[0].classes
        return Scores(self.objective.kind, outputs, len(self.readout_steps), self.device)

    def lr(self, update: int) -> float:
        """The learning rate of an update of the run, from 0."""
        return self.settings.lr * lr_factor(self.settings, update, self.updates)

    # ---- data ----------------------------------------------------------------

    def _loader(
        self,
        batches: Batches,
        first: Callable[[], int] = lambda: 0,
        mixing: TrainSettings | None = None,
        *,
        fixed: bool = False,
    ) -> EpochLoader:
        trainer = self.trainer
        return EpochLoader(
            batches,
            lambda: 0 if fixed else _finished_epochs(trainer),
            first,
            rank=trainer.global_rank,
            world=trainer.world_size,
            channels_last=self.settings.channels_last,
            mixing=mixing,
        )

    def train_dataloader(self) -> EpochLoader:
        """The training batches of the current epoch, on this process's device."""
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        settings, device = self.settings, self.trainer.strategy.root_device
        batches = train_batches(self.data, settings, device, self.objective.views)
        return self._loader(batches, lambda: int(progress.ready), settings if is_mixing(settings) else None)

    def val_dataloader(self) -> EpochLoader:
        """The images on which epochs are evaluated, on this process's device."""
        return self._evaluation(self.split)

    def test_dataloader(self) -> EpochLoader:
        """The test images, on this process's device."""
        return self._evaluation("test")

    def _evaluation(self, split: Split) -> EpochLoader:
        views = self.settings if self.objective.views > 1 else None
        device = self.trainer.strategy.root_device
        return self._loader(evaluation_batches(self.data, device, split=split, views=views), fixed=True)

    # ---- steps ---------------------------------------------------------------

    def _count(
        self, split: str, images: Tensor, labels: Tensor, others: Tensor | None = None, share: float = 1.0
    ) -> Tensor:
        """The loss of a batch, images [B, C, H, W] and labels [B, …], which is counted with the metrics.

        The labels hold for this share of each image, and those of other images for the rest.
        """
        network = self.network if split == "train" else self.evaluated
        logits = network(self.objective.shown(images))  # [B, classes] or [B, n, classes]
        loss = self.objective.loss(logits, images, labels, others, share)
        self.counts[split].add(loss, logits_per_step(logits), self.objective.targets(images, labels)[0])
        return loss

    def training_step(self, batch: tuple[Any, ...], batch_index: int) -> Tensor:
        """The loss of one batch."""
        return self._count("train", *batch)

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Take new weights into the average."""
        if self.averaged is not None and (batch_idx + 1) % self.settings.accumulate == 0:
            self.averaged.update_parameters(self.network)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Count the correct images of one batch, of which a process may have none."""
        if len(batch[1]):
            self._count("evaluation", *batch)

    test_step = validation_step

    # ---- epochs --------------------------------------------------------------

    def on_train_start(self) -> None:
        """Set the learning rate of the next batch: the checkpoint of a run that is extended has that of the old end."""
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            schedule: Any = config.scheduler
            for group, peak, factor in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
                group["lr"] = peak * factor(schedule.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Seed all randomness by the seed, the epoch and the process; keep frozen parts in evaluation mode."""
        for module in self.frozen:
            module.eval()
        seed_by(self.settings.seed, _finished_epochs(self.trainer), self.trainer.global_rank)
        self.counts["train"] = self._zero()

    def progress(self) -> dict[str, Any]:
        """What a resumed epoch needs beside a checkpoint: counts and random states, a row for each process."""
        own = {"counts": self.counts["train"].state(), "random": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["device_random"] = torch.cuda.get_rng_state(self.device)
        rows = [own] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(rows, own)
        return {"processes": rows}

    def take_up(self, progress: Mapping[str, Any]) -> None:
        """Go on in the middle of an epoch, with what `progress` gave there."""
        for module in self.frozen:
            module.eval()
        own = progress["processes"][self.trainer.global_rank]  # as many as there are: see `RunFolder.read_newest`
        self.counts["train"] = self._zero()
        self.counts["train"].restore(own["counts"])
        torch.set_rng_state(own["random"])
        if "device_random" in own:
            torch.cuda.set_rng_state(own["device_random"], self.device)

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self.counts["evaluation"] = self._zero()

    on_test_epoch_start = on_validation_epoch_start

    def by_step(self, values: Sequence[float]) -> dict[int, float]:
        """Values for each readout step, with the steps."""
        return dict(zip(self.readout_steps, values, strict=True))

    @property
    def is_divided(self) -> bool:
        """Whether fsdp divides the parameters among processes."""
        return self.settings.processes > 1 and self.settings.strategy == "fsdp"

    def configure_model(self) -> None:
        """With fsdp, divide the parameters: all at once, since a step reads most, and each is read at many steps."""
        if self.is_divided and not isinstance(self.network, FSDPModule):
            assert self.device_mesh is not None
            fully_shard(self.network, mesh=self.device_mesh["data_parallel"])

    def load_evaluated(self, state: dict[str, Any]) -> None:
        """Load whole weights into the network that is evaluated."""
        if self.is_divided:
            set_model_state_dict(self.evaluated, state, options=StateDictOptions(full_state_dict=True))
        else:
            self.evaluated.load_state_dict(state)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule, in Lightning's form."""
        optimizer = make_optimizer(self.network, self.settings)
        schedule = make_scheduler(optimizer, self.settings, self.updates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def objective_of(network: CompiledNetwork, settings: TrainSettings) -> Objective:
    """What training minimises for the readouts of a network."""
    spec = network.spec
    return Objective(spec.readouts, all_read_steps(network.unrolled), settings, spec.time.steps)


def as_training(module: pl.LightningModule) -> TrainingModule:
    """The module that a callback of Lightning gets, by its own type."""
    assert isinstance(module, TrainingModule)
    return module


def _finished_epochs(trainer: pl.Trainer) -> int:
    """How many epochs were finished, in all sessions of the run: the index of the one that is trained."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return int(progress.processed)


# ---- average -----------------------------------------------------------------------


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network's parameters and running statistics, to be updated after each batch.

    After n updates the decay is at most (1 + n) / (10 + n), so that the first weights are soon forgotten (as in
    TensorFlow). Running statistics are averaged as weights are: they are those of the weights that the average holds.
    """

    def update(averages: Any, values: Any, count: Any) -> None:
        at_most = (1 + int(count)) / (10 + int(count))
        get_ema_multi_avg_fn(min(decay, at_most))(averages, values, count)  # type: ignore[no-untyped-call]

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
