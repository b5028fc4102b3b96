"""The config section of an adversary that training works against."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.config.section import Section

NO_GROUP = -1  # the number of a record that declares none of the groups


class AdversarySection(Section):
    """A head that learns each record's declared group from its embedding, while the encoder learns to hide it.

    The group of a record stays at its site; what leaves is a gradient that the privacy plan bounds and noises.
    """

    column: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="column that says which group a record is of; a real site names it, with its groups, in data.groups"
    )
    groups: tuple[str, ...] = Field(
        max_length=20,
        description="the groups to hide, a public list; a record of another group is trained on without the adversary",
    )
    weight: float = Field(0.3, gt=0, le=100, description="weight of hiding the group: the factor of the reversed gradient")

    @model_validator(mode="after")
    def _groups_differ(self) -> Self:
        if len(self.groups) < 2 or len(set(self.groups)) != len(self.groups):
            raise ValueError("groups: needs at least 2 different groups")
        return self

    def number(self, group: str | None) -> int:
        """Return the number of a group, or ``NO_GROUP``.

        Parameters
        ----------
        group
            The declared group of a record; None if it declares none.
        """
        return self.groups.index(group) if group in self.groups else NO_GROUP
