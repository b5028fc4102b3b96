"""Probes on tiny models: what they tell, that they tell no text, and how they are refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf, Shake

from server.evaluation import Evaluator
from server.probes import groups, probe, sampled
from server.probes.forgetting import general_texts, nearest_centroid_hits
from server.probes.general import SENTENCES, TOPICS
from server.report.html import render
from shared.adapters.peft import base_only
from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError
from shared.records.types import Record
from shared.tasks.cached_activations import embed

EvaluatorOf = Callable[..., Evaluator]
SETTINGS: Mapping[str, Any] = {
    "training.micro_batch_tokens": 4096,  # few and large batches are faster to compute
    "evaluation.bootstrap": 100,
    "evaluation.probes": {"search": 3, "rate": 0.5, "backdoor": False},
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resample groups a few times: fairlearn computes each metric of each resample in Python."""
    monkeypatch.setattr(groups, "RESAMPLES", 25)


@pytest.fixture
def evaluator_of(change: Change, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake) -> EvaluatorOf:
    def build(config: RunConfig, records: Sequence[Record] | None = None, **probes: Any) -> Evaluator:
        section = {**SETTINGS["evaluation.probes"], **probes}
        changed = change(config, {**SETTINGS, "evaluation.probes": section})
        learner = learner_of(changed)
        shake(learner)
        chosen = records if records is not None else records_of(changed, 40)
        times = [("early" if number < 15 else "late") for number in range(len(chosen))]
        return Evaluator(learner, learner.task.encode(chosen), ["x"] * len(chosen), changed, records=chosen, groups=times)

    return build


def test_nothing_is_probed_unless_the_config_asks(classify: RunConfig, learner_of: LearnerOf) -> None:
    learner = learner_of(classify)
    assert probe(Evaluator(learner, [], [], classify)) is None


@pytest.mark.slow
def test_probes_are_plain_numbers_without_a_word_of_a_record(either: RunConfig, evaluator_of: EvaluatorOf) -> None:
    evaluator = evaluator_of(either, group="when")
    found = probe(evaluator)
    assert found is not None
    written = json.dumps(found, allow_nan=False)
    assert not [text for record in evaluator.records for text in record.fields.values() if len(text) > 8 and text in written]
    metric = "accuracy" if either.task.name == "classification" else "perplexity"
    assert found["robustness"]["metric"] == metric
    clean = evaluator.outcome().primary().value()
    assert found["robustness"]["clean"]["value"] == pytest.approx(clean)
    assert [row["noise"] for row in found["robustness"]["noises"]] == ["typos", "case", "deletion", "synonyms"]
    page = render({"probes": found})
    for words in ("Probes", "With typos", "Worst version of each text", "Forgetting", "early"):
        assert words in page
    assert 'id="probes"' not in render({})


def test_the_worst_case_is_no_better_than_the_text_itself_and_no_better_with_more_search(
    either: RunConfig, evaluator_of: EvaluatorOf
) -> None:
    sign = 1 if either.task.name == "classification" else -1
    worst = []
    for search in (1, 4):
        found: Any = probe(evaluator_of(either, search=search, forgetting=False))
        robust = found["robustness"]
        assert sign * robust["worst"]["value"]["value"] <= sign * robust["clean"]["value"]
        worst.append(sign * robust["worst"]["value"]["value"])
    assert worst[1] <= worst[0]


