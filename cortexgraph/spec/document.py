"""What every file of cortexgraph says of itself, and findings that name its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec.base import Model
from cortexgraph.spec.fields import Name
from cortexgraph.spec.findings import findings_of, without_surrogates
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.spec.salvage import salvaged

__all__ = ["FURTHER", "Document"]

FURTHER: list[Callable[[Document, list[Path]], Iterable[Diagnostic]]] = []
"""What finds more in a document: called with what was salvaged of one, and the paths of what was not."""


class Document(Model):
    """Base of what is written in a file of its own: a network, an experiment.

    Raises:
        SpecError: with every finding, when the data does not fit.
    """

    version: Literal[1] = Field(
        default=1,
        validation_alias="cortexgraph",
        serialization_alias="cortexgraph",
        description="Version of the language.",
        examples=[1],
    )
    name: Name = Field(description="Its name, which stands on drawings, tables and runs.", examples=["ventral"])
    description: Annotated[str, Field(max_length=10_000)] = Field(
        default="", description="What it is, in a sentence.", examples=["A four-area ventral stream."]
    )
    references: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=1000)] = Field(
        default=(), description="BibTeX keys of the sources.", examples=[["liao2016bridging"]]
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="wrap")
    @classmethod
    def _as_spec_error(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, Document):
            return handler(data)
        origin = info.context if isinstance(info.context, Origin) else cls.origin_in_python(data)
        data, findings = without_surrogates(data, origin)
        try:
            document = handler(data)
        except ValidationError as error:
            known = {finding.place for finding in findings}
            findings += [each for each in findings_of(error, data, origin, cls) if each.place not in known]
            findings += cls._hidden(data, error, handler, origin)
        if findings:
            raise SpecError(findings) from None
        document._origin = origin
        return document

    @classmethod
    def _hidden(
        cls, data: Any, error: ValidationError, handler: ModelWrapValidatorHandler[Self], origin: Origin
    ) -> list[Diagnostic]:
        """What else is wrong, as far as it can be said of the parts that fit the language."""
        lost: list[Path] = []
        for _ in range(3):
            rest = salvaged(data, error.errors(include_url=False), cls)
            if rest is None:
                return []
            data = rest[0]
            lost += rest[1]
            try:
                document = handler(data)
            except ValidationError as again:
                error = again
                continue
            document._origin = origin
            return [finding for look in FURTHER for finding in look(document, lost)]
        return []

    @classmethod
    def origin_in_python(cls, data: Any) -> Origin:
        """The origin of data that was written in Python, not read from a file."""
        return Origin()

    @property
    def origin(self) -> Origin:
        """Where each part was written."""
        return self._origin
