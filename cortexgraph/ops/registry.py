"""The registry of operations and cells, chains of what it holds, and the JSON Schema of specs that name it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field as DataclassField
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar, cast, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.json_schema import JsonSchemaValue

from cortexgraph.ops.base import (
    CONTEXT,
    Cell,
    Chain,
    Component,
    Context,
    Link,
    Operation,
    Options,
    Place,
    Problem,
    Shape,
)
from cortexgraph.spec import Model, OperationSpec
from cortexgraph.spec import json_schema as schema_of_specs
from cortexgraph.spec.fields import WORD_PATTERN
from cortexgraph.spec.findings import details_of
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.wording import similar, with_article

T_co = TypeVar("T_co", bound=Component, covariant=True)
Class = TypeVar("Class", bound=type[Component])


@dataclass(frozen=True)
class Made(Generic[T_co]):
    """What became of an entry of a spec.

    Attributes:
        component: the operation or cell; None if it could not be made.
        options: its options, completed by its place.
        by_place: the options that the place decided.
        problems: why it could not be made.
    """

    component: T_co | None
    options: Options = field(default_factory=dict)
    by_place: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


class Kind(Generic[T_co]):
    """A registered class with its options, which are the fields that `option` declares.

    Attributes:
        name: its word in the language.
        make_from: the class.
        fixed: fields that the word itself decides.
    """

    def __init__(self, name: str, make_from: type[T_co], fixed: Options) -> None:
        self.name, self.make_from, self.fixed = name, make_from, fixed

    @cached_property
    def options(self) -> type[BaseModel]:
        """The pydantic model of the options, all of them optional but those without a default."""
        hints = get_type_hints(self.make_from, include_extras=True)
        declared: dict[str, Any] = {}
        for one in self._fields:
            default, annotation = one.metadata["default"], hints[one.name]
            if default is CONTEXT:
                annotation, default = annotation | None, None
            examples = None if one.metadata["example"] is None else [one.metadata["example"]]
            declared[one.name] = (annotation, Field(default, description=one.metadata["option"], examples=examples))
        model: type[BaseModel] = create_model(f"{self.make_from.__name__}Options", __base__=Model, **declared)
        model.__doc__ = self.make_from.__doc__
        return model

    @cached_property
    def main(self) -> str | None:
        """The option that a bare value stands for: `{conv: 3}`."""
        return next((one.name for one in self._fields if one.metadata["main"]), None)

    @cached_property
    def by_place(self) -> frozenset[str]:
        """The options that default to what the place in the network decides."""
        return frozenset(one.name for one in self._fields if one.metadata["default"] is CONTEXT)

    @cached_property
    def _fields(self) -> list[DataclassField[object]]:
        return [one for one in fields(self.make_from) if "option" in one.metadata and one.name not in self.fixed]

    def written(self, value: object) -> object:
        """The options as a mapping, where the spec has no options, or the value of the main option alone."""
        if value is None:
            return {}
        return value if isinstance(value, dict) or self.main is None else {self.main: value}

    def read(self, value: object, context: Context) -> tuple[Options, frozenset[str]]:
        """The options of an entry, completed by its place, and the names of those that the place decided.

        The value is a mapping, the value of the main option alone, or None. Raises pydantic.ValidationError if the
        options are not the operation's.
        """
        model = self.options.model_validate(self.written(value))
        options = {name: getattr(model, name) for name in self.options.model_fields}
        missing = frozenset(name for name in self.by_place if options[name] is None)
        return {**options, **{name: getattr(context, name) for name in missing}}, missing


class Registry(Generic[T_co]):
    """The words of one family, operations or cells, in the order of registration."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._kinds: dict[str, Kind[T_co]] = {}

    def register(self, name: str, **fixed: object) -> Callable[[Class], Class]:
        """Class decorator: specs may name the class from now on.

        Args:
            name: its word in the language: small letters, digits and underscores.
            fixed: fields that the word decides, as `relu` decides the function of an activation.

        Raises:
            ValueError: if the name is taken, or cannot be a word of the language.
        """

        def add(make_from: Class) -> Class:
            if not re.fullmatch(WORD_PATTERN, name):
                what = with_article(self.family)
                raise ValueError(f"`{name}` cannot be {what}: use small letters, digits and underscores")
            if name in self._kinds:
                raise ValueError(f"{self.family} `{name}` is registered already")
            base = f"cortexgraph.{self.family.capitalize()}"
            if not (isinstance(make_from, type) and is_dataclass(make_from) and hasattr(make_from, "constructor")):
                named = getattr(make_from, "__name__", repr(make_from))
                found = f"`{named}` is not a dataclass derived from {base}"
                repair = "Its `constructor` names the torch module, which stands in its `helpers`"
                raise ValueError(f"{found}, which describes the {self.family}. {repair}: see docs/language.md.")
            self._kinds[name] = Kind(name, cast("type[T_co]", make_from), fixed)
            return make_from

        return add

    def remove(self, name: str) -> None:
        """Remove an entry, as tests of a registration do."""
        del self._kinds[name]

    def __contains__(self, name: object) -> bool:
        return name in self._kinds

    def __getitem__(self, name: str) -> Kind[T_co]:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def make(
        self, entry: OperationSpec, shape: Shape, context: Context, *, apart: bool = False, path: Path = ()
    ) -> Made[T_co]:
        """The operation or cell of an entry, for an input of this shape, or what is wrong with the entry.

        `apart` says whether all parameters are per step; problems have the path of the entry.
        """
        mapping, unknown = isinstance(entry.options, dict), (Problem(path, entry.name),) * (entry.name not in self)
        meant = similar(entry.name, self) if unknown and mapping else entry.name
        if meant is None or meant not in self:
            return Made(None, problems=unknown)
        kind, inside = self[meant], (*path, entry.name)
        try:
            options, by_place = kind.read(entry.options, context)
        except ValidationError as error:
            start = 0 if mapping else 1  # the main option is not written
            details = details_of(error, kind.options, Origin())
            problems = (Problem(inside, entry.name, d, kind.options, tuple(d["loc"])[start:]) for d in details)
            return Made(None, problems=(*unknown, *problems))
        if unknown:
            return Made(None, problems=unknown)
        place = Place(context, apart, inside, None if mapping else kind.main)
        component = kind.make_from(shape, **{**options, **kind.fixed}).placed(place)
        faults = tuple(Problem(path, entry.name, found=found, repair=repair) for found, repair in component.faults())
        return Made(None if faults else cast("T_co", component), options, by_place, faults)


