"""The program of docs/own_training_loop.md for several devices; the doctests of the page hold the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "own_training_loop.md"


@pytest.mark.slow  # three processes import torch
def test_two_processes_train_as_the_page_shows(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    check = "import hashlib\nbefore = b''.join(p.detach().numpy().tobytes() for p in network.parameters())\n"
    check += "print('digest', hashlib.sha256(before).hexdigest(), flush=True)\ndist.destroy_process_group()"
    (tmp_path / "ddp.py").write_text(program.replace("dist.destroy_process_group()", check))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "ddp.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall(r"[\d.]+% at step 6\n", done.stdout)) == 1
    assert torch.load(tmp_path / "weights.pt", weights_only=True)["V1_to_V2.conv.weight"].shape == (8, 8, 3, 3)
    digests = re.findall(r"digest (\w+)", done.stdout)
    assert len(digests) == 2
    assert len(set(digests)) == 1  # both processes hold the same weights
