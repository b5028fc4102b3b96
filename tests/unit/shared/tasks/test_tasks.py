from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixture_types import Change, LearnerOf, RecordsOf, Shake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.examples import Example, collate
from shared.tasks.instruction import Instruction
from shared.tasks.micro_batches import micro_batches
from shared.tasks.outcome import joined

SHARED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def learner(either: RunConfig, learner_of: LearnerOf, shake: Shake) -> Learner:
    made = learner_of(either)
    shake(made)
    made.model.eval()
    return made


def losses(learner: Learner, examples: list[Example]) -> list[float]:
    batch = collate(examples, learner.base.tokenizer.pad_token_id, torch.device("cpu"))
    with torch.no_grad():
        return [float(loss) for loss in learner.task.losses(learner.model, batch)]


def test_a_records_loss_does_not_depend_on_its_neighbours(
    learner: Learner, either: RunConfig, records_of: RecordsOf
) -> None:
    examples = learner.task.encode(records_of(either, 30))
    alone = [losses(learner, [example])[0] for example in examples]

    @SHARED
    @given(st.lists(st.integers(0, 29), min_size=1, max_size=8))
    def check(chosen: list[int]) -> None:
        np.testing.assert_allclose(
            losses(learner, [examples[i] for i in chosen]), [alone[i] for i in chosen], atol=1e-5, rtol=1e-5
        )

    check()
    assert np.std(alone) > 0.01  # the loss tells the records apart


def test_an_outcome_does_not_depend_on_the_micro_batches(learner: Learner, either: RunConfig, records_of: RecordsOf) -> None:
    examples = learner.task.encode(records_of(either, 20))
    found = []
    for tokens in (10_000, 24):
        with torch.no_grad():
            batches = list(learner.batches(examples, range(20), tokens))
            found.append(joined([(chosen, learner.task.outcome(learner.model, batch)) for chosen, batch in batches]))
    for name, values in found[0].arrays().items():
        np.testing.assert_allclose(values, found[1].arrays()[name], rtol=1e-5)


def test_the_instruction_loss_is_the_mean_over_the_records_response_tokens(
    instruct: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(instruct)
    shake(learner)
    learner.model.eval()
    for example in learner.task.encode(records_of(instruct, 8)):
        ids = torch.from_numpy(example.ids)
        with torch.no_grad():
            logits = learner.model(input_ids=ids[None]).logits[0]
        answers = torch.from_numpy(example.target)[1:]
        expected = F.cross_entropy(logits[:-1][answers], ids[1:][answers])
        assert losses(learner, [example])[0] == pytest.approx(float(expected), rel=1e-4, abs=1e-5)
        with torch.no_grad():
            outcome = learner.task.outcome(learner.model, collate([example], 0, torch.device("cpu")))
        assert outcome.tokens[0] == answers.sum()
        assert outcome.losses[0] / outcome.tokens[0] == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_the_mask_is_true_on_the_response_and_its_end_alone(
    instruct: RunConfig, learner_of: LearnerOf, change: Change
) -> None:
    learner = learner_of(change(instruct, {"model.max_length": 128}))
    example = learner.task.encode([Record({"instruction": "aia bjb", "response": "cic did aia"})])[0]
    tokenizer = learner.base.tokenizer

    def text(ids: np.ndarray) -> str:  # type: ignore[type-arg]
        return tokenizer.decode(ids).replace("##", "").replace(" ", "")

    assert text(example.ids[~example.target]) == "<system>bekind<user>aiabjb<assistant>"
    assert text(example.ids[example.target]) == "cicdidaia[eos]"
    assert example.ids[-1] == tokenizer.eos_token_id


def test_the_system_message_is_left_out_when_there_is_none(
    instruct: RunConfig, learner_of: LearnerOf, change: Change
) -> None:
    learner = learner_of(change(instruct, {"task.system": ""}))
    assert "system" not in learner.task.prompt("aia")


@SHARED
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([16, 17, 24, 40]))
def test_every_instruction_example_fits_and_has_a_response_token(
    learner_of: LearnerOf, instruct: RunConfig, change: Change, words: int, answer: int, longest: int
) -> None:
    global CACHE
    if longest not in CACHE:
        CACHE[longest] = learner_of(change(instruct, {"model.max_length": longest}))
    learner = CACHE[longest]
    example = learner.task.encode([Record({"instruction": "aia " * words, "response": "bjb " * answer})])[0]
    assert len(example) <= longest
    mask = example.target
    assert mask.any()
    assert not mask[0]  # nothing predicts the first token
    assert (np.diff(mask.astype(int)) >= 0).all()  # the response is the end of the example
    if len(example) < longest:
        assert example.ids[-1] == learner.base.tokenizer.eos_token_id


CACHE: dict[int, Learner] = {}