def test_a_lower_case_tokenizer_is_proof_against_case(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    found: Any = probe(evaluator_of(classify, noises=["case"], rate=1.0, search=0, forgetting=False))
    assert found["robustness"]["worst"] is None
    assert found["robustness"]["noises"][0]["change"] == {"value": 0, "low": 0, "high": 0}


def test_flips_count_the_records_that_have_something_to_swap(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    texts = ["he aia bjb", "aia bjb ckc", "his sister aia", "<PERSON_1> aia bjb", "dld eme"]
    records = [Record({"text": text}, "yes", place) for place, text in enumerate(texts * 4)]
    evaluator = evaluator_of(classify, records, search=0, noises=["case"], forgetting=False)
    found: Any = probe(evaluator)
    gender, names = found["swaps"]
    assert (gender["records"], names["records"]) == (8, 4)
    assert gender["flips"]["value"] == gender["flips"]["count"] / 8
    assert gender["flips"]["low"] <= gender["flips"]["value"] <= gender["flips"]["high"]


def test_a_flip_is_a_changed_label_and_is_found(
    classify: RunConfig, evaluator_of: EvaluatorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that looks for one word: swapping that word flips each label, swapping another flips none."""
    records = [Record({"text": text}, "yes", 1) for text in ["he aia"] * 3 + ["aia <PERSON_1> bjb"] * 2]
    evaluator = evaluator_of(classify, records, search=0, noises=["case"], forgetting=False)
    task: Any = evaluator.learner.task
    word = task.encode([Record({"text": "she"}, "yes")])[0].ids[1:-1]  # 'she' in pieces; 'he' has other ones

    def losses(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen = torch.tensor([bool(np.isin(word[0], row.numpy())) for row in ids])
        return torch.stack([seen.float(), (~seen).float()], dim=1)

    monkeypatch.setattr(evaluator.learner.model, "forward", losses)
    found: Any = probe(evaluator)
    assert [row["flips"]["value"] for row in found["swaps"]] == [1.0, 0.0]


def test_nothing_to_swap_is_no_rate_of_nought(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    found: Any = probe(evaluator_of(classify, search=0, forgetting=False))
    assert [(row["records"], row["flips"]) for row in found["swaps"]] == [(0, None), (0, None)]
    assert "Counterfactual swaps" in render({"probes": found})


def test_groups_are_measured_apart_and_the_gap_is_between_them(either: RunConfig, evaluator_of: EvaluatorOf) -> None:
    evaluator = evaluator_of(either, group="when", search=0, noises=["case"], forgetting=False)
    found: Any = probe(evaluator)
    outcome = evaluator.outcome()
    name = found["robustness"]["metric"]
    expected = [
        outcome.where(np.array([group == which for group in evaluator.groups])).primary().value()
        for which in ("early", "late")
    ]
    rows = found["groups"]["rows"]
    assert [(row["group"], row["records"]) for row in rows] == [("early", 15), ("late", 25)]
    assert [row["metrics"][name]["value"] for row in rows] == pytest.approx(expected, rel=1e-5)
    assert found["groups"]["gaps"][name]["value"] == pytest.approx(abs(expected[0] - expected[1]), rel=1e-4, abs=1e-12)
    for row in rows:
        assert row["metrics"][name]["low"] <= row["metrics"][name]["value"] <= row["metrics"][name]["high"]


def test_groups_that_cannot_be_compared_are_refused_in_one_line(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    evaluator = evaluator_of(classify, group="when", forgetting=False, noises=[], swaps=[])
    for given in ([None] * 40, ["one"] * 40, [str(number) for number in range(40)]):
        with pytest.raises(ConfigError, match="groups in column 'when'; name a column with 2 to 20") as caught:
            probe(replace(evaluator, groups=given))
        assert "\n" not in str(caught.value)


def test_an_adapter_that_does_nothing_forgets_nothing(either: RunConfig, change: Change, learner_of: LearnerOf) -> None:
    config = change(either, {**SETTINGS, "evaluation.probes": {"noises": [], "swaps": []}})
    learner = learner_of(config)
    found: Any = probe(Evaluator(learner, [], [], config))
    assert found["forgetting"]["texts"] == len(SENTENCES)
    assert found["forgetting"]["change"] == {"value": 0, "low": 0, "high": 0}


def test_a_shaken_adapter_changes_what_the_base_knew_and_the_base_is_as_it_was(
    instruct: RunConfig, evaluator_of: EvaluatorOf, learner_of: LearnerOf
) -> None:
    evaluator = evaluator_of(instruct, noises=[], swaps=[])
    found: Any = probe(evaluator)
    fresh: Any = probe(Evaluator(learner_of(evaluator.config), [], [], evaluator.config))
    assert found["forgetting"]["before"] == fresh["forgetting"]["before"]
    assert found["forgetting"]["change"]["value"] != 0


def test_the_base_alone_is_the_model_before_training(either: RunConfig, learner_of: LearnerOf, shake: Shake) -> None:
    learner = learner_of(either)
    ids = torch.tensor([[2, 9, 30, 40, 3]])

    def states() -> torch.Tensor:
        with torch.no_grad():
            return learner.base.network.base_model(input_ids=ids).last_hidden_state  # type: ignore[no-any-return]

    untrained = states()
    shake(learner)
    tuned = states()
    assert not torch.equal(tuned, untrained)
    with pytest.raises(RuntimeError), base_only(learner.model):
        torch.testing.assert_close(states(), untrained, rtol=0, atol=0)
        raise RuntimeError  # whatever happens, the adapter is back
    torch.testing.assert_close(states(), tuned, rtol=0, atol=0)


def test_an_operators_own_texts_are_taken(classify: RunConfig, evaluator_of: EvaluatorOf, tmp_path: Path) -> None:
    rows = [{"text": f"aia bjb {word}", "label": word[0]} for word in ("ckc", "dld") for _ in range(5)]
    file = tmp_path / "general.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    found: Any = probe(evaluator_of(classify, noises=[], swaps=[], general=str(file)))
    assert (found["forgetting"]["texts"], found["forgetting"]["own_texts"]) == (10, False)
    assert found["forgetting"]["metric"] == "probe_accuracy"


@pytest.mark.parametrize(
    ("content", "labelled"),
    [('{"text": "one"}\n', False), ('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}', True)],
)
def test_too_few_general_texts_are_refused_in_one_line(tmp_path: Path, content: str, labelled: bool) -> None:
    (tmp_path / "g.jsonl").write_text(content)
    with pytest.raises(DataError, match="too few texts"):
        general_texts(tmp_path / "g.jsonl", labelled)


def test_centroids_tell_clusters_apart_and_noise_not() -> None:
    generator = np.random.default_rng(3)
    labels = [label for label in "abcd" for _ in range(10)]
    noise = generator.normal(size=(40, 16)).astype(np.float32)
    clusters = noise + 9 * np.repeat(np.eye(4, 16, dtype=np.float32), 10, axis=0)
    assert nearest_centroid_hits(clusters, labels).mean() == 1
    assert nearest_centroid_hits(noise, labels).mean() < 0.6


def test_embeddings_do_not_depend_on_their_neighbours(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    evaluator = evaluator_of(classify)
    together = embed(evaluator.learner, evaluator.examples, None, 64)
    alone = embed(evaluator.learner, [evaluator.examples[7]], None, 64)
    np.testing.assert_allclose(together[7], alone[0], rtol=1e-4, atol=1e-5)


def test_a_choice_of_records_is_seeded_and_keeps_each_with_its_own(classify: RunConfig, evaluator_of: EvaluatorOf) -> None:
    evaluator = evaluator_of(classify)
    chosen, again = sampled(evaluator, 20), sampled(evaluator, 20)
    assert [record.position for record in chosen.records] == [record.position for record in again.records]
    assert len(chosen.examples) == 20
    for record, example, group in zip(chosen.records, chosen.examples, chosen.groups, strict=True):
        assert example.ids.tolist() == evaluator.learner.task.encode([record])[0].ids.tolist()
        assert group == ("early" if record.position <= 15 else "late")


def test_the_general_texts_are_even_and_each_is_there_once() -> None:
    assert len({text for text, _ in SENTENCES}) == len(SENTENCES) == 96
    assert {topic: sum(label == topic for _, label in SENTENCES) for topic in TOPICS} == dict.fromkeys(TOPICS, 12)
