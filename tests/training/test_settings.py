from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.training import TrainSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"epochs": 0},
            r"settings\.epochs: 0 was given, but it must be at least 1\.\n  Give, for example, 9\. It means: Passes",
        ),
        ({"epochs": 1.5}, r"settings\.epochs: 1\.5 was given, but it must be a whole number\."),
        ({"batch_size": True}, r"settings\.batch_size: True was given, but it must be a whole number\."),
        (
            {"optimizer": "adam"},
            r"settings\.optimizer: 'adam' was given, but it must be sgd, adamw or muon\.\n  Did you mean `adamw`\?",
        ),
        ({"schedule": "lin"}, r"but it must be one-cycle, step, cosine, linear or constant\.\n  Did you mean `linear`"),
        ({"schedule": "cos"}, r"Did you mean `cosine`\?"),
        ({"loss": "MSELoss"}, r"Did you mean `mse`\?"),
        ({"precision": "fp16"}, r"Did you mean `16`\?"),
        ({"device": "gpu"}, r"Did you mean `cuda`\?"),
        ({"learning_rate": 1}, r"Did you mean `lr`\?"),
        ({"lr": "abc"}, r"settings\.lr: 'abc' was given, but it must be a number\."),
        ({"epochs": "many"}, r"'many' was given, but it must be a whole number\."),
        ({"augment": "maybe"}, r"'maybe' was given, but it must be true or false\."),
        (
            {"lr": 0},
            r"lr: 0 was given, but it must be greater than 0\.\n  Give, for example, 0\.006\. It means: Peak learning",
        ),
        ({"lr": float("nan")}, r"settings\.lr: nan was given, but it must be"),
        ({"weight_decay": -1.0}, r"settings\.weight_decay: -1\.0 was given"),
        ({"label_smoothing": 1.0}, r"settings\.label_smoothing: 1\.0 was given, but it must be less than 1\."),
        ({"precision": "64"}, r"settings\.precision: '64' was given, but it must be 32, bf16, 16 or auto\."),
        ({"device": "gpu"}, r"settings\.device: 'gpu' was given, but it must be auto, cpu, mps, cuda or cuda:N\."),
        ({"loss_over": "0,0"}, r"settings\.loss_over: '0,0' was given, but it must be all, last or WEIGHTS\."),
        ({"loss_over": [1, -1]}, r"but it must be all, last or WEIGHTS\."),
        (
            {"restarts": (2, 9)},
            r"settings\.restarts: 2, 9 was given, but the schedule can start again after epochs 1 to 8, in rising",
        ),
        ({"restarts": (1,), "epochs": 1}, r"settings\.restarts: 1 was given, but a run of one epoch has no restart"),
        ({"seed": -1}, r"settings\.seed: -1 was given"),
        ({"warm": 3}, r"settings\.warm: this is not a setting, but the settings are recipe, epochs, batch_size, "),
        ({"batch_size": 10, "devices": 3}, r"settings\.batch_size: 10 images do not divide among 3 devices"),
    ],
)
def test_bad_setting(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TrainSettings(**changes)


def test_numbers_of_a_list_keep_all_their_digits() -> None:
    """As Python writes them: 1/3 has 16."""
    chosen = TrainSettings(loss_over=[1 / 3, 2 / 3], mean=[1 / 7], std=[1 / 3])  # type: ignore[arg-type]
    assert (chosen.loss_over, chosen.mean, chosen.std) == (f"{1 / 3},{2 / 3}", str(1 / 7), str(1 / 3))


def test_all_bad_settings_at_once() -> None:
    with pytest.raises(SpecError, match="bad-setting") as error:
        TrainSettings(epochs=0, lr=-1, optimizer="x")  # type: ignore[arg-type]
    assert [finding.place for finding in error.value.diagnostics] == [
        "settings.epochs",
        "settings.optimizer",
        "settings.lr",
    ]


def test_memory_does_not_grow_with_the_number_of_epochs() -> None:
    TrainSettings(restarts=(2, 4))  # what is made once
    tracemalloc.start()
    TrainSettings(epochs=1_000_000, restarts=(2, 4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_defaults_follow_the_optimizer() -> None:
    adamw, sgd = TrainSettings(), TrainSettings(optimizer="sgd")
    assert (sgd.lr, sgd.weight_decay) == (0.1, 0.0005)
    assert (adamw.lr, adamw.weight_decay) == (0.006, 0.01)
    assert TrainSettings(lr=0.3, weight_decay=0).lr == 0.3
    assert TrainSettings(weight_decay=0).weight_decay == 0


def test_settings_survive_json() -> None:
    settings = TrainSettings(lr=0.3, clip=1.0, device="cuda:1")
    assert TrainSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_number_of_bits_and_long_names() -> None:
    assert TrainSettings(precision=16).precision == "16"  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"settings\.learning_rate: .*\n  Did you mean `lr`\?"):
        TrainSettings(learning_rate=0.1)  # type: ignore[call-arg]
