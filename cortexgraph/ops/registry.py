"""Named families of operations: what a spec may name is what is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, Field, create_model

from cortexgraph.ops.base import CONTEXT, Context
from cortexgraph.spec import Model

__all__ = ["Kind", "Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one family, such as activations, in the order of registration."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds an entry.

        Raises:
            ValueError: if the name is taken.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.family} `{name}` is registered already")
            self._entries[name] = entry
            return entry

        return add

    def remove(self, name: str) -> None:
        """Take an entry out again, as tests of a registration do."""
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> T:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


class Kind(Generic[T]):
    """A registered class with its options, which are the fields that `option` declares.

    Attributes:
        name: its word in the language.
        make_from: the class.
        fixed: fields that the word itself decides.
    """

    def __init__(self, name: str, make_from: type[T], fixed: dict[str, Any] | None = None) -> None:
        self.name, self.make_from, self.fixed = name, make_from, fixed or {}

    @cached_property
    def options(self) -> type[BaseModel]:
        """The pydantic model of the options, all of them optional but those without a default."""
        hints = get_type_hints(self.make_from, include_extras=True)
        declared: dict[str, Any] = {}
        for field in self._fields():
            default, annotation = field.metadata["default"], hints[field.name]
            if default is CONTEXT:
                annotation, default = annotation | None, None
            declared[field.name] = (annotation, Field(default, description=field.metadata["option"]))
        model: type[BaseModel] = create_model(f"{self.make_from.__name__}Options", __base__=Model, **declared)
        model.__doc__ = self.make_from.__doc__
        return model

    @cached_property
    def main(self) -> str | None:
        """The option that a bare value stands for: `{conv: 3}`."""
        return next((field.name for field in self._fields() if field.metadata["main"]), None)

    @cached_property
    def by_place(self) -> frozenset[str]:
        """The options that default to what the place in the network decides."""
        return frozenset(field.name for field in self._fields() if field.metadata["default"] is CONTEXT)

    def read(self, given: Any, context: Context) -> tuple[dict[str, Any], frozenset[str]]:
        """The options of an entry, completed by its place, and the names of those that the place decided.

        Args:
            given: a mapping, the value of the main option alone, or None.
            context: of the place.

        Raises:
            pydantic.ValidationError: if they are not the operation's.
        """
        if given is None:
            given = {}
        elif not isinstance(given, dict) and self.main is not None:
            given = {self.main: given}
        options = self.options.model_validate(given)
        found = {name: getattr(options, name) for name in self.options.model_fields}
        missing = frozenset(name for name in self.by_place if found[name] is None)
        return found | {name: getattr(context, name) for name in missing}, missing

    def _fields(self) -> list[Any]:
        every = fields(self.make_from)  # type: ignore[arg-type]
        return [field for field in every if "option" in field.metadata and field.name not in self.fixed]
