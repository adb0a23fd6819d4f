"""The example of docs/released_models.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "released_models.md").read_text()


def test_the_example_of_the_page_runs(run: Run) -> None:
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        Path(name).write_text(text)
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    exec(compile(code[1], "released_models.md", "exec"), {})
    lines = re.findall(r"^cortexgraph (.*net\.(?:pth|safetensors).*)$", PAGE, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        words = ["--device", "cpu"] if line.startswith("eval") else []
        result = run(*line.split(), *words)
        assert result.code == 0, result.err
    assert re.findall("uncertain: (.*?):", result.err) == ["images"]  # no checkpoint says how images were scaled
    assert '"stage2.conv": "V1_to_V2.conv"' in result.out
