"""What each step of the data stage does to the privacy unit, declared in one place, and what is refused for it.

A step is stable when adding or removing one unit before it changes a bounded number of units after it (McSherry 2009,
doi 10.1145/1559845.1559850, section 3). With a bound of 1 the guarantee of training holds as it stands for what went into
the step. With more it does not: each further unit would have to be paid like another unit.
"""

from dataclasses import dataclass
from typing import Literal

from shared.config.run import RunConfig
from shared.errors import PrivacyError


@dataclass(frozen=True)
class Effect:
    """How a step changes the privacy unit.

    ``free``: at most one unit differs after the step. ``bounded``: at most ``units`` differ. ``charged``: no such number
    exists, or a figure of the records gets out; ``paid`` says that the plan has an event for it.
    """

    kind: Literal["free", "bounded", "charged"]
    reason: str
    units: int = 1
    paid: bool = False


EACH_ALONE = Effect("free", "a fixed rule on each record alone")


def effects(config: RunConfig) -> dict[str, Effect]:
    """The steps that a config asks for, by the config field that asks, each with what it does to the privacy unit."""
    return {**_cleaning(config), **_balance(config), **_unit(config)}


def refuse_unstable(config: RunConfig) -> None:
    """Refuse a config whose steps would make the claimed epsilon wrong.

    Raises:
        PrivacyError: a step lets one unit change several, or everything, and the plan does not pay for it.
    """
    for field, effect in effects(config).items():
        if effect.kind != "free" and not effect.paid:
            bound = f"bounded by {effect.units}" if effect.kind == "bounded" else "without a bound"
            raise PrivacyError(
                f"{field}: refused under differential privacy, its influence is {bound}: {effect.reason}; unset it, or set "
                "privacy.enabled = false"
            )


def _cleaning(config: RunConfig) -> dict[str, Effect]:
    cleaning = config.cleaning
    one_person = config.privacy.unit == "person"
    distinct = Effect(
        "free",
        "done within each person alone"
        if one_person
        else "what is left is the set of records that differ in anything that training sees (text, label, group): one "
        "record more adds one to it, or none",
    )
    conflicts = Effect(
        "free",
        "done within each person alone"
        if one_person
        else "after exact deduplication records that differ in nothing but their label have one each: one record more comes "
        "alone, or takes one of them away",
    )
    near = Effect(
        "charged",
        "one record can be near to many that are far from each other, so that its presence decides on any number of them",
    )
    asked = {
        "cleaning.repair": (cleaning.repair, EACH_ALONE),
        "cleaning.languages": (bool(cleaning.languages), EACH_ALONE),
        "cleaning.min_chars": (cleaning.min_chars > 0, EACH_ALONE),
        "cleaning.max_repetition": (cleaning.max_repetition < 1, EACH_ALONE),
        "cleaning.exact_duplicates": (cleaning.exact_duplicates == "drop", distinct),
        "cleaning.label_conflicts": (cleaning.label_conflicts == "drop", conflicts),
        "cleaning.near_duplicates": (cleaning.near_duplicates is not None, near),
    }
    return {field: effect for field, (on, effect) in asked.items() if on}


def _balance(config: RunConfig) -> dict[str, Effect]:
    weights, resample = config.balance.weights, config.balance.resample
    found = {}
    if weights == "public":
        found["balance.weights"] = Effect("free", "public numbers, in each record's loss before the clip")
    if weights == "counts":
        reason = "label counts are figures of all records; they are noised, and the plan pays for them in every round"
        found["balance.weights"] = Effect("charged", reason, paid=True)
    if resample == "over":
        reason = "k copies of a record have k times its clipped gradient, and k follows from the other records' labels"
        found["balance.resample"] = Effect("charged", f"{reason}; use balance.weights, which act before the clip")
    if resample == "under":
        reason = "how many records of a label stay follows from the counts of the other labels"
        found["balance.resample"] = Effect("charged", f"{reason}; use balance.weights, which act before the clip")
    return found


def _unit(config: RunConfig) -> dict[str, Effect]:
    own = "what stands for a value follows from its record's own text and the site's key, never from its place among others"
    found = {
        "anonymise.operator": Effect("free", own),
        "data.held_out": Effect("free", "the side follows from a hash of the record's own text, or of its person"),
    }
    if config.data.label_bins:
        found["data.label_bins"] = EACH_ALONE
    if config.privacy.unit == "person":
        found["privacy.person_cap"] = Effect("free", "done within each person alone; the cap is a public number")
    if config.adversary is not None:
        hidden = "each record's own group, in its own loss before the clip; the adversary is trained in the plan as well"
        found["adversary.column"] = Effect("free", hidden)
    reason = "the views of a record follow from itself, and are averaged within its unit before the clip"
    asked = {"augmentation.views": config.augmentation.views > 1, "augmentation.swaps": bool(config.augmentation.swaps)}
    found |= {field: Effect("free", reason) for field, on in asked.items() if on}
    if config.augmentation.paraphrases:
        found["augmentation.paraphrases"] = Effect(
            "free",
            "what a frozen model writes of a record follows from its own scrubbed text, whatever the others are, and is "
            "averaged within its unit before the clip; a model that was trained on these records would void this",
        )
    return found
