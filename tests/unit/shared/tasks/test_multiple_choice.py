import numpy as np
import torch
from fixture_types import LearnerOf

from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.multiple_choice import choice_losses


def test_a_question_read_once_for_all_answers_gives_each_the_loss_that_it_has_when_it_is_read_with_it(
    instruct: RunConfig, learner_of: LearnerOf
) -> None:
    learner = learner_of(instruct)
    answers = ("no", "yes indeed", "perhaps, perhaps not")  # of different lengths
    for begin in ("", "always the same beginning, "):
        asked = [
            Record({"instruction": f"{begin}{number} {'word ' * number}", "response": answer})
            for number in range(4)
            for answer in answers
        ]
        examples = learner.task.encode(asked)
        with torch.no_grad():
            batches = [next(iter(learner.batches([example], [0], 4096)))[1] for example in examples]
            alone = [learner.task.outcome(learner.model, batch).losses[0] for batch in batches]
        np.testing.assert_allclose(choice_losses(learner, examples, 3).ravel(), alone, rtol=1e-4)
