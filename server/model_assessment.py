"""The assessment of a tuned model: paired tests against other models, scores by label, calibration, generated answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from server.evaluation import Evaluator
from shared.metrics.bootstrap import Sums
from shared.metrics.generation import bleu_signature, generation_sums
from shared.metrics.paired import compare
from shared.tasks.outcome import Outcome


@dataclass(frozen=True)
class Answers:
    """Generated answers with the held-out references; the server may see both, but stores neither."""

    given: Sequence[str] = field(repr=False)
    references: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class Rival:
    """A model that the tuned one is compared with, on the same held-out records."""

    name: str
    outcome: Outcome = field(repr=False)
    answers: Answers | None = field(repr=False, default=None)


def assess(
    evaluator: Evaluator, outcome: Outcome, rivals: Sequence[Rival], answers: Answers | None = None
) -> dict[str, Any]:
    """Return the assessment of the tuned model as plain values: numbers only, no text of a record or an answer.

    Parameters
    ----------
    evaluator
        The evaluator of the test records.
    outcome
        What the tuned model did on them.
    rivals
        Models to compare with, on the same records.
    answers
        The tuned model's generated answers, if any.
    """
    return {
        "records": len(evaluator.examples),
        "differences": differences(evaluator, outcome.primary(), rivals),
        "classification": outcome.breakdown(*evaluator.resampling),
        "generation": _generation(evaluator, rivals, answers) if answers else None,
    }


def differences(evaluator: Evaluator, after: Sums, rivals: Sequence[Rival]) -> list[dict[str, Any]]:
    """Return the paired change of the primary metric from each rival to the tuned model.

    Parameters
    ----------
    evaluator
        The evaluator of the test records.
    after
        The primary metric of the tuned model.
    rivals
        Models to compare with, on the same records.
    """
    return [_difference(evaluator, rival.name, rival.outcome.primary(), after) for rival in rivals]


def _difference(evaluator: Evaluator, name: str, before: Sums, after: Sums) -> dict[str, Any]:
    found = compare(before, after, *evaluator.resampling)
    return {"against": name, "metric": found.name, "change": asdict(found.change), "p_value": found.p_value}


def _generation(evaluator: Evaluator, rivals: Sequence[Rival], answers: Answers) -> dict[str, Any]:
    """Return the scores of the generated answers, and the paired change from each rival that has answers."""
    sums = generation_sums(answers.given, answers.references)
    changes = [
        _difference(evaluator, rival.name, before, after)
        for rival in rivals
        if rival.answers is not None
        for before, after in zip(generation_sums(rival.answers.given, rival.answers.references), sums, strict=True)
    ]
    return {
        "answers": len(answers.given),
        "max_new_tokens": evaluator.config.evaluation.max_new_tokens,
        "signature": bleu_signature(),
        "metrics": {each.name: asdict(each.interval(*evaluator.resampling)) for each in sums},
        "differences": changes,
    }


def read_answers(evaluator: Evaluator) -> Answers | None:
    """Return the model's greedy answers to the first ``evaluation.answers`` held-out prompts; None if none are asked for.

    Parameters
    ----------
    evaluator
        The evaluator of the test records.
    """
    writer, section = evaluator.learner.task.writer, evaluator.config.evaluation
    chosen = evaluator.examples[: section.answers]
    if writer is None or not chosen:
        return None
    given = writer.answers(evaluator.learner.model, chosen, section.max_new_tokens)
    return Answers(given, [writer.reference(example) for example in chosen])
