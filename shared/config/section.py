"""Base class of all configuration sections, and the field types that sections share."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from shared.errors import escaped

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # also the name of a folder
SiteId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Names = str | Annotated[tuple[str, ...], Field(min_length=1)]  # one column or several
Rate = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the configuration: immutable; unknown field names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_for_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number, because pydantic would read true as 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind is not bool:
            raise ValueError("must not be true or false")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _refuse_what_a_terminal_acts_on(cls, value: Any) -> Any:
        """Refuse control characters in a text, because a terminal would obey them and show something else than the text."""
        if any(escaped(text, keep="\n\t") != text for text in _texts(value)):
            raise ValueError(
                "must not hold characters that a terminal acts on, such as escape sequences; write the text without them"
            )
        return value


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts of a value, except those of sections inside it, which have checked their own."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, tuple | list | set | frozenset):
        for each in value:
            yield from _texts(each)


class ChoiceSection(Section):
    """A section in which one field, such as ``method``, decides which other fields apply.

    A config that sets a field which does not apply is refused. Such a field is also left out when a config is written, so
    that a written config can be read again.
    """

    def idle(self) -> Mapping[str, tuple[str, str]]:
        """Map each field that does not apply to the deciding field and to a value with which it would apply."""
        return {}

    @model_validator(mode="after")
    def _every_set_field_applies(self) -> Self:
        for name, (choice, other) in self.idle().items():
            if name in self.model_fields_set:
                named = f"{choice} = '{getattr(self, choice)}'"
                raise ValueError(f"{name}: does not apply to {named}; leave it out, or set {choice} = '{other}'")
        return self

    @model_serializer(mode="wrap")
    def _fields_that_apply(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = serialise(self)
        idle = self.idle()
        return {name: value for name, value in tree.items() if name not in idle}
