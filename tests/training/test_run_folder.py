from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from pydantic import JsonValue

from cortexgraph import files
from cortexgraph.errors import DataError
from cortexgraph.files import locked, replacing
from cortexgraph.training import RunFolder, run_folder
from cortexgraph.training.records import DataCard, Started
from cortexgraph.training.run_folder import write_json

from .conftest import tiny_spec

CARD = DataCard(
    name="shapes",
    classes=["a"],
    train_images=20,
    test_images=10,
    mean=[0.5],
    std=[0.5],
    augment={"flip": True},
    sha256="0" * 64,
    load_data={"source": "shapes", "train_images": 20},
)


def started(**settings: JsonValue) -> Started:
    return Started(cortexgraph_run=1, settings=settings)


def make_run(path: Path, *, finished: bool) -> RunFolder:
    run = RunFolder(path)
    run.start(started(seed=7), tiny_spec(), CARD)
    if finished:
        run.summary.write_text("{}")
    return run


def test_new_and_empty_folders_are_free(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new" / "deep").check_startable()
    RunFolder(tmp_path).check_startable()


def test_folder_of_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="is not empty and is not a cortexgraph run"):
            RunFolder(tmp_path).check_startable(overwrite=overwrite)


@pytest.mark.parametrize(
    "content", ["[]", "3", '"cortexgraph_run"', '["cortexgraph_run"]', "not json", '{"settings": {}}']
)
def test_settings_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(DataError, match="is not a cortexgraph run"):
        RunFolder(tmp_path).check_startable(overwrite=True)


def test_unfinished_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=False)
    with pytest.raises(
        DataError, match=r"holds an unfinished run.\n  Continue it with `resume=True`, or give `overwrite=True`"
    ):
        run.check_startable()
    run.check_startable(resume=True)
    run.check_startable(overwrite=True)
    with pytest.raises(DataError, match="both resume and overwrite"):
        run.check_startable(resume=True, overwrite=True)


def test_finished_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=True)
    with pytest.raises(DataError, match="holds a finished run"):
        run.check_startable()
    with pytest.raises(DataError, match="this run is finished"):
        run.check_startable(resume=True)
    run.check_startable(overwrite=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="there is no run here to resume"):
            RunFolder(path).check_startable(resume=True)


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="this is a file, not a folder"):
        RunFolder(tmp_path / "file").check_startable()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="it cannot be written"):
        RunFolder(tmp_path / "file" / "run").start(started(), tiny_spec(), CARD)


