"""What all parts of a spec have in common, and the small parts that several use."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails

from cortexgraph.errors import SpecError
from cortexgraph.spec.fields import Step, either
from cortexgraph.spec.findings import findings_of, without_surrogates
from cortexgraph.spec.messages import written_key
from cortexgraph.spec.origin import Origin
from cortexgraph.spec.shorthand import refusal

if TYPE_CHECKING:

    class Part(BaseModel):
        """For type checkers: the metaclass below hides the fields from them."""

else:

    class _SaysFindings(type(BaseModel)):
        """Makes `AreaSpec(channels=0)`, written in Python, raise a SpecError like a file would."""

        def __call__(cls, *args: object, **fields: object) -> object:
            fields, findings = without_surrogates(fields, Origin())
            try:
                if not findings:
                    return super().__call__(*args, **fields)
            except ValidationError as error:
                findings = findings_of(error, fields, Origin(), cls)
            if findings:
                places = [".".join(filter(None, (cls.__name__, finding.place))) for finding in findings]
                named = [replace(finding, place=place) for finding, place in zip(findings, places, strict=True)]
                raise SpecError(named) from None
            return None

        def __dir__(cls) -> list[str]:
            """What `help` shows: our own names, and the one of pydantic that users need."""
            own = {name for base in cls.__mro__ if base.__module__.startswith("cortexgraph") for name in vars(base)}
            public = {name for name in own if not name.startswith(("_", "model_"))}
            return sorted(public | {"__doc__", "model_validate"})

    class Part(BaseModel, metaclass=_SaysFindings):
        """A pydantic model whose constructor raises SpecError."""


CHANGE = 'make a changed copy: `cg.load(spec, ["areas.V1.channels=12", "time.steps=4"])`'


def _refused(self: object, *arguments: object, **more: object) -> NoReturn:
    raise AttributeError(f"a spec stays as it is; {CHANGE}")


class FrozenDict(dict[str, Any]):
    """A mapping inside a spec: it reads, copies and pickles like a `dict`, and cannot be changed."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refused

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (dict(self),)


class FrozenList(list[Any]):
    """A list inside a spec, as `FrozenDict`."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = _refused
    pop = remove = reverse = sort = _refused

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (list(self),)


ADD = 'make a changed copy: `cg.load(spec, {"connections": [*spec.connections, "V4 -> V1"]})`, or `cg.lesion(spec, …)`'


def _refused_of_tuple(self: object, *arguments: object, **more: object) -> NoReturn:
    raise AttributeError(f"a spec stays as it is; {ADD}")


class FrozenTuple(tuple[Any, ...]):
    """The entries of a list inside a spec: a tuple that refuses to be changed as a list with a repair."""

    __slots__ = ()
    __setitem__ = __delitem__ = append = clear = extend = insert = _refused_of_tuple
    pop = remove = reverse = sort = _refused_of_tuple


def frozen(value: Any) -> Any:
    """The value with every dictionary and list in it frozen."""
    if isinstance(value, dict):
        return FrozenDict({key: frozen(part) for key, part in value.items()})
    if type(value) is tuple:
        return FrozenTuple(map(frozen, value))
    return FrozenList(map(frozen, value)) if isinstance(value, list) else value


class Model(Part):
    """Base of all parts of a spec: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    _about: ClassVar[str]
    _known_as: ClassVar[Mapping[str, str]] = {}
    """The properties by which users know fields, by the names of the fields."""

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """What differs from the defaults, under the keys of the language: a spec in a traceback is short."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.is_required() or value != field.get_default(call_default_factory=True):
                yield written_key(name, field), value

    def __setattr__(self, name: str, value: object) -> None:
        if name in type(self).model_fields or name in self._known_as.values():
            raise AttributeError(f"a spec stays as it is ({type(self).__name__}.{name} was set); {CHANGE}")
        super().__setattr__(name, value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced, unchecked."""
        return super().model_copy(update={name: frozen(value) for name, value in (update or {}).items()}, deep=deep)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Make `help` readable: the fields with their meaning, and a signature without the types of the validator."""
        cls._about = inspect.cleandoc(cls.__doc__ or "")
        lines, parameters = [], []
        for own, field in cls.model_fields.items():
            key, empty = written_key(own, field), Parameter.empty
            name = cls._known_as.get(own, own)
            default = empty if field.is_required() else field.get_default(call_default_factory=True)
            parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default))
            text = f"{key}: {field.description}" if key == name else f"{key} (in Python `{name}`): {field.description}"
            lines.append(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent=" " * 8))
        cls.__doc__ = "\n".join([cls._about, "", "Fields:", *lines])
        cls.__signature__ = Signature(sorted(parameters, key=lambda one: one.default is not Parameter.empty))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = handler(schema)
        handler.resolve_ref_schema(written)["description"] = cls._about
        return written

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        """Values that exclude each other: the error, the repair, and the key that a repair may leave out."""
        return iter(())

    @model_validator(mode="after")
    def _without_conflicts(self) -> Self:
        if errors := [
            InitErrorDetails(type=refusal(found, repair, key=key), input=None)
            for found, repair, key in self._conflicts()
        ]:
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        self.__dict__.update({name: FrozenTuple(v) for name, v in self.__dict__.items() if type(v) is tuple})
        return self


class Span(Model):
    """Steps from one to another, both included."""

    first: Step = Field(
        default=1,
        validation_alias="from",
        serialization_alias="from",
        description="First step; default 1.",
        examples=[2],
    )
    last: Step | None = Field(
        default=None, validation_alias="to", serialization_alias="to", description="Last step; default T.", examples=[5]
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if self.last is not None and self.last < self.first:
            yield f"the steps run from {self.first} to {self.last}", "Write the earlier step in `from`.", "from"


Window = Annotated[
    Literal["always", "first"] | Span | Annotated[tuple[Step, ...], Field(min_length=1)],
    either("`always`, `first`, a list of steps such as [1, 2, 3], or {from: 2, to: 5}", "always", "first"),
]

Activity = Annotated[
    Literal["always", "first", "never"] | Span | Annotated[tuple[Step, ...], Field(min_length=1)],
    either(
        "`always`, `first`, `never`, a list of steps such as [1, 2, 3], or {from: 2, to: 5}", "always", "first", "never"
    ),
]
