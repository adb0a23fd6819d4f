"""Lists, suggestions, counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cortexgraph.errors import Diagnostic, in_commands
from cortexgraph.wording import count_text, similar, suggest


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0 k"),
        (18_432, "18.4 k"),
        (147_456, "147 k"),
        (999_999, "1.0 M"),
        (3_000_000_000, "3.0 G"),
        (5e15, "5000 T"),
    ],
)
def test_counts(count: int, text: str) -> None:
    assert count_text(count) == text


def test_suggestions() -> None:
    assert similar("chanels", ["size", "Channels"]) == "Channels"
    assert similar("V9", ["V1", "IT"]) is None
    assert suggest("ventrl", ["ventral"], "Look.") == "Did you mean `ventral`?"
    assert suggest("macaque", ["ventral"], "Look.") == "Look."


@pytest.mark.parametrize(
    ("text", "in_python"),
    [
        (
            "Finish it with `cortexgraph train --resume --out r`.",
            "Finish it with `cortexgraph train --resume --out r`.",
        ),
        ("Start one without --resume.", "Start one without `resume=True`."),
        ("With --no-reciprocal they are left out.", "With `reciprocal=False` they are left out."),
        ("Lower --batch-size, use --precision bf16.", 'Lower `batch_size`, use `precision="bf16"`.'),
        ("Train with --batch-size 2 or more.", "Train with `batch_size=2` or more."),
        ("Add `--download` to fetch it.", "Add `download=True` to fetch it."),
        ("`--to source` takes every network.", '`to="source"` takes every network.'),
        ("Give --set input.size='[8, 8]', or else.", 'Give `cg.load(spec, ["input.size=[8, 8]"])`, or else.'),
        ("a -- b", "a -- b"),
    ],
)
def test_repairs_name_arguments_in_python_and_options_in_commands(text: str, in_python: str) -> None:
    finding = Diagnostic("code", "place", "found", repair=text)
    assert in_python in str(finding)
    with in_commands():
        assert text in str(finding)
    assert in_python in str(finding)


ROOT = Path(__file__).parents[1]
UNCLEAR = {
    r"\banew\b": "again, or new values",
    r"\b(what|which) is no (?!longer)": "which is not a …",
    r"\bso many\b": "this many, or at most N",
    r"\b(lest|thereof|whereof|hereof)\b": "words of today",
    r"(?<!neither )\b(never|not) \w+ nor\b": "or",
    r"\bthere (is|are) no such\b": "this file does not exist",
    r"\bnone such\b": "no such …",
    r"\b(merge|mend) these\b": "Fix these",
}
"""Phrases that readers must parse twice, and what to write."""


def test_texts_are_in_plain_english() -> None:
    files = [*ROOT.glob("cortexgraph/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    findings = [
        f"{file.relative_to(ROOT)}:{number}: write «{better}»: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        for phrase, better in UNCLEAR.items()
        if re.search(phrase, line, re.IGNORECASE)
    ]
    assert not findings, "\n".join(findings)
