"""The types of a spec's fields: counts, steps, names, and fields that may be written in two ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

IMAGE = "image"
"""The name by which connections read the input image."""


def either(expected: str, *choices: str) -> WrapValidator:
    """For a union: one finding that says all that is accepted (after «it must be …»), not one for each branch.

    A finding inside a branch (`size: [0, 4]`), or about a value of the right type (`size: 0`), is kept. The choices are
    the words that may stand here, for «did you mean».
    """

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError as error:
            telling = [_without_branch(d) for d in error.errors(include_url=False) if _is_telling(d)]
            if telling:
                raise ValidationError.from_exception_data(error.title, telling) from None
            context = {"expected": expected, "choices": choices}
            raise PydanticCustomError("either", "must be {expected}", context) from None

    return WrapValidator(validate)


def _is_telling(detail: ErrorDetails) -> bool:
    _branch, *inside = detail["loc"]
    return bool(inside) or not detail["type"].endswith(("_type", "literal_error"))


def _without_branch(detail: ErrorDetails) -> InitErrorDetails:
    kind: str | PydanticCustomError = detail["type"]
    context = detail.get("ctx", {})
    if kind not in get_args(ErrorType):
        kind = PydanticCustomError(detail["type"], "{found}", context)
    return InitErrorDetails(type=kind, loc=detail["loc"][1:], input=detail["input"], ctx=context)


EDITORS_NAME = "^[^\\s\"'`\\\\{}<>\\[\\]][^\"'`\\\\{}<>\\[\\]]*$"
"""The pattern of names for editors, whose `\\w` is ASCII: it lets pass a little more."""


def _not_the_image(name: str) -> str:
    if name == IMAGE:
        raise PydanticCustomError("taken-name", "taken name")
    return name


Count = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Step = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Flag = Annotated[bool, Field(strict=True)]
Offset = Annotated[int, Field(strict=True, ge=0, le=65_536)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)]
Pair = Annotated[Count | tuple[Count, Count], either("a whole number, or two: [height, width]")]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number for both axes, or a pair.

    >>> pair(3)
    (3, 3)
    """
    return (value, value) if isinstance(value, int) else value


if TYPE_CHECKING:
    Square = tuple[int, int]
    Border = tuple[int, int]
else:
    Square = Annotated[Pair, AfterValidator(pair)]
    Border = Annotated[
        Offset | tuple[Offset, Offset], either("a whole number, or two: [height, width]"), AfterValidator(pair)
    ]

WORD_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
"""Of names that can be registered for operations and cells."""

Word = Annotated[str, Field(strict=True, max_length=64)]
"""The name of an operation or cell."""
Level = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(lambda level: level + 0.0)]  # no -0.0
Kind = Literal["feedforward", "lateral", "feedback"]
Sign = Literal["excitatory", "inhibitory"]
INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that show nothing, or change what others show (Unicode's default ignorable ones)."""


def _visible(name: str) -> str:
    if found := INVISIBLE.search(name):
        raise PydanticCustomError("invisible", "invisible", {"code": f"U+{ord(found[0]):04X}"})
    return name


Name = Annotated[
    str,
    Field(
        strict=True,
        min_length=1,
        max_length=64,
        # Free text that a biologist would write (`TH/TF`, `7a`, `V1 (L2/3)`): no quotes, arrows, braces.
        pattern=r"^[^\W_]([\w .,:/+()*&-]*[\w.)+*])?$",
        json_schema_extra={"pattern": EDITORS_NAME},
    ),
    AfterValidator(_visible),
]
AreaName = Annotated[Name, AfterValidator(_not_the_image)]
