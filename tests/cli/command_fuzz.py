"""Command lines with absurd values in every option and argument of every command, and what becomes of each.

`python -m tests.cli.command_fuzz COUNT SEED` runs so many and prints each traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
import yaml
from PIL import Image

from cortexgraph import cli

SECONDS = 30

ABSURD = [
    "", " ", "0", "-1", "1", "2", "1.5", "1e300", "-1e300", "1e-300", "nan", "inf", "-inf", "9" * 19, "9" * 5000,
    "n" * 300, "n" * 5000, "x" * 65_600, "V\udcff", "\udcff.nc", "\x00", "a\nb", "[bold]", "[/]", "[cat]", "../..", ".",
    "~no", "/dev/null", "/dev/full", "/proc/self/mem", "dir", "dir.npz", "dir.svg", "tiny.yaml", "missing/x.svg",
    "x.svg", "x.NC", "=1+1", "@sum", "-x", "--", "None", "null", "{}", "[[", "]", "{{x}}", "%s", "\\", "'", '"', "$X",
    "*", "a=b", "a.b=c", "areas.A.channels=99999999999999999999", "areas.A.size=0", "time.steps=1e9", "time.steps=-1",
    "[]", "[[A], [B]]", "[A, A]", "[[[A]]]", "all", "last", "4,6,8", "1,1", "0,1", ",", "1,", "A=1", "A=", "=", "A@0",
    "A@99", "@", "A@B", "name=", "name=[bold]", "cpu", "cuda", "cuda:99", "mps", "meta", "sqrt", "true", "\u202e",
    "\U0001f9e0", "ａ",
]  # fmt: skip

TINY = """\
cortexgraph: 1
name: tiny
input: {channels: 3, size: 8}
areas: {A: {channels: 2}, B: {channels: 2}}
connections: [image -> A -> B -> A]
readout: {from: B, classes: 10}
time: {steps: 3}
"""
TRAINING = ["--epochs", "1", "--train-images", "20", "--test-images", "10", "--batch-size", "10", "--device", "cpu"]

BASES: dict[str, list[str]] = {
    "check": ["tiny.yaml"],
    "show": ["tiny.yaml"],
    "draw": ["tiny.yaml"],
    "page": ["tiny.yaml"],
    "compile": ["tiny.yaml"],
    "train": ["tiny.yaml", *TRAINING, "--quiet"],
    "eval": ["run", "--device", "cpu"],
    "compare": ["experiment.yaml"],
    "predict": ["a.png", "--device", "cpu", "--weights", "run"],
    "record": ["run", "-o", "acts.npz", "--images", "10", "--device", "cpu"],
    "attribute": ["run", "a.png", "--device", "cpu", "--points", "2"],
    "preferred": ["run", "--area", "A", "--units", "0", "--device", "cpu", "--iterations", "2"],
    "brain": ["run", "--data", "neural.npz", "--stimuli", "images", "--folds", "2", "--device", "cpu"],
    "export": ["run", "-o", "x.py"],
    "push": ["run", "--to", "shared"],
    "data pack": ["images", "-o", "packed"],
    "zoo": ["tiny.yaml"],
    "new": ["new.yaml"],
    "schema": [],
    "import connectome": ["areas.csv", "-o", "x.yaml"],
    "import weights": ["a.pth", "--spec", "alexnet", "-o", "x.safetensors"],
    "import tnn": ["a.json", "-o", "x.yaml"],
}
"""Command lines that work, to which one or two absurd things are added."""

LONG = {"train", "compare", "attribute", "preferred"}
"""Commands that may take as long as they are told, such as for 10¹⁹ epochs."""
FINE, AT_WORK, TRACEBACK = {0, 1, 2}, 97, 98


def commands() -> dict[str, Any]:
    """Each command of the application by its words."""
    from cortexgraph.cli.app import app

    tree: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    nested = {f"{name} {word}": one for name, c in tree.items() for word, one in getattr(c, "commands", {}).items()}
    return {name: command for name, command in tree.items() if not hasattr(command, "commands")} | nested


def every_line() -> Iterator[list[str]]:
    """Each option of each command with each absurd value, then each argument replaced by each."""
    for name, command in commands().items():
        base = BASES[name]
        for option in command.params:
            if option.param_type_name == "argument" and base:
                yield from ([*name.split(), value, *base[1:]] for value in ABSURD)
            elif option.param_type_name == "option" and option.name != "help":
                flag = max(option.opts, key=len)
                if getattr(option, "is_flag", False):
                    yield [*name.split(), *base, flag]
                else:
                    times = max(1, option.nargs)
                    yield from ([*name.split(), *base, flag, *[value] * times] for value in ABSURD)


def lines(seed: int, count: int) -> list[list[str]]:
    """So many lines, chosen at random; every third has a second absurd option."""
    source, every = random.Random(seed), [*every_line()]
    chosen = source.sample(every, min(count, len(every)))
    for number, line in enumerate(chosen):
        if number % 3:
            continue
        name = " ".join(line[:2]) if line[0] in {"data", "import"} else line[0]
        other = source.choice([each for each in every if each[: len(name.split())] == name.split()])
        start = len(name.split()) + len(BASES[name])
        chosen[number] = line + other[start:]
    return chosen


@contextlib.contextmanager
def ground() -> Iterator[Path]:
    """A folder with a tiny spec, a run of it, an image, a table, an experiment and odd folders."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "a", "b", "c")  # so that ../.. lies inside
        folder.mkdir(parents=True)
        os.chdir(folder)
        try:
            Path("tiny.yaml").write_text(TINY)
            Path("areas.csv").write_text("source,target,weight,sln,distance\nV1,V2,0.7,0.9,5\nV2,V1,0.3,0.1,5\n")
            data = {"source": "shapes", "train_images": 20, "test_images": 10}
            settings = {"epochs": 1, "batch_size": 10, "device": "cpu"}
            text = {
                "name": "e",
                "spec": "tiny.yaml",
                "variants": {"a": {}},
                "seeds": [0],
                "data": data,
                "train": settings,
            }
            Path("experiment.yaml").write_text(yaml.safe_dump(text))
            for odd in ("dir", "dir.npz", "dir.svg"):
                Path(odd).mkdir()
            importlib.import_module("cortexgraph.training.fit")  # takes longer than a command line may
            importlib.import_module("cortexgraph.brain")
            Image.new("RGB", (8, 8)).save("a.png")
            Path("images").mkdir()
            for n in range(16):
                Image.new("RGB", (8, 8), (16 * n, 255 - n * n, 0)).save(f"images/{n}.png")
            np.savez("neural.npz", responses=np.arange(32.0).reshape(16, 2) % 5, stimulus_id=np.arange(16))
            code, _, err = call(["train", "tiny.yaml", *TRAINING, "--quiet", "--out", "run"])
            assert code == 0, err
            yield folder
        finally:
            os.chdir(before)


