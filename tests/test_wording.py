"""Lists, suggestions, counts."""

from __future__ import annotations

import pytest

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
