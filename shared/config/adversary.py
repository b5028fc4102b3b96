"""Configuration section `adversary`: adversarial debiasing, which hides a group from the model's embeddings."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.config.section import Section

NO_GROUP = -1  # number of a record without one of the declared groups


class AdversarySection(Section):
    """A head that learns each record's declared group from its embedding, while the encoder learns to hide it.

    A record's group stays at its site; only gradients leave it, and the privacy plan bounds and noises them.
    """

    column: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="column with the group of each record; a real site names it, with its groups, in data.groups"
    )
    groups: tuple[str, ...] = Field(
        max_length=20,
        description="public list of the groups to hide; a record of any other group is trained on without the adversary",
    )
    weight: float = Field(0.3, gt=0, le=100, description="weight of hiding the group: factor of the reversed gradient")

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
