"""Key maps: which tensor of a released checkpoint is which parameter of a spec, as patterns in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import read_text
from cortexgraph.spec import NetworkSpec, SpecLike
from cortexgraph.spec.base import Model
from cortexgraph.spec.fields import Count, Number, Offset, Positive
from cortexgraph.spec.findings import findings_of
from cortexgraph.spec.loading import zoo
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.reading import Source, read_yaml

SUFFIX = ".keys.yaml"
"""The key map of `cornet_s_imagenet.yaml` is `cornet_s_imagenet.keys.yaml` beside it."""

M = TypeVar("M", bound=Model)
Text = Annotated[str, Field(strict=True, min_length=1, max_length=1000)]


class Images(Model):
    """How images were prepared for a released network: scaled to [0, 1], then (x − mean) / std."""

    mean: Annotated[tuple[Number, ...], Field(min_length=1)] = Field(description="Of each channel.")
    std: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(description="Of each channel.")
    resize: Count | None = Field(
        default=None,
        description="Length to which the shorter side was resized before the middle was cut out at the size of the "
        "input; default: the size of the input.",
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if len(self.mean) != len(self.std):
            yield f"`mean` has {len(self.mean)} numbers and `std` {len(self.std)}", "Give one per channel.", "std"


class Target(Model):
    """Where a tensor goes, and which of its rows."""

    to: Text = Field(description="The parameters of the network, as a pattern.")
    chunks: tuple[Offset, ...] = Field(
        default=(),
        description="The tensor is cut along its first axis into as many equal parts as this list has numbers, which "
        "are put into this order, from 0: the gates of a cell.",
    )
    rows: tuple[Offset, Offset] | None = Field(
        default=None, description="Only the rows from the first number, counted from 0, to before the second."
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if sorted(self.chunks) != [*range(len(self.chunks))]:
            yield "`chunks` does not name each part once", "List 0, 1, 2, … in another order.", "chunks"


class KeyMap(Model):
    """What is needed to use a released checkpoint with a spec."""

    description: str = Field(default="", description="Which checkpoint this is, and where it is published.")
    data: str = Field(default="images unknown", description="What the network was trained on.")
    images: Images = Field(default=Images(mean=(0.0,) * 3, std=(1.0,) * 3), description="How images are prepared.")
    classes: Literal["imagenet"] | tuple[Text, ...] = Field(
        default=(), description="Names of the classes in the order of the logits; `imagenet`: those of ImageNet-1k."
    )
    words: dict[str, dict[str, str]] = Field(default={}, description="Tables of words, which patterns name.")
    keys: dict[Text, Text | Target | tuple[Target, ...] | None] = Field(
        description="Keys of the checkpoint, and the parameters that they become, or several of them with their rows; "
        "null: not used. `{n}` stands for a part of a key, `{table n}` for its entry in a table, `*` for a part that "
        "only one parameter has."
    )


def find_key_map(spec: SpecLike) -> Path | None:
    """The key map beside the file of a spec, or that of the zoo spec of this name; None if neither has one."""
    name = spec.name if isinstance(spec, NetworkSpec) else str(spec)
    own = zoo().get(name)
    path = Path(name) if not isinstance(spec, NetworkSpec) and Path(name).is_file() else own
    beside = path.with_name(path.stem + SUFFIX) if path else None
    return beside if beside and beside.is_file() else None


def load_key_map(path: str | Path) -> KeyMap:
    """Read a key map. Raises SpecError with every finding about the file."""
    return read_as(KeyMap, path, read_yaml, "a key map with `keys` is needed", _all_faults)


def _all_faults(key_map: KeyMap) -> Iterator[Fault]:
    for pattern, target in key_map.keys.items():
        for one in _targets(target):
            for found, repair in _faults(pattern, one.to, key_map.words):
                yield "key-map", ("keys", pattern), found, repair


Fault = tuple[str, tuple[str | int, ...], str, str]
"""Code, path, what is wrong and the repair."""


def read_as(
    model: type[M],
    path: str | Path,
    read: Callable[[str, str], Source],
    expected: str,
    faults: Callable[[M], Iterable[Fault]],
) -> M:
    """A file, which the parser `read` turns into data, as a model; `expected` says what it must hold.

    `faults` are what the model cannot say is wrong with a value. Raises SpecError with every finding about the file.
    """
    file = str(path)
    source = read(read_text(Path(path)), file)
    findings, origin = list(source.findings), Origin(file, source.lines)
    if not isinstance(source.data, dict):
        raise SpecError(findings or Diagnostic("wrong-type", "", "this is not a mapping", expected, file=file, line=1))
    try:
        value = model.model_validate(source.data)
    except ValidationError as error:
        raise SpecError([*findings, *findings_of(error, source.data, origin, model)]) from None
    findings += [origin.diagnostic(code, place, found, repair=repair) for code, place, found, repair in faults(value)]
    if findings:
        raise SpecError(findings)
    return value


# ---- patterns ----------------------------------------------------------------

PLACE = re.compile(r"\{(?:(\w+) )?([A-Za-z]\w*)\}")
"""`{n}`, or `{table n}`."""


def _targets(target: str | Target | tuple[Target, ...] | None) -> tuple[Target, ...]:
    if target is None:
        return ()
    return (Target(to=target),) if isinstance(target, str) else (target,) if isinstance(target, Target) else target


def _faults(pattern: str, target: str, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is wrong with an entry, and the repair."""
    named = {name for table, name in PLACE.findall(pattern) if not table}
    for table, name in PLACE.findall(target):
        if table and table not in words:
            yield f"no table under `words` is called `{table}`", "Add the table, or correct its name."
        if name not in named:
            yield f"`{{{name}}}` does not occur in `{pattern}`", f"Write `{{{name}}}` there, or correct its name."
    for side in (pattern, target):
        if set("{}") & set(PLACE.sub("", side)):
            yield f"the braces of `{side}` are not `{{name}}` or `{{table name}}`", "Correct them."


