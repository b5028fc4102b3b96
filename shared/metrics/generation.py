"""Compare generated answers with reference answers: BLEU (sacreBLEU), ROUGE (TorchMetrics), exact match, token F1."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from shared.metrics.bootstrap import Floats, Sums, mean

ROUGE = ("rouge1", "rouge2", "rougeL")
ORDERS = 4  # BLEU counts n-grams of 1 to 4 words
ARTICLES = re.compile(r"\b(a|an|the)\b")


def generation_sums(answers: Sequence[str], references: Sequence[str]) -> list[Sums]:
    """Return BLEU (0 to 100), ROUGE F-measures, exact match and token F1 (0 to 1).

    BLEU is computed over the whole corpus; the others are means over answers.

    Parameters
    ----------
    answers
        N generated answers.
    references
        N reference answers, in the same order.
    """
    pairs = list(zip(answers, references, strict=True))
    rouge = [_rouge(answer, reference) for answer, reference in pairs]
    means = {name: [scores[name] for scores in rouge] for name in ROUGE}
    means["exact_match"] = [float(_words(answer) == _words(reference)) for answer, reference in pairs]
    means["token_f1"] = [token_f1(answer, reference) for answer, reference in pairs]
    return [_bleu(pairs), *(mean(name, np.asarray(values)) for name, values in means.items())]


def bleu_signature() -> str:
    """Return sacreBLEU's signature, which says how BLEU was computed (Post 2018, arXiv 1804.08771)."""
    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])  # without a score the signature lacks the number of references
    return str(metric.get_signature())


def token_f1(answer: str, reference: str) -> float:
    """Return the F1 of the words that answer and reference share, as in SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250)."""
    said, wanted = _words(answer), _words(reference)
    shared = sum((Counter(said) & Counter(wanted)).values())
    if not said or not wanted:
        return float(said == wanted)
    return 2 * shared / (len(said) + len(wanted))


def _rouge(answer: str, reference: str) -> dict[str, float]:
    """Return the F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, aclanthology.org/W04-1013), without stemming."""
    from torchmetrics.functional.text import rouge_score  # takes seconds to import

    scores = rouge_score(answer, reference, rouge_keys=ROUGE)
    return {name: float(scores[f"{name}_fmeasure"]) for name in ROUGE}


def _words(text: str) -> list[str]:
    """Return the words in SQuAD's normal form: lower case, without punctuation and articles."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return ARTICLES.sub(" ", plain).split()


def _bleu(pairs: Sequence[tuple[str, str]]) -> Sums:
    """Return BLEU as sums: n-gram hits and totals, and lengths of answers and references, by sentence from sacreBLEU."""
    metric = BLEU(effective_order=True)  # only its counts are used; `_corpus` computes the score
    scores = [metric.sentence_score(answer, [reference]) for answer, reference in pairs]
    return Sums("bleu", np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores], dtype=np.float64), _corpus)


def _corpus(sums: Floats) -> Floats:
    """Return sacreBLEU's corpus score for each row of sums, (M,)."""
    return np.array([_score([int(count) for count in row.round()]) for row in sums])


def _score(row: list[int]) -> float:
    hits, totals, (said, wanted) = row[:ORDERS], row[ORDERS : 2 * ORDERS], row[2 * ORDERS :]
    return float(BLEU.compute_bleu(hits, totals, said, wanted, smooth_method="exp").score)
