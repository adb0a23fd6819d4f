"""Files appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cortexgraph.errors import DataError
from cortexgraph.files import leftovers, new_folder, replacing, unwritable, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="a cut"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("a cut")
    assert path.read_text() == "before"
    write_text(path, "after")
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["no/such/folder.txt", ".", "a" * 300])
def test_what_cannot_be_written_is_a_data_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_text(tmp_path / name, "text")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=rf"{out}/no/a: it cannot be written"), new_folder(out) as folder:
        write_text(folder / "a", "text")
        write_text(folder / "no" / "a", "text")
    assert list(tmp_path.iterdir()) == []
    with new_folder(out) as folder:
        write_text(folder / "a", "text")
        assert not out.exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/a"]
    with pytest.raises(DataError, match="out: this exists already, but a new folder is needed"), new_folder(out):
        pass


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [tmp_path / name for name in ("no/a.csv", "file/a.csv", "a.csv", ".", "a" * 300)]
    found = [finding.found for finding in unwritable(*paths, None)]
    assert found[0] == f"the folder {tmp_path / 'no'} does not exist"
    assert found[1:3] == [f"{tmp_path / 'file'} is a file, not a folder", "this is a folder"]
    assert len(unwritable(tmp_path / "file" / "new", folder=True)) == 1
    assert unwritable(tmp_path / "new" / "folder", tmp_path, folder=True) == []
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path, others = tmp_path / "[last].ckpt", [".[last].ckpt.mine.ckpt", ".best.ckpt.abcd1234.ckpt", "[last].ckpt"]
    for name in others:
        (tmp_path / name).touch()
    script = "import os, sys; from cortexgraph.files import replacing\nwith replacing(sys.argv[1]): os.abort()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, stderr=subprocess.DEVNULL)
    assert len([*tmp_path.iterdir()]) == 1 + len(others)
    for left in leftovers(path):
        left.unlink()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)


def test_a_pipe_or_device_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "text")
    reader.join(timeout=10)
    assert read == ["text"]
    assert pipe.is_fifo()


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "real.txt", tmp_path / "link.txt"
    target.write_text("before")
    link.symlink_to(target)
    write_text(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_mistake_while_writing_is_not_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a mistake"), replacing(tmp_path / "a.txt"):
        raise ValueError("a mistake")
    assert list(tmp_path.iterdir()) == []
