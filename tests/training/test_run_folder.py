from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.errors import DataError
from cortexgraph.training import RunFolder, run_folder
from cortexgraph.training.run_folder import write_json, writing

from .conftest import tiny_spec


def make_run(path: Path, *, finished: bool) -> RunFolder:
    run = RunFolder(path)
    run.start({"settings": {"seed": 7}})
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
    with pytest.raises(DataError, match=r"holds an unfinished run.\n  Continue it with --resume, or give --overwrite"):
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
        RunFolder(tmp_path / "file" / "run").start({})


def test_overwriting_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=True)
    (run.checkpoints / "last.ckpt").touch()
    (run.path / "notes.txt").write_text("mine")
    run.start({"settings": {"seed": 8}})
    assert not run.is_finished
    assert not run.last.exists()
    assert (run.path / "notes.txt").read_text() == "mine"
    assert run.read_settings() == {"settings": {"seed": 8}}


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
    run.start({})
    assert not left[1].exists()


def test_damaged_json(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", finished=False)
    for content, message in (("{", "is not whole"), ("[1]", "is not what a run writes")):
        run.data.write_text(content)
        with pytest.raises(DataError, match=f"data.json {message}"):
            run.read_json(run.data)
    run.data.unlink()
    with pytest.raises(DataError, match=r"data\.json cannot be read: No such file"):
        run.read_json(run.data)


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
    origin = {"source": "shapes", "train_images": 20}
    card = {"name": "shapes", "classes": ["a"], "mean": [0.5], "std": [0.5], "load_data": origin}
    write_json(run.data, card)
    assert run.read_card() == card
    write_json(run.data, card | changes)
    with pytest.raises(DataError, match=r"data\.json is not what a run writes"):
        run.read_card()


def test_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"), writing(file) as temporary:
        temporary.write_text("half of the n")
        assert file.read_text() == "old"
        raise RuntimeError("power cut")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    with writing(file) as temporary:
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
        other.communicate("")
    with run.locked():
        pass
    assert list(run.path.iterdir()) == []


def test_a_start_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    """Lock, spec and data come before the settings, which make the folder a run."""
    run = RunFolder(tmp_path)
    for name in (".run.lock", "spec.yaml", ".data.json.abcd_123.json"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="there is no run here to resume"):
        run.check_startable(resume=True)
    run.check_startable()
    with run.locked():
        run.start({"settings": {}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "settings.json"]


def test_settings_are_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise DataError("no space left on device")

    monkeypatch.setattr(run_folder, "write_text", full)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="no space left"), run.locked():
        run.start({"settings": {}}, tiny_spec(), {"name": "x"})
    assert not run.is_run
