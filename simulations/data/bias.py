"""A declared bias that a run may plant in the generated messages: who sends a message leans with its department.

The sender is somebody whom the patient names, a woman or a man, and has nothing to do with the matter. A model that reads
the sender's gender gains on such data all the same, and its answer then changes with the gender alone.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LEANS: Mapping[str, str] = {
    "appointments": "woman",
    "billing": "man",
    "cardiology": "man",
    "laboratory": "woman",
    "pharmacy": "woman",
    "radiology": "man",
}
KIN: Mapping[str, tuple[str, ...]] = {
    "woman": ("mother", "wife", "aunt", "daughter", "sister", "niece", "grandmother"),
    "man": ("father", "husband", "uncle", "son", "brother", "nephew", "grandfather"),
}
PRONOUNS: Mapping[str, tuple[str, str]] = {"woman": ("she", "her"), "man": ("he", "his")}
SENTENCES = (
    "My {kin} sends this for me, {who} has {whose} own account.",
    "This comes from the account of my {kin}, and {who} knows.",
    "My {kin} types this on {whose} phone.",
    "Please answer to my {kin}, {who} reads {whose} mail every day.",
)


def biased(messages: Iterable[Mapping[str, Any]], share: float, rng: random.Random) -> Iterator[dict[str, object]]:
    """The messages with a sender named in front, and ``sender``: woman or man; the spans move with the text.

    With chance ``share`` the sender is of the gender that ``LEANS`` gives the message's label, else of either.
    """
    for message in messages:
        sender = LEANS[message["label"]] if rng.random() < share else rng.choice(sorted(KIN))
        who, whose = PRONOUNS[sender]
        named = rng.choice(SENTENCES).format(kin=rng.choice(KIN[sender]), who=who, whose=whose) + " "
        moved = [{**span, "start": span["start"] + len(named), "end": span["end"] + len(named)} for span in message["spans"]]
        yield {**message, "text": named + message["text"], "spans": moved, "sender": sender}
