from collections.abc import Sequence
from pathlib import Path

import torch
from fixture_types import LearnerOf, RecordsOf, Shake

from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.adapter_files import save_adapter
from simulations.predict import answer


def test_a_text_gets_the_label_that_the_model_gives_it(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake, tmp_path: Path
) -> None:
    learner = learner_of(classify)
    shake(learner)
    save_adapter(learner, classify, read_adapter(learner.model), tmp_path / "adapter")
    records: Sequence[Record] = records_of(classify, 6)
    learner.model.eval()
    for record in records[:3]:
        _, batch = next(learner.batches(learner.task.encode([record]), [0], 1000))
        with torch.no_grad():
            expected = classify.task.labels[int(learner.model(batch.ids, batch.mask).argmax())]
        assert answer(tmp_path / "adapter", record.fields["text"], 5) == expected


def test_an_instruction_gets_a_text(instruct: RunConfig, learner_of: LearnerOf, tmp_path: Path) -> None:
    learner = learner_of(instruct)
    save_adapter(learner, instruct, read_adapter(learner.model), tmp_path / "adapter")
    assert isinstance(answer(tmp_path / "adapter", "aia", 3), str)
