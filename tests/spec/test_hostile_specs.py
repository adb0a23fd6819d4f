"""Whatever a file says, only a SpecError comes out, and it can be printed."""

import random
from pathlib import Path

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.spec import loads
from cortexgraph.spec.overrides import parse_overrides

VALID = sorted((Path(__file__).parents[1] / "specs" / "valid").glob("*.yaml"))
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "->",
    "&a ",
    "*a",
    "!!int ",
    "'",
    '"',
    "\\",
    "\t",
    "\n",
    "  ",
    "#",
    "|",
    ">",
    "?",
]
PIECES += [
    ".nan",
    ".inf",
    "-1",
    "0",
    "1e999",
    "9" * 30,
    "null",
    "true",
    "~",
    "\x00",
    "\x1b",
    "\u2028",
    "🧠",
    "ü",
    "%",
    "---",
    "<<: ",
]
WORDS = ["from", "to", "size", "areas", "image", "kernel", "time", "norm", "resize"]


def mutated(text: str, source: random.Random) -> str:
    for _ in range(source.randint(1, 4)):
        at, until = sorted(source.randrange(len(text) + 1) for _ in range(2))
        match source.randrange(4):
            case 0:
                text = text[:at] + source.choice(PIECES + WORDS) + text[at:]
            case 1:
                text = text[:at] + text[min(until, at + 8) :]
            case 2:
                text = text[:until] + text[at : at + 20] + text[until:]
            case _:
                text = text[:at] + source.choice(PIECES) + text[at + 1 :]
    return text


@pytest.mark.parametrize("seed", range(4))
def test_mutated_specs(seed: int):
    source = random.Random(seed)
    refused = 0
    for _ in range(75):
        text = mutated(source.choice(VALID).read_text(encoding="utf-8"), source)
        try:
            loads(text, file="fuzz.yaml")
        except SpecError as error:
            refused += 1
            assert error.diagnostics
            assert "\x1b" not in str(error).encode().decode()
    assert refused > 30


def test_mutated_overrides():
    source = random.Random(0)
    base = VALID[0].read_text(encoding="utf-8")
    for _ in range(150):
        override = mutated("areas['V1'].size=[8, 8]", source)
        try:
            loads(base, overrides=[override])
        except SpecError as error:
            assert "[" in str(error).encode().decode()


def test_nothing_is_executed(tmp_path: Path):
    trace = tmp_path / "trace"
    for text in (
        f'!!python/object/apply:os.system ["touch {trace}"]',
        f'name: !!python/object/apply:os.system ["touch {trace}"]',
    ):
        with pytest.raises(SpecError, match="is a YAML tag"):
            loads(text)
    with pytest.raises(SpecError, match="is a YAML tag"):
        parse_overrides([f'name=!!python/object/apply:os.system ["touch {trace}"]'])
    assert not trace.exists()
