"""Add a known gender bias to generated messages: the sender's gender correlates with the department.

The sender is a relative of the patient whose gender is irrelevant to the request. A model can still gain accuracy from it;
then its answer changes when only the gender changes. The studies of bias mitigation use this.
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
    """Yield the messages with a sentence about the sender in front, and with the new field ``sender`` (woman or man).

    With probability ``share`` the sender's gender is the one that ``LEANS`` assigns to the message's label, otherwise it is
    drawn at random. The spans are shifted by the length of the added sentence.
    """
    for message in messages:
        sender = LEANS[message["label"]] if rng.random() < share else rng.choice(sorted(KIN))
        who, whose = PRONOUNS[sender]
        named = rng.choice(SENTENCES).format(kin=rng.choice(KIN[sender]), who=who, whose=whose) + " "
        moved = [{**span, "start": span["start"] + len(named), "end": span["end"] + len(named)} for span in message["spans"]]
        yield {**message, "text": named + message["text"], "spans": moved, "sender": sender}
