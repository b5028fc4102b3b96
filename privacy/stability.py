"""Declare how each step of the data stage affects the privacy unit, and refuse steps that would break the guarantee.

A step is stable if adding or removing one unit before it changes a bounded number of units after it (McSherry 2009, doi
10.1145/1559845.1559850, section 3). With a bound of 1, the guarantee of training also holds for the input of the step. With
a larger bound it does not, because the plan charges for one unit only.
"""

from dataclasses import dataclass
from typing import Literal

from shared.config.run import RunConfig
from shared.errors import PrivacyError


@dataclass(frozen=True)
class Effect:
    """How a step affects the privacy unit.

    ``free``: at most one unit differs after the step. ``charged``: more may differ, or the step reveals a figure about the
    records; ``paid`` says that the plan has an event for this step.
    """

    kind: Literal["free", "charged"]
    reason: str
    paid: bool = False


BY_ITSELF = Effect("free", "a fixed rule on each record by itself")


def effects(config: RunConfig) -> dict[str, Effect]:
    """Return the data-stage steps that a config asks for, by config field, each with its effect on the privacy unit."""
    return {**_cleaning(config), **_balance(config), **_unit(config)}


def refuse_unstable(config: RunConfig) -> None:
    """Refuse a config with steps that would make the claimed epsilon wrong.

    Raises
    ------
    PrivacyError
        In a step one unit affects several others, or all, and the plan does not pay for it.
    """
    for field, effect in effects(config).items():
        if effect.kind != "free" and not effect.paid:
            raise PrivacyError(
                f"{field}: refused under differential privacy, because one record affects others: {effect.reason}; "
                "unset it, or set privacy.enabled = false"
            )


def _cleaning(config: RunConfig) -> dict[str, Effect]:
    cleaning = config.cleaning
    one_person = config.privacy.unit == "person"
    distinct = Effect(
        "free",
        "done separately within each person"
        if one_person
        else "the result is the set of records that differ in anything training sees (text, label, group): one more "
        "record adds one to it, or none",
    )
    conflicts = Effect(
        "free",
        "done separately within each person"
        if one_person
        else "after exact deduplication, records that differ only in their label have one record per label: one more record "
        "is added by itself, or removes one of them",
    )
    near = Effect(
        "charged",
        "one record can be near to many records that are far from each other, so its presence decides about any number of "
        "them",
    )
    steps = {
        "cleaning.repair": (cleaning.repair, BY_ITSELF),
        "cleaning.languages": (bool(cleaning.languages), BY_ITSELF),
        "cleaning.min_chars": (cleaning.min_chars > 0, BY_ITSELF),
        "cleaning.max_repetition": (cleaning.max_repetition < 1, BY_ITSELF),
        "cleaning.exact_duplicates": (cleaning.exact_duplicates == "drop", distinct),
        "cleaning.label_conflicts": (cleaning.label_conflicts == "drop", conflicts),
        "cleaning.near_duplicates": (cleaning.near_duplicates is not None, near),
    }
    return {field: effect for field, (on, effect) in steps.items() if on}


def _balance(config: RunConfig) -> dict[str, Effect]:
    weights, resample = config.balance.weights, config.balance.resample
    found = {}
    if weights == "public":
        found["balance.weights"] = Effect("free", "public numbers that weight each record's loss before clipping")
    if weights == "counts":
        reason = "label counts depend on all records; they are noised, and the plan pays for them in every round"
        found["balance.weights"] = Effect("charged", reason, paid=True)
    if resample == "over":
        reason = "k copies of a record have k times its clipped gradient, and k depends on the labels of other records"
        found["balance.resample"] = Effect("charged", f"{reason}; use balance.weights, which act before clipping")
    if resample == "under":
        reason = "how many records of a label stay depends on the counts of the other labels"
        found["balance.resample"] = Effect("charged", f"{reason}; use balance.weights, which act before clipping")
    return found


def _unit(config: RunConfig) -> dict[str, Effect]:
    own = "the replacement of a value depends only on its record's own text and the site's key, not on other records"
    found = {
        "anonymise.operator": Effect("free", own),
        "data.held_out": Effect("free", "a hash of the record's own text, or of its person, decides the side"),
    }
    if config.data.pool is not None:
        found["data.split"] = Effect("free", "it makes the sites before the run; the guarantee counts the records of a site")
    if config.evaluation.file is not None:
        found.pop("data.held_out")
    if config.data.label_bins:
        found["data.label_bins"] = BY_ITSELF
    if config.privacy.unit == "person":
        found["privacy.person_cap"] = Effect("free", "done separately within each person; the cap is a public number")
    if config.adversary is not None:
        hidden = "each record's own group, in its own loss before clipping; the plan also covers the adversary's training"
        found["adversary.column"] = Effect("free", hidden)
    reason = "the views of a record depend only on that record, and are averaged within its unit before clipping"
    steps = {"augmentation.views": config.augmentation.views > 1, "augmentation.swaps": bool(config.augmentation.swaps)}
    found |= {field: Effect("free", reason) for field, on in steps.items() if on}
    if config.augmentation.paraphrases:
        found["augmentation.paraphrases"] = Effect(
            "free",
            "the paraphrases of a frozen model depend only on the record's own anonymised text, and are averaged within its "
            "unit before clipping; this would not hold for a model that was trained on these records",
        )
    return found
