"""What is seen of a run while it trains."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError
from cortexgraph.pages.contents import read_view
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, TrainSettings, fit, progress, recorder, train

from .test_resume import BATCHES, interrupt_after

Make = Callable[..., TrainSettings]


def test_lines_within_an_epoch(
    spec: NetworkSpec,
    data: ImageData,
    settings: Make,
    tmp_path: Path,
    no_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    train(spec, data, settings(epochs=2), tmp_path / "run")
    lines = [line for line in capsys.readouterr().out.splitlines() if " batches  " in line]
    pattern = (
        r"epoch (\d)/2  (\d)/3 batches  loss (\S+)  accuracy t2 \S+% t3 \S+% t4 (\S+)%  images/s [\d,]+  left 0:00"
    )
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [(match[1], match[2]) for match in found if match] == [(e, b) for e in "12" for b in "123"]
    metrics = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    whole = [dict(zip(metrics[0].split(","), row.split(","), strict=True)) for row in metrics[1:]]
    last = [match for match in found if match and match[2] == "3"]  # the epoch's last line has its figures
    assert [float(match[3]) for match in last] == pytest.approx([float(row["train_loss"]) for row in whole], abs=1e-3)
    shares = [100 * float(row["train_accuracy"]) for row in whole]
    assert [float(match[4]) for match in last] == pytest.approx(shares, abs=0.1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_bar_on_a_terminal(
    spec: NetworkSpec,
    data: ImageData,
    settings: Make,
    tmp_path: Path,
    no_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    output: list[bytes] = []

    def read() -> None:
        while True:
            try:
                output.append(os.read(master, 65536))
            except OSError:
                return

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "LOOK_EVERY_S", 0.0)
    with os.fdopen(slave, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        train(spec, data, settings(epochs=2, batch_size=4), tmp_path / "run")
    reader.join()
    os.close(master)
    text = b"".join(output).decode()
    assert re.search(r"epoch 1/2 .*loss: \d.*accuracy: t2 .*% t3 .*images/s: [\d,]+.*left: 0:0", text), text


def test_curves_as_the_run_goes_on(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(recorder, "draw_curves", lambda history, title, paths: drawn.append(len(history)))
    monkeypatch.setattr(fit, "draw_curves", lambda *arguments: None)
    train(spec, data, settings(), tmp_path / "short", quiet=True)
    assert drawn == []  # a run of less than a second is not held up
    monkeypatch.setattr(recorder, "DRAWING_PAUSE", 0)
    train(spec, data, settings(), tmp_path / "run", quiet=True)
    assert drawn == [1, 2, 3]


def test_curves_of_an_interrupted_run(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 2 * BATCHES + 1)
        with pytest.raises(Interrupted, match="after 2 of 3"):
            train(spec, data, settings(), folder, quiet=True)
    picture = (folder / "curves.svg").read_text()
    assert "tiny on stripes" in picture
    _, view = read_view(folder)
    assert view.curves is not None
    assert view.accuracy == ()


def test_curves_of_a_run_that_fails(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def check(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == BATCHES + 4:
            raise CortexGraphError("diverged")

    monkeypatch.setattr(recorder, "check_finite", check)
    with pytest.raises(CortexGraphError, match="diverged"):
        train(spec, data, settings(), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "curves.svg").exists()