def theirs(pattern: str) -> re.Pattern[str]:
    """A pattern of keys as a regular expression, in which a place is a part of a key without dots."""
    text, end, known = "", 0, set[str]()
    for place in PLACE.finditer(pattern):
        name = place[2]
        text += re.escape(pattern[end : place.start()]) + (f"(?P={name})" if name in known else f"(?P<{name}>[^.]+?)")
        end = place.end()
        known.add(name)
    return re.compile(text + re.escape(pattern[end:]))


def ours(target: str, places: Mapping[str, str], words: Mapping[str, Mapping[str, str]]) -> str | None:
    """The parameters that a target means where the places stand for these parts; None if a table has no entry."""
    missing = False

    def filled(place: re.Match[str]) -> str:
        nonlocal missing
        part = words[place[1]].get(places[place[2]]) if place[1] else places[place[2]]
        missing = missing or part is None
        return part or ""

    text = PLACE.sub(filled, target)
    return None if missing else text


@dataclass(frozen=True)
class Unmatched:
    """A key for which the map has no parameter.

    Attributes:
        pattern: the entry that it matches, if it matches one.
        target: the parameter that this entry means.
        among: the parameters that `target` matches: none, or several.
    """

    pattern: str = ""
    target: str = ""
    among: tuple[str, ...] = field(default=())


def resolve(key: str, key_map: KeyMap, names: Mapping[str, object]) -> list[tuple[str, Target] | Unmatched]:
    """The parameters, of these names, that a key of a checkpoint becomes; none for a key that is not used.

    An entry means a single tensor, or a module with all of its tensors. The first entry that matches counts.
    """
    module, _, leaf = key.rpartition(".")
    for pattern, entry in key_map.keys.items():
        for text, rest in ((key, ""), (module, f".{leaf}")):
            match = theirs(pattern).fullmatch(text)
            if match is not None:
                targets = _targets(entry)
                paths = [ours(target.to, match.groupdict(), key_map.words) for target in targets]
                if None not in paths:
                    pairs = zip(paths, targets, strict=True)
                    return [_found(pattern, f"{path}{rest}", target, names) for path, target in pairs]
    return [Unmatched()]


def _found(pattern: str, path: str, target: Target, names: Mapping[str, object]) -> tuple[str, Target] | Unmatched:
    """The one parameter of a path, in which `*` stands for any part."""
    one = re.compile("[^.]+".join(map(re.escape, path.split("*"))))
    among = tuple(name for name in names if one.fullmatch(name))
    return (among[0], target) if len(among) == 1 else Unmatched(pattern, path, among)
