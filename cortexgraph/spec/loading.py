"""Reading specs from files, from text and from the zoo; the zoo with its bibliography; the spec to start from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from os import PathLike
from pathlib import Path

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import MAX_TEXT, read_text
from cortexgraph.spec.messages import shown
from cortexgraph.spec.model import NetworkSpec
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.origin import Path as Place
from cortexgraph.spec.overrides import Override, apply_overrides, parse_overrides
from cortexgraph.spec.reading import read_json, read_yaml, too_large
from cortexgraph.spec.shorthand import connection_paths
from cortexgraph.wording import shortened, similar, with_article

Overrides = Mapping[str, object] | Iterable[str | Override]

SpecLike = NetworkSpec | str | PathLike[str]
"""A spec, the path of its file, or the name of one of the zoo: what every function takes that takes a spec."""


def resolve(spec: SpecLike) -> NetworkSpec:
    """The spec itself, or the one of this path or zoo name.

    Raises SpecError if it cannot be read, or is something else.
    """
    if isinstance(spec, NetworkSpec):
        return spec
    if isinstance(spec, str | PathLike):
        return load(Path(spec))
    problem = f"{with_article(type(spec).__name__)} was given"
    expected = "a spec, the path of its file, or a name that `cortexgraph zoo` lists is needed"
    repairs = {dict: "Turn it into a spec with `cg.NetworkSpec.model_validate`."}
    repair = "Give its `.spec`." if hasattr(spec, "spec") else repairs.get(type(spec), "Read a spec with `cg.load`.")
    raise SpecError(Diagnostic("wrong-type", "spec", problem, expected, repair))


@arguments_explained
def load(spec: SpecLike, overrides: Overrides = ()) -> NetworkSpec:
    """Read a spec from a YAML or JSON file, or from the zoo by its name; or change some fields of a spec.

    Args:
        spec: a file, or a name that `zoo()` lists (a file goes first), or a spec, which stays as it is.
        overrides: changes, as ``["time.steps=4"]`` or ``{"time.steps": 4}``.

    Raises:
        SpecError: with every finding in the file and the overrides.

    Examples:
        >>> load("ventral", ["time.steps=4", "areas.V1.channels=16"]).time.steps
        4
    """
    if not isinstance(spec, str | PathLike):
        return loads(json.dumps(resolve(spec).data()), overrides=overrides)
    path = _existing(spec)
    return loads(read_text(path), file=str(path), overrides=overrides)


@arguments_explained
def loads(text: str, *, file: str | None = None, overrides: Overrides = ()) -> NetworkSpec:
    """Read a spec from text: YAML, or JSON where `file` ends in `.json`.

    Args:
        text: the spec.
        file: the name by which findings call the text.
        overrides: as for `load`.

    Raises:
        SpecError: with every finding in the text and the overrides.
    """
    if len(text) > MAX_TEXT:
        raise too_large("the text is longer than 1 MB", file)
    changes = parse_overrides(overrides)
    as_json = file is not None and file.lower().endswith(".json")
    source = read_json(text, file) if as_json else read_yaml(text, file)
    if not isinstance(source.data, dict):
        raise SpecError(source.findings or _not_a_mapping(source.data, file))
    if not {"areas", "connections"} & source.data.keys() and {"spec", "variants", "grid"} & source.data.keys():
        repair = f"Run it with `cortexgraph compare{f' {file}' if file else ''}`; to check it: --dry-run."
        problem, expected = "this is an experiment", "a spec is needed"
        raise SpecError(Diagnostic("wrong-type", "", problem, expected, repair, file=file, line=1))
    findings, settings = list(source.findings), dict[Place, str]()
    try:
        settings = apply_overrides(source.data, changes)
    except SpecError as error:
        findings.extend(error.diagnostics)
    one_readout = not isinstance(source.data.get("readout"), list)
    origin = Origin(file, source.lines, connection_paths(source.data.get("connections")), settings, one_readout)
    try:
        spec = NetworkSpec.model_validate(source.data, context=origin, by_alias=True, by_name=False)
    except SpecError as error:
        known = {(finding.place, finding.line) for finding in findings}
        findings += [finding for finding in error.diagnostics if (finding.place, finding.line) not in known]
    if findings:
        raise SpecError(sorted(findings, key=lambda finding: finding.line or 0))
    return spec


def _not_a_mapping(data: object, file: str | None) -> Diagnostic:
    repair = "Start from the one that `cortexgraph new` writes."
    if data is None:
        return Diagnostic("empty", "", "the spec is empty", repair=repair, file=file)
    expected = "it must be a mapping with `name`, `input`, `areas` and so on"
    return Diagnostic("wrong-type", "", f"the spec is {shown(data)}", expected, repair, file=file, line=1)


def _existing(path_or_zoo_name: str | PathLike[str]) -> Path:
    path, name = Path(path_or_zoo_name), str(path_or_zoo_name)
    shipped = zoo()
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        exists = is_folder = False
    if exists and not is_folder:
        return path
    if name in shipped:
        return shipped[name]
    if is_folder and name:
        problem, repair = f"`{shortened(name)}` is a folder", "Name a spec file in it."
        if (path / "settings.json").exists():
            repair = f"It is a run: give `cg.load_run({str(name)!r}).network`, which has its weights."
    else:
        guess = similar(path.stem, list(shipped))
        if not guess and (beside := similar(path.name, _files_beside(path))):
            guess = str(path.with_name(beside))
        problem = f"`{shortened(name, 200)}`: no such file, and no zoo spec of this name"
        repair = f"Did you mean `{guess}`? " * bool(guess) + "`cortexgraph zoo` lists those that ship."
    raise SpecError(Diagnostic("no-such-spec", "", problem, repair=repair))


def _files_beside(path: Path) -> list[str]:
    with suppress(OSError, ValueError):  # a folder that cannot be read, a name that no folder can have
        return [file.name for file in path.parent.iterdir() if file.suffix in {".yaml", ".yml"}]
    return []


def starter(name: str) -> str:
    """A small, fully commented spec of that name, which loads without a finding; SpecError if it cannot be one."""
    plain = re.fullmatch(r"(?!(?i:true|false|null)$)[A-Za-z][A-Za-z0-9_ -]*", name)  # YAML reads it as text
    template = Path(__file__).with_name("starter.yaml").read_text(encoding="utf-8")
    text = template.replace("name: first", f"name: {name if plain else json.dumps(name)}")
    loads(text)
    return text


# ---- the zoo ------------------------------------------------------------------------

PACKAGE = Path(__file__).resolve().parents[1]


def zoo() -> dict[str, Path]:
    """The file of each shipped spec, by name, in alphabetical order.

    They lie in `cortexgraph/zoo/` of an installed wheel, and in `specs/` of a checkout.
    """
    folder = PACKAGE / "zoo"
    if not folder.is_dir():
        folder = PACKAGE.parent / "specs"
    specs = [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(".keys.yaml")]  # no key maps
    return {path.stem: path for path in specs}


def zoo_path(name: str) -> Path:
    """The file of a shipped spec. Raises SpecError if no zoo spec has this name."""
    shipped = zoo()
    if name in shipped:
        return shipped[name]
    guess = similar(name, list(shipped))
    listing = f"`cortexgraph zoo` lists {len(shipped)}"
    repair = f"Did you mean `{guess}`?" if guess else ""
    raise SpecError(Diagnostic("no-such-spec", "", f"no zoo spec is called `{name}`", listing, repair))


def citation(keys: tuple[str, ...]) -> str:
    """The sources of a spec in short, «Liang & Hu 2015»; a key that is not in the bibliography stands for itself."""
    return "; ".join(short_citation(bibliography()[key]) if key in bibliography() else key for key in keys)


def short_citation(entry: str) -> str:
    """Authors' family names and year of a BibTeX entry.

    >>> short_citation("@article{liang, author = {Liang, Ming and Hu, Xiaolin}, year = {2015}}")
    'Liang & Hu 2015'
    """
    fields = dict(re.findall(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}", entry))
    names = [name.split(",")[0].strip("{} ") for name in fields["author"].split(" and ")]
    authors = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{authors} {fields['year']}"


def beside_zoo(path: str) -> str:
    """The text of a file of the checkout, which a wheel carries beside the specs; empty if it is not there."""
    places = (PACKAGE / "zoo" / Path(path).name, PACKAGE.parent / path)
    return next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")


@cache
def bibliography() -> dict[str, str]:
    """The BibTeX entries of `docs/references.bib`, by key."""
    entries = [f"@{entry.strip()}" for entry in f"\n{beside_zoo('docs/references.bib')}".split("\n@")[1:]]
    return {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in entries}
