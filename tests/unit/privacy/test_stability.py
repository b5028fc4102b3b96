import pytest
from fixture_types import ConfigOf

from privacy.dp.run_plans import plan_for_site
from privacy.stability import effects, refuse_unstable
from shared.errors import ConfigError, PrivacyError

SHORT = {"training.rounds": 1, "training.steps": 2, "privacy.epsilon": 1.0}  # soon calibrated
PERSON = {"data.columns.person": "who", "privacy.unit": "person", "privacy.person_cap": 4}
BREAKS = [{"cleaning.near_duplicates": 0.8}, {"balance.resample": "over"}, {"balance.resample": "under"}]


@pytest.mark.parametrize("changes", BREAKS, ids=["near", "over", "under"])
def test_what_breaks_epsilon_gets_no_plan_and_says_why(config_of: ConfigOf, changes: dict[str, object]) -> None:
    (field,) = changes
    with pytest.raises(PrivacyError, match=f"^{field}: refused under differential privacy.*privacy.enabled = false$"):
        plan_for_site(config_of(changes), 100)
    assert plan_for_site(config_of({**changes, "privacy.enabled": False}), 100) is None


def test_a_site_as_the_unit_may_do_what_it_likes_with_its_own_records(config_of: ConfigOf) -> None:
    central = {"privacy.trust": "central", "privacy.unit": "site"}
    for changes in BREAKS:
        assert plan_for_site(config_of({**changes, **central}), 100) is None


@pytest.mark.slow
def test_noised_label_counts_are_paid_by_more_noise_in_training(config_of: ConfigOf) -> None:
    free, paid = (
        plan_for_site(config_of(c), 200) for c in (SHORT, {**SHORT, "balance.weights": "counts", "balance.count_noise": 8.0})
    )
    assert free and paid
    assert [event.purpose for event in paid.events] == ["training", "label_counts"]
    assert paid.noise_multiplier > free.noise_multiplier
    assert paid.epsilon() <= 1.0
    assert effects(config_of({"balance.weights": "counts"}))["balance.weights"].kind == "charged"


@pytest.mark.slow
def test_a_plan_for_persons_says_so_and_is_another_plan(config_of: ConfigOf) -> None:
    records, persons = (plan_for_site(config_of(c), 200) for c in (SHORT, {**SHORT, **PERSON}))
    assert records and persons
    assert (records.unit, persons.unit) == ("record", "person")
    assert records.digest() != persons.digest()


def test_every_step_says_why_it_costs_what_it_costs(config_of: ConfigOf) -> None:
    changes = {
        **PERSON,
        "cleaning": {"languages": ["en"], "min_chars": 3, "max_repetition": 0.5, "exact_duplicates": "drop"},
        "balance": {"weights": "public", "label_shares": [0.2, 0.8]},
        "augmentation": {"views": 2, "swaps": ["gender"], "paraphrases": 1},
        "adversary": {"column": "sex", "groups": ["f", "m"]},
    }
    found = effects(config_of(changes))
    assert len(found) == 13
    assert all(effect.reason for effect in found.values())
    refuse_unstable(config_of(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"privacy.unit": "person", "privacy.person_cap": 3}, "data.columns.person"),
        ({"privacy.unit": "person", "data.columns.person": "who"}, "privacy.person_cap"),
        ({"privacy.person_cap": 3}, "one record can push another out"),
        ({"cleaning.label_conflicts": "drop"}, "exact_duplicates"),
        ({"balance.weights": "public"}, "needs 2 numbers"),
        ({"balance.weights": "counts", "task": {"name": "instruction"}}, "has no label"),
        ({"data.cache": "somewhere"}, "privacy.ledger"),
        ({"cleaning.languages": ["English"]}, "cleaning.languages"),
        ({"augmentation.noises": ["magic"]}, "augmentation.noises"),
        ({"augmentation.swaps": ["age"]}, "augmentation.swaps"),
        ({"augmentation.paraphrases": 2}, "set views = 2 or more"),
        ({"augmentation.views": 2, "augmentation.noises": []}, "all views would be the same"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(config_of: ConfigOf, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(changes)
