"""Collect the tables and figures of the experiments that `run.py` ran, for docs/liao_poggio_2016.md.

    python examples/liao_poggio_2016/report.py runs/liao_poggio_2016 docs/liao_poggio_2016
    python examples/liao_poggio_2016/report.py runs/medium docs/liao_poggio_2016 _medium

The script copies each experiment's table and figure into the second folder, with a third argument as NAME_medium.csv
and so on, and prints the tables in Markdown.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from run import QUESTIONS

Row = dict[str, str]


def main(runs: Path, out: Path, suffix: str = "") -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, question in QUESTIONS.items():
        if not (runs / name / "figure.svg").exists():  # it was not run, or not to its end
            continue
        shutil.copyfile(runs / name / "table.csv", out / f"{name}{suffix}.csv")
        shutil.copyfile(runs / name / "figure.svg", out / f"{name}{suffix}.svg")
        rows = list(csv.DictReader((runs / name / "table.csv").read_text().splitlines()))
        axes = list(rows[0])[: list(rows[0]).index("evaluation")]
        trained = [row for row in rows if row["evaluation"] == "as trained"]
        print(f"\n### {question}\n")
        last = [row for row in trained if row["step"] == last_step(row, trained, axes)]
        print("\n".join(as_trained(axes, last, training_accuracy(runs / name))))
        if evaluated := [row for row in rows if row["evaluation"] != "as trained"]:
            print()
            print("\n".join(over_time(axes, evaluated)))


def last_step(row: Row, rows: Sequence[Row], axes: Sequence[str]) -> str:
    same = [other for other in rows if all(other[axis] == row[axis] for axis in axes)]
    return max((other["step"] for other in same), key=int)


def training_accuracy(folder: Path) -> dict[str, list[float]]:
    """Return, for each variant, the accuracy on augmented training images in the last epoch of each run."""
    accuracies: dict[str, list[float]] = {}
    for result in sorted(folder.glob("runs/*/*/result.json")):
        variant = ", ".join(json.loads(result.read_text())["values"].values())
        metrics = list(csv.DictReader((result.parent / "metrics.csv").read_text().splitlines()))
        accuracies.setdefault(variant, []).append(float(metrics[-1]["train_accuracy"]))
    return accuracies


def as_trained(axes: Sequence[str], rows: Sequence[Row], training: dict[str, list[float]]) -> Iterator[str]:
    head = [*axes, "trained parameters", "test accuracy (%)", "training accuracy (%)", "seeds", "s per run"]
    cells = []
    for row in rows:
        values = [row[axis] for axis in axes]
        counts = [f"{int(row['parameters']):,}", mean_sd(row), f"{100 * mean(training[', '.join(values)]):.1f}"]
        cells.append([*values, *counts, row["seeds"], f"{float(row['seconds']):.0f}"])
    yield from table(head, cells, len(axes))


def over_time(axes: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    steps = sorted({int(row["step"]) for row in rows})
    lines: dict[tuple[str, ...], dict[int, str]] = {}
    for row in rows:
        key = (*(row[axis] for axis in axes), row["evaluation"])
        lines.setdefault(key, {})[int(row["step"])] = f"{100 * float(row['accuracy_mean']):.1f}" + "†" * (
            row["trained"] == "0"
        )
    cells = [[*key, *(values.get(step, "") for step in steps)] for key, values in lines.items()]
    yield from table([*axes, "evaluation", *(f"{step}" for step in steps)], cells, len(axes) + 1)


def mean_sd(row: Row) -> str:
    spread = f" ± {100 * float(row['accuracy_sd']):.1f}" if row["accuracy_sd"] else ""
    return f"{100 * float(row['accuracy_mean']):.1f}{spread}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * texts + "---:|" * (len(head) - texts)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    if len(sys.argv) not in {3, 4}:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