def test_a_long_text_is_cut_to_the_length_and_a_label_becomes_its_index(classify: RunConfig, learner_of: LearnerOf) -> None:
    learner = learner_of(classify)
    long, short = learner.task.encode([Record({"text": "aia " * 500}, "yes"), Record({"text": "aia"}, "no")])
    assert (len(long), len(short)) == (24, 3)
    assert (long.target, short.target) == (1, 0)
    assert long.ids[-1] == short.ids[-1] == learner.base.tokenizer.sep_token_id
    assert learner.task.encode([]) == []


def test_a_text_without_words_still_has_a_finite_loss(classify: RunConfig, learner_of: LearnerOf) -> None:
    learner = learner_of(classify)
    assert np.isfinite(losses(learner, learner.task.encode([Record({"text": ""}, "yes")]))).all()


def test_greedy_answers_are_the_same_every_time(instruct: RunConfig, learner_of: LearnerOf) -> None:
    learner = learner_of(instruct)
    first = learner.task.answer(learner, "aia bjb", 5)
    assert first == learner.task.answer(learner, "aia bjb", 5)
    assert isinstance(first, str)


lengths = st.lists(st.integers(1, 50), min_size=1, max_size=40)


@given(lengths, st.integers(1, 200), st.randoms(use_true_random=False), st.booleans())
def test_micro_batches_are_a_partition_within_the_bound_that_cuts_no_unit(
    sizes: list[int], most: int, random: object, padded: bool
) -> None:
    indices = [i for i in range(len(sizes)) if random.random() < 0.7]  # type: ignore[attr-defined]
    units: list[list[int]] = []
    for index in indices:
        if units and random.random() < 0.5:  # type: ignore[attr-defined]
            units[-1].append(index)
        else:
            units.append([index])
    groups = micro_batches(sizes, units, most, padded=padded)
    assert sorted(tuple(unit) for group in groups for unit in group) == [tuple(unit) for unit in units]
    for group in groups:
        rows = [row for unit in group for row in unit]
        tokens = len(rows) * max(sizes[row] for row in rows) if padded else sum(sizes[row] for row in rows)
        assert len(group) == 1 or tokens <= most
        assert group


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=7),
    most=st.integers(1, 200),
    fixed_cost=st.sampled_from([0, 5, 128]),
    padded=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_no_other_cuts_of_the_sorted_records_cost_less(sizes: list[int], most: int, fixed_cost: int, padded: bool) -> None:
    def tokens(group: list[int]) -> int:
        return len(group) * max(group) if padded else sum(group)

    def cost(groups: list[list[int]]) -> int:
        """Return the cost of micro-batches: their tokens, with or without padding, and a fixed cost for each."""
        return sum(tokens(group) + fixed_cost for group in groups)

    found = micro_batches(sizes, [(i,) for i in range(len(sizes))], most, fixed_cost, padded=padded)
    ordered = sorted(sizes, reverse=True)
    possible = []
    for cuts in product([False, True], repeat=len(sizes) - 1):
        groups = [[ordered[0]]]
        for cut, size in zip(cuts, ordered[1:], strict=True):
            if cut:
                groups.append([size])
            else:
                groups[-1].append(size)
        if all(len(group) == 1 or tokens(group) <= most for group in groups):
            possible.append(cost(groups))
    assert cost([[sizes[i] for (i,) in group] for group in found]) == min(possible)


def test_padding_is_on_the_right_and_masked() -> None:
    examples = [Example(np.array([5, 6, 7]), np.array([False, True, True])), Example(np.array([8]), np.array([True]))]
    batch = collate(examples, 9, torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.targets.tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize("question", ["aia " * 40, "a" * 90, "aia\n" * 30 + "<assistant>"])
def test_only_the_users_text_is_cut_and_generation_asks_as_training_does(
    learner_of: LearnerOf, instruct: RunConfig, question: str
) -> None:
    task = learner_of(instruct).task
    assert isinstance(task, Instruction)
    [example] = task.encode([Record({"instruction": question, "response": "bib"})])
    prompt = example.ids[~np.asarray(example.target, dtype=np.bool_)].tolist()
    whole = task.tokenizer(task.prompt(question), add_special_tokens=False)["input_ids"]
    empty = task.tokenizer(task.prompt(""), add_special_tokens=False)["input_ids"]
    end = task.tokenizer("<assistant>", add_special_tokens=False)["input_ids"]
    assert len(prompt) <= task.longest_prompt < len(whole)
    assert len(prompt) > len(empty)
    assert prompt[-len(end) :] == end
    assert prompt[: len(prompt) - len(end)] == whole[: len(prompt) - len(end)]
    asked: list[list[int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_continued", lambda _, prompts, __: asked.extend(map(list, prompts)) or [""])
        task.replies(learner_of(instruct).model, [question], 3)
    assert asked == [prompt]
