"""Looking things up in the models, for findings: which field a path leads to, which keys a part has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cortexgraph.spec.origin import Path
from cortexgraph.wording import similar

__all__ = ["field_of", "homes_of", "keys_of", "meant_key", "model_at", "required_keys", "written_key"]


def written_key(name: str, field: FieldInfo) -> str:
    """The key of a field in a file: `from` for `source`."""
    return str(field.validation_alias or name)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a part of a spec, as users write them, with the required ones in front."""
    needed = required_keys(model)
    return needed + [written_key(name, field) for name, field in model.model_fields.items() if not field.is_required()]


def required_keys(model: type[BaseModel]) -> list[str]:
    """The keys that have no default."""
    return [written_key(name, field) for name, field in model.model_fields.items() if field.is_required()]


def field_of(model: type[BaseModel] | None, key: str | int) -> FieldInfo | None:
    """The field of that key, by alias or by name."""
    fields = model.model_fields if model else {}
    return next((field for name, field in fields.items() if key in (name, written_key(name, field))), None)


def meant_key(key: str, model: type[BaseModel] | None) -> str | None:
    """The key that an unknown one probably stands for."""
    field = field_of(model, key)
    return written_key(key, field) if field else similar(key, keys_of(model) if model else [])


def model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the part that the path leads to, or of what it contains; None at a plain value."""
    model: type[BaseModel] | None = root
    in_container = False
    for part in path:
        if in_container:  # the name of an area, or the index of a connection
            in_container = False
            continue
        field = field_of(model, part)
        if field is None:
            return None
        model, in_container = _model_in(field.annotation), get_origin(field.annotation) in (dict, tuple)
    return model


def homes_of(key: str, root: type[BaseModel]) -> Iterator[str]:
    """Where a key that is unknown at its place belongs, in words."""
    for name, field in root.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is None or key not in keys_of(inner):
            continue
        home = f"`{written_key(name, field)}`"
        yield f"an entry of {home}" if get_origin(field.annotation) in (dict, tuple) else home


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
