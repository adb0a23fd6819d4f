"""Each specimen of the language: the valid ones load, each invalid one gives the code that its first line names."""

from pathlib import Path

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.spec import dumps, load, loads, zoo

SPECIMENS = Path(__file__).parents[1] / "specs"
INVALID = sorted((SPECIMENS / "invalid" / "language").glob("*.yaml"))
VALID = [*sorted((SPECIMENS / "valid").glob("*.yaml")), *zoo().values()]
HERE = "# <- here"


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_specimen(path: Path):
    lines = path.read_text().splitlines()
    code = lines[0].removeprefix("# expect: ")
    with pytest.raises(SpecError, match=rf"\[{code}\]") as caught:
        load(path)
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    assert finding.file == str(path)
    marked = [number for number, line in enumerate(lines, start=1) if HERE in line]
    assert not marked or finding.line == marked[0]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_specimen_loads_and_survives_a_round_trip(path: Path):
    spec = load(path)
    assert loads(dumps(spec)) == spec


def test_there_are_specimens():
    assert len(INVALID) > 40
    assert len(VALID) >= 5
