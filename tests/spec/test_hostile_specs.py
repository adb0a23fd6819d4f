"""Whatever a file says, only a SpecError comes out, and it can be printed."""

import random
from pathlib import Path

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.spec import loads
from cortexgraph.spec.overrides import parse_overrides
from tests.fuzz import mutated_text

VALID = sorted((Path(__file__).parents[1] / "specs" / "valid").glob("*.yaml"))


def test_mutated_overrides():
    source = random.Random(0)
    base = VALID[0].read_text(encoding="utf-8")
    for _ in range(150):
        override = mutated_text("areas['V1'].size=[8, 8]", source)
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
