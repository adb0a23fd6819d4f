"""Recipes: settings of training under a name, as data. Some ship; a user's own is a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import read_text
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.reading import read_yaml
from cortexgraph.wording import listed, shortened, suggest

STANDARD = "standard"
FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Recipe:
    """Settings of training under a name.

    Attributes:
        name: of a recipe that ships, or of the file.
        settings: those that differ from the defaults, as they are written.
        origin: file and lines, for findings.
        findings: what is wrong with the recipe itself.
    """

    name: str = STANDARD
    settings: Mapping[str, object] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    findings: tuple[Diagnostic, ...] = ()

    def placed(self, finding: Diagnostic, setting: str) -> Diagnostic:
        """A finding about a setting, at its place in the file."""
        return replace(finding, place=setting, file=self.origin.file, line=self.origin.line((setting,)))


def shipped_recipes() -> dict[str, Path]:
    """The file of each recipe that ships, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def read_recipe(recipe: object) -> Recipe:
    """The recipe that ships under this name, or the one in this YAML file; its findings list the errors."""
    shipped, text = shipped_recipes(), str(recipe)
    path = shipped.get(text) or Path(text)
    name = text if text in shipped else path.name
    if text not in shipped and path.suffix not in {".yaml", ".yml"}:
        expected = f"it must be {listed([*shipped, 'FILE'], 'or')}"
        repair = suggest(text, shipped, "Name a recipe that ships, or a YAML file of settings.")
        found = f"{shortened(repr(text))} was given"
        return Recipe(name, findings=(Diagnostic("unknown-recipe", "settings.recipe", found, expected, repair),))
    try:
        source = read_yaml(read_text(path), str(path))
    except SpecError as error:
        return Recipe(name, findings=tuple(error.diagnostics))
    return _checked(Recipe(name, {}, Origin(str(path), source.lines), tuple(source.findings)), source.data)


def _checked(recipe: Recipe, data: object) -> Recipe:
    """The recipe with the settings in `data`, or with a finding if it has none."""
    if data is None or not isinstance(data, Mapping):
        found, repair = "the recipe is not a mapping", "Write settings and values, such as `epochs: 30`."
        finding = Diagnostic("wrong-type", "", found, repair=repair, file=recipe.origin.file, line=1)
        return replace(recipe, findings=recipe.findings or (finding,))
    settings = {str(name): value for name, value in data.items()}
    findings = recipe.findings
    if settings.pop("recipe", None) is not None:
        found, repair = "a recipe cannot name another one", "Leave `recipe` out."
        findings += (recipe.placed(Diagnostic("bad-setting", "recipe", found, repair=repair), "recipe"),)
    return replace(recipe, settings=settings, findings=findings)