def call(words: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command line in this process; a traceback is in the latter."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, sys.argv = sys.argv, ["cortexgraph", *words]

    def stop(*_: object) -> None:
        raise TimeoutError(f"not finished in {SECONDS} s")

    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 99
    except TimeoutError:
        code = AT_WORK
        err.write(traceback.format_exc())
    except BaseException:
        code = TRACEBACK
        err.write(traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        sys.argv = argv
    return code, out.getvalue(), err.getvalue()


def fuzz(seed: int, count: int, *, verbose: bool = False) -> tuple[Counter[int], list[str]]:
    """How often each exit code came, and a text for each line that ended in a traceback, silently, or with too much."""
    codes: Counter[int] = Counter()
    failures = []
    with ground():
        for line in lines(seed, count):
            code, out, err = call(line)
            codes[code] += 1
            is_fine = code in FINE and "Traceback" not in out + err and (code != 1 or err.strip()) and len(err) < 20_000
            if not is_fine and (code != AT_WORK or line[0] not in LONG):
                short = [word if len(word) < 80 else f"{word[:20]}…({len(word)})" for word in line]
                failures.append(f"{short!r} ended with {code}\n{err[-1500:]}")
                if verbose:
                    print(failures[-1].encode(errors="replace").decode(), "\n", flush=True)
    return codes, failures


if __name__ == "__main__":
    counted, failed = fuzz(int(sys.argv[2]), int(sys.argv[1]), verbose=True)
    print(dict(counted), f"{len(failed)} failures of {counted.total()}")