OPERATIONS: Registry[Operation] = Registry("operation")
CELLS: Registry[Cell] = Registry("cell")

register_operation = OPERATIONS.register
register_cell = CELLS.register


# ---- chains --------------------------------------------------------------------


def make_chain(
    entries: Sequence[OperationSpec], shape: Shape, context: Context, *, apart: bool = False, path: Path = ()
) -> Chain:
    """The chain of a list of entries; one that cannot be made is left out, and the chain says why.

    `apart` says whether all parameters are per step; problems have the path of the list before that of an entry.
    """
    links: list[Link] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    at = shape
    for index, entry in enumerate(entries):
        here = replace(context, bias=_bias(entries[index + 1 :], context))
        made = OPERATIONS.make(entry, at, here, apart=apart, path=(*path, index))
        problems += made.problems
        if (operation := made.component) is None:
            continue
        if "stride" in made.by_place:
            context = replace(context, stride=(1, 1))
        name = operation.role or entry.name
        number = names[name] = names.get(name, 0) + 1
        name = name if number == 1 else f"{name}_{number}"
        per_step = bool(made.options.get("per_step")) or (apart and bool(operation.parameters()))
        links.append(Link(name, entry.name, made.options, operation, per_step, by_place=made.by_place))
        problems += [problem for chain in operation.chains().values() for problem in chain.problems]
        at = operation.output()
    return Chain(shape, tuple(links), tuple(problems))


def _bias(following: Sequence[OperationSpec], context: Context) -> bool:
    """A convolution has a bias unless a norm follows it, whose shift would make it redundant."""
    answers = (shifts(entry) for entry in following)
    redundant = next((answer for answer in answers if answer is not None), None)
    return context.bias if redundant is None else not redundant


def shifts(entry: OperationSpec) -> bool | None:
    """Whether a bias right before the operation is redundant; None if that depends on what follows it."""
    if entry.name not in OPERATIONS:
        return False
    kind = OPERATIONS[entry.name]
    options = kind.written(entry.options)
    return kind.make_from.shifts({**(options if isinstance(options, dict) else {}), **kind.fixed})


# ---- the schema ----------------------------------------------------------------


def json_schema() -> JsonSchemaValue:
    """The JSON Schema of spec files, shorthand included: editors complete and validate with it.

    It names the operations and cells that are registered when it is made.
    """
    schema = schema_of_specs()
    definitions: dict[str, JsonSchemaValue] = schema["$defs"]
    definitions["Operation"] = _entry(OPERATIONS, definitions)
    definitions["Cell"] = _entry(CELLS, definitions)
    return {key: _referring(value) for key, value in schema.items()}


def _entry(registry: Registry[Component], definitions: dict[str, JsonSchemaValue]) -> JsonSchemaValue:
    """A word, or a mapping of one word to its options."""
    branches: list[JsonSchemaValue] = [{"enum": [*registry], "type": "string"}]
    for name in registry:
        kind = registry[name]
        options = kind.options.model_json_schema(by_alias=True)
        definitions.update(options.pop("$defs", {}))
        values: list[JsonSchemaValue] = [options, {"type": "null"}]
        if kind.main is not None:
            values.append(options["properties"][kind.main])
        entry = {"type": "object", "properties": {name: {"anyOf": values}}}
        branches.append(entry | {"required": [name], "additionalProperties": False})
    return {"anyOf": branches}


def _referring(part: object) -> object:
    """The schema with references in place of what only says `Operation` or `Cell`."""
    if isinstance(part, dict):
        if part.get("title") in ("Operation", "Cell") and part.keys() <= {"title", "description"}:
            return {"$ref": f"#/$defs/{part['title']}"}
        return {key: _referring(value) for key, value in part.items()}
    return [_referring(value) for value in part] if isinstance(part, list) else part