def test_overwriting_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=True)
    (run.checkpoints / "last.ckpt").touch()
    (run.path / "notes.txt").write_text("mine")
    run.start(started(seed=8), tiny_spec(), CARD)
    assert not run.is_finished
    assert not run.last.exists()
    assert (run.path / "notes.txt").read_text() == "mine"
    assert run.read_settings() == started(seed=8)


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=False)
    left = [run.checkpoints / ".last.ckpt.abcd_123.ckpt", run.path / ".metrics.csv.12345678.csv"]
    kept = [run.last, run.metrics, run.path / ".mine.csv"]
    for path in left + kept:
        path.touch()
    run.remove_leftovers()
    assert [path for path in left if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    left[1].touch()
    run.start(started(), tiny_spec(), CARD)
    assert not left[1].exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not whole"),
        ("", "is not whole"),
        ("[" * 100_000, "is not whole"),
        ('{"name": "\\ud800"}', "is not whole"),
        ('{"name": ' + "9" * 5000 + "}", "is not whole"),
        ("[1]", "is not what a run writes"),
    ],
)
def test_damaged_json(tmp_path: Path, content: str, problem: str) -> None:
    run = make_run(tmp_path / "run", finished=False)
    run.data.write_text(content)
    with pytest.raises(DataError, match=f"data.json {problem}"):
        run.read_card()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A pipe is never opened: reading it would wait for ever."""
    run = make_run(tmp_path / "run", finished=False)
    run.data.unlink()
    with pytest.raises(DataError, match=r"data\.json is missing"):
        run.read_card()
    for make in (os.mkfifo, os.mkdir):
        make(run.data)
        with pytest.raises(DataError, match=r"data\.json is not a file"):
            run.read_card()
        run.data.rmdir() if run.data.is_dir() else run.data.unlink()
    for path in (run.data, run.settings):
        path.unlink(missing_ok=True)
        path.symlink_to(path)
    with pytest.raises(DataError, match=r"data\.json is missing"):
        run.read_card()
    with pytest.raises(DataError, match="this is not a cortexgraph run"):
        run.read_settings()


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": None},
        {"mean": ["x"]},
        {"mean": [0.5, 0.5]},
        {"std": [0]},
        {"std": [float("nan")]},
        {"classes": 3},
        {"classes": [{}]},
        {"name": None},
        {"load_data": {}},
        {"load_data": {"source": 3}},
        {"load_data": {"source": "shapes", "colour": 1}},
    ],
)
def test_damaged_card(tmp_path: Path, changes: dict[str, object]) -> None:
    run = make_run(tmp_path / "run", finished=True)
    assert run.read_card() == CARD
    write_json(run.data, CARD.model_dump(exclude_unset=True) | changes)
    with pytest.raises(DataError, match=r"data\.json is not what a run writes"):
        run.read_card()


def test_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"), replacing(file, durable=True) as temporary:
        temporary.write_text("half of the n")
        assert file.read_text() == "old"
        raise RuntimeError("power cut")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    with replacing(file, durable=True) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


# ---- one writer, and starts that were cut off ----------------------------------------


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    code = (
        "import sys; from cortexgraph.training import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked():\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(DataError, match="another process is training in this folder"), run.locked():
            pytest.fail("the lock was taken twice")
        other.kill()
    with run.locked():  # a killed process leaves the file, and not the lock
        pass
    assert [path.name for path in run.path.iterdir()] == [".run.lock"]


def test_one_who_waits_for_a_lock_keeps_out_those_who_come_later(tmp_path: Path) -> None:
    """The file of a lock is never removed: those who opened it before and after wait for the same lock."""
    path, order = tmp_path / ".lock", list[str]()

    def wait() -> None:
        with locked(path, "busy", wait_s=10):
            order.append("waited")
            time.sleep(0.3)
            order.append("ended")

    with locked(path, "busy"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
    while not order:
        time.sleep(0.01)
    with pytest.raises(DataError, match="busy"), locked(path, "busy"):
        pytest.fail("two hold the lock")
    thread.join()
    assert order == ["waited", "ended"]


def test_a_lock_that_was_left_opens_no_folder_of_something_else(tmp_path: Path) -> None:
    for name in (".run.lock", "thesis.tex"):
        (tmp_path / name).write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="is not empty and is not a cortexgraph run"):
            RunFolder(tmp_path).check_startable(overwrite=overwrite)


@pytest.mark.parametrize("present", [[".run.lock"], [".run.lock", ".settings.json.abcd_123.json"], ["settings.json"]])
def test_a_start_that_was_killed_can_be_repeated(tmp_path: Path, present: list[str]) -> None:
    """The settings, which make the folder a run, come before spec and data."""
    run = RunFolder(tmp_path)
    for name in present:
        (tmp_path / name).write_text('{"cortexgraph_run": 1, "settings": {}}')
    with pytest.raises(
        DataError, match=r"there is no run here to resume|interrupted while it started\.\n  Start it again"
    ):
        run.check_startable(resume=True)
    run.check_startable()
    with run.locked():
        run.start(started(), tiny_spec(), CARD)
    names = ["checkpoints", "data.json", "settings.json", "spec.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir() if path != run.lock) == names
    with pytest.raises(DataError, match="holds an unfinished run"):
        run.check_startable()


@pytest.mark.parametrize("writes", range(5))
def test_a_start_without_room_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The disk is full after some files, in a new folder and over a finished run."""
    for run in (RunFolder(tmp_path / "new"), make_run(tmp_path / "old", finished=True)):
        left = iter(range(writes))

        @contextmanager
        def full(path: Path, *, durable: bool = False, left: Iterator[int] = left) -> Iterator[Path]:
            if next(left, None) is None:
                raise DataError("no space left on device")
            with replacing(path, durable=durable) as temporary:
                yield temporary

        with monkeypatch.context() as patch:
            patch.setattr(run_folder, "replacing", full)
            patch.setattr(files, "replacing", full)
            with run.locked(), nullcontext() if writes == 4 else pytest.raises(DataError, match="no space left"):
                run.start(started(), tiny_spec(), CARD)
        assert not run.is_finished
        if writes < 4:
            run.check_startable()
