"""Reading experiments from files."""

from __future__ import annotations

from pathlib import Path

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.spec.loading import read_text
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.yaml_source import read_json, read_yaml

__all__ = ["load_experiment"]


def load_experiment(path: str | Path) -> ExperimentSpec:
    """Read an experiment from a YAML or JSON file.

    Raises:
        SpecError: with every finding about the file's form; `plan` finds what is wrong with the variants.
    """
    file = str(path)
    text = read_text(Path(path))
    source = read_json(text, file) if file.lower().endswith(".json") else read_yaml(text, file)
    if not isinstance(source.data, dict):
        expected = "it must be a mapping with `name`, `spec`, `variants` and so on"
        found = "the experiment is empty" if source.data is None else "the experiment is no mapping"
        raise SpecError(source.findings or Diagnostic("wrong-type", "", found, expected, file=file, line=1))
    origin, findings = Origin(file, source.lines), list(source.findings)
    try:
        experiment = ExperimentSpec.model_validate(source.data, context=origin, by_alias=True, by_name=False)
    except SpecError as error:
        known = {(finding.place, finding.line) for finding in findings}
        findings += [finding for finding in error.diagnostics if (finding.place, finding.line) not in known]
    if findings:
        raise SpecError(sorted(findings, key=lambda finding: finding.line or 0))
    return experiment
