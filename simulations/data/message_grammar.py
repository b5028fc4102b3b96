"""The grammar of the demo's patient messages: the needs of patients, and the sentences that request or mention a need.

A table maps a symbol to its alternatives. In an alternative, ``{symbol}`` stands for one of that symbol's alternatives,
``(a|b|)`` for one of the texts inside, and ``[MARK]`` for personal data that is inserted later.

Every department has the same three kinds of need. A sentence either makes a need the request of the message or mentions it
as settled, negated or postponed. So single words do not give the department away; a model must read how a need is mentioned.
"""

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

Rules = Mapping[str, tuple[str, ...]]

DEPARTMENTS = ("appointments", "billing", "cardiology", "laboratory", "pharmacy", "radiology")

# The number of settled needs of other departments that a message mentions (all entries equally likely), and the probability
# that a message gives a reason.
MENTIONED = (0, 0, 0, 1, 1)
EXPLAINED = 0.45

# Things that messages are about. Each belongs to one department but is named in messages to all: a scan is booked, paid for
# and asked about.
THINGS: Rules = {
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    "recently": ("yesterday", "last week", "on {weekday}", "two weeks ago", "last month"),
    "doctor": ("{my} GP", "{my} family doctor", "{my} orthopaedist", "Dr. [DOCTOR]", "Dr [DOCTOR]"),
    "part": ("knee", "hip", "back", "shoulder", "head", "chest", "neck", "left foot", "wrist"),
    "organ": ("liver", "kidneys", "belly", "gallbladder", "spleen"),
    "scan": ("MRI of the {part}", "CT of the {part}", "X-ray of the {part}", "ultrasound of the {organ}"),
    "tube scan": ("MRI of the {part}", "CT of the {part}"),
    "metal": ("a metal plate", "a piercing", "an implant", "a hearing implant", "screws in the {part}"),
    "test": ("blood count", "thyroid value", "cholesterol panel", "iron level", "kidney panel", "clotting value"),
    "sample": ("blood sample", "urine sample", "stool sample", "swab", "tube of blood"),
    "drug": ("blood thinner", "insulin", "beta blocker", "statin", "antibiotic", "thyroid medicine", "inhaler",
             "iron syrup", "migraine medicine", "cortisone cream", "blood pressure medicine"),
    "remedy": ("cough drops", "grapefruit juice", "painkillers", "sleeping pills", "fish oil", "wine"),
    "exam": ("ECG", "24-hour recording", "stress test", "echo of the heart", "catheter exam", "long-term ECG"),
    "event": ("heart attack", "stent", "valve operation", "bypass", "pacemaker operation"),
    "symptom": ("the racing heart", "the tightness in {my} chest", "the skipped beats", "the swollen ankles",
                "the dizzy spells on the stairs", "the high readings at home", "the flutter at night"),
    "visit": ("{scan}", "{scan}", "{exam}", "{exam}", "blood draw", "medication review", "follow-up",
              "talk with {doctor}"),
    "service": ("{scan}", "{scan}", "{test}", "{test}", "{exam}", "{exam}", "{drug}", "{drug}", "missed visit",
                "night on the ward"),
}  # fmt: skip

# What a patient may need from each department: something done (ask), something delivered (want), or a problem (trouble).
NEEDS: Mapping[str, Rules] = {
    "appointments": {
        "ask": (
            "(move|shift|push back|bring forward) the {visit} to (another day|a morning|after five|the week after)",
            "(find|offer|give) {me} (an earlier|another|a later) (slot|date|time) for the {visit}",
            "(cancel|call off|take {me} off the list for) the {visit} on {weekday}",
            "(confirm that|check that|let {us} know whether) the {visit} on {weekday} (still stands|is going ahead)",
            "put {me} on the waiting list for the {visit}",
            "(book|arrange|set up|fix) a (date|time|slot) for the {visit}",
            "tell {us} (at what time|on which floor|to which door) {I} must come for the {visit}",
        ),
        "want": (
            "(a new|a later|another|an earlier) (date|slot|time) for the {visit}",
            "(a slot|an opening|a free place) for the {visit} (before {weekday}|this month|next week)",
            "a place on the waiting list for the {visit}",
            "(word|a note) on when the {visit} takes place",
        ),
        "trouble": (
            "{I} cannot (come|make it|get there) on {weekday}, when the {visit} is planned",
            "the {visit} on {weekday} clashes with (a shift at work|a funeral|a school trip|another operation)",
            "(nobody|no one) has (given {me}|named) a day for the {visit}",
            "the letter says {weekday} for the {visit} and the phone message says another day",
            "the {visit} was called off at the door and no other day was named",
        ),
    },
    "billing": {
        "ask": (
            "(explain|check|correct) the (charge|fee|sum) for the {service}",
            "(send|mail|print) {us} (a copy of the|an itemised|a corrected) (invoice|bill|receipt) for the {service}",
            "(split|spread) the (sum|cost) of the {service} over (three|six|ten) months",
            "(refund|pay back|return) what was paid twice for the {service}",
            "claim the cost of the {service} from {my} (insurer|health insurance)",
            "(drop|withdraw|look into) the (reminder|late fee|collection letter) for the {service}",
        ),
        "want": (
            "(an|the) (itemised invoice|itemised bill|official receipt) for the {service}",
            "(the refund|the money back) for the {service}",
            "(a payment plan|an instalment plan|a later due date) for the {service}",
            "an (explanation|account) of what the {service} cost",
        ),
        "trouble": (
            "the {service} was charged (twice|to the wrong person|at the private rate)",
            "{my} (insurer|health insurance) (refuses to cover|does not want to pay for) the {service}",
            "a (reminder|collection letter) came for the {service} although it was paid",
            "the (price|sum) for the {service} is (far above|double) the estimate",
            "the deposit for the {service} never came back",
        ),
    },
    "cardiology": {
        "ask": (
            "(look at|go over|judge|interpret) the {exam} (once more|carefully|)",
            "(tell {us}|say) whether {symptom} (is dangerous|is serious|can be ignored)",
            "(check|test|adjust) the pacemaker (after|because of) {symptom}",
            "(say|tell {us}) how much (sport|strain|lifting) is allowed after the {event}",
            "(explain|tell {us}) what the {exam} (means for|says about) the heart",
            "(advise {me}|call {me} back) about {symptom}",
            "(say|tell {us}) whether {symptom} can come from the {event}",
        ),
        "want": (
            "(an opinion|advice|a specialist's view) on {symptom}",
            "(a heart specialist's|an expert's) reading of the {exam}",
            "(advice|guidance|a clear rule) on (sport|flying|lifting|sauna) after the {event}",
            "(an examination|a check) of the pacemaker because of {symptom}",
        ),
        "trouble": (
            "{my} heart (races|stumbles|pounds|skips beats) (at night|on the stairs|when {I} {am} lying down)",
            "{I} {am} out of breath after (one flight of stairs|a few steps|making the bed) since the {event}",
            "the (ankles|legs) have been (swelling|getting thick) since the {event}",
            "the pacemaker (beeps|vibrates|gives a warning) (twice a day|every evening)",
            "the (pressure|tightness) in {my} chest (comes back|returns) (when walking|in the cold)",
            "the home cuff shows (170 over 100|180 over 110) despite rest",
        ),
    },
    "laboratory": {
        "ask": (
            "(tell {us}|give {us}|read out) the (result|figures) of the {test}",
            "(repeat|re-run|check again) the {test}",
            "(say|tell {us}) whether {I} (must fast|may drink coffee|may eat) before the {test}",
            "(send|fax|pass on) the figures of the {test} to {doctor}",
            "(find out|check) what (happened to|became of) the {sample} from {weekday}",
            "(explain|tell {us}) what the (star|arrow|red mark) beside the {test} means",
            "(add|include) the {test} with the {sample} from {weekday}",
        ),
        "want": (
            "the (result|final value|outcome) of the {test}",
            "(another|a second|a repeat) run of the {test}",
            "(a new kit|a clean jar|a new container) for the {sample}",
            "(a note on|a hint on) fasting before the {test}",
        ),
        "trouble": (
            "the {sample} from {weekday} (got lost|was never registered|was left standing too long)",
            "the {test} has been (pending|open|without a result) for (nine days|three weeks)",
            "the label on the {sample} showed (a wrong birth year|another name)",
            "the {test} came back (far too high|marked in red|in another unit) without a comment",
            "the {sample} (clotted|leaked|was too small) and the {test} could not be run",
        ),
    },
    "pharmacy": {
        "ask": (
            "(renew|refill|repeat) the prescription for the {drug}",
            "(say|tell {us}) whether the {drug} goes together with {remedy}",
            "(put aside|order|get in) the {drug} for {me}",
            "(swap the {drug} for|replace the {drug} by) (another brand|a cheaper one|one without lactose)",
            "(say|tell {us}) (how much of the {drug} to take|when to take the {drug}|how to store the {drug})",
            "(deliver|send out) the {drug} (to {my} door|with the driver)",
            "(take back|dispose of) the leftover {drug}",
        ),
        "want": (
            "(a repeat prescription|a refill|another pack) of the {drug}",
            "(a substitute|another brand) for the {drug}",
            "(the dosing plan|the leaflet|a clear direction) for the {drug}",
            "(a check|word) on the {drug} together with {remedy}",
        ),
        "trouble": (
            "(only two days' worth|hardly any) of the {drug} is left",
            "the {drug} is (out of stock everywhere|nowhere to be had)",
            "the new box of {drug} holds (another strength|half the strength|other pills)",
            "the {drug} and {remedy} are said (not to mix|to be a bad match)",
            "the {drug} that was handed out (belongs to somebody else|is past its date)",
            "the script for the {drug} (ran out|expired) {recently}",
        ),
    },
    "radiology": {
        "ask": (
            "(send|upload|pass on) the pictures of the {scan} to {doctor}",
            "(read|review|look through) the {scan} (again|a second time)",
            "(say|tell {us}) what the {scan} (shows|showed|brought to light)",
            "(burn|copy|put) the {scan} on a disc",
            "(say|tell {us}) whether the {tube scan} is safe with {metal}",
            "(say|tell {us}) how to prepare for the {scan}",
            "compare the {scan} with the (older|earlier) pictures",
        ),
        "want": (
            "the (written report|report|description) of the {scan}",
            "(a copy|a disc|a print) of the pictures from the {scan}",
            "(advice on|a leaflet about|a hint on) the contrast dye for the {tube scan}",
            "(a second reading|another look at the pictures) of the {scan}",
        ),
        "trouble": (
            "{I} came out in a rash after the contrast dye for the {tube scan}",
            "{doctor} (still has|was sent) no pictures from the {scan}",
            "the report on the {scan} (names the wrong side|describes another body part|is unsigned)",
            "{I} {have} {metal} and nobody knows whether the {tube scan} is safe",
            "{I} {am} afraid of lying in the tube for the {tube scan}",
            "the disc with the {scan} (is empty|cannot be opened)",
        ),
    },
}

# How a need is mentioned. Many differ only in a detail: "you promised to ..., but nothing has happened" or "and it has".
MENTIONS: Rules = {
    "request": (
        "(could|can|would) you (please|) {ask}?", "please {ask}.", "I (need|want|would like) you to {ask}.",
        "(is there a way|would it be possible) to {ask}?", "(who|which of you) can {ask}?",
        "so far nobody has (managed|found the time|been willing) to {ask}.",
        "you promised to {ask}, but (that never happened|nothing has happened).",
        "{recently} I asked you to {ask}, and (nothing was done|I have heard nothing).",
        "what (I need|I am after|is missing) (now|today|) is {want}.", "I am (still|) (waiting for|without) {want}.",
        "I (still|) do not have {want}.", "this is about {want}.",
        "I thought that {want} had been settled, but it is not.",
        "the (problem|trouble|thing) is that {trouble}.", "I am writing because {trouble}.",
        "{trouble}, (what can be done|what now|and that worries me).", "nobody seems to notice that {trouble}.",
    ),
    "reason": ("{trouble}.", "(you see|as it is), {trouble}.", "the reason: {trouble}.", "{want} would help."),
    "settled": (
        "(there is no need|it is not necessary) to {ask}.", "you (do not|no longer) have to {ask}.",
        "somebody has (managed|found the time|been kind enough) to {ask}.",
        "you promised to {ask}, and that (has happened|worked out).",
        "{recently} I asked you to {ask}, and (that was done|it was done the same day).",
        "I was going to ask you to {ask}, but (a colleague of yours did it|that has been taken care of).",
        "{want} (came|reached me|was settled) {recently}.", "I (already|now) have {want}.", "thank you for {want}.",
        "this is not about {want}.", "I thought that {want} was still open, but it has been settled.",
        "{want} can wait.", "I once wrote that {trouble}, (but|and) that is (solved|history|put right).",
        "it is no longer the case that {trouble}.", "never mind that {trouble}, that is (solved|being handled).",
    ),
}  # fmt: skip

# Sentences that give personal data.
DETAILS: Rules = {
    "NAME": ("{my} name is [PERSON].",),
    "DATE_OF_BIRTH": ("date of birth: [DATE_OF_BIRTH].", "{my} birthday is [DATE_OF_BIRTH]."),
    "MEDICAL_RECORD_NUMBER": ("{my} record number is [MEDICAL_RECORD_NUMBER].", "patient no. [MEDICAL_RECORD_NUMBER]."),
    "STREET_ADDRESS": ("{my} address is [STREET_ADDRESS].", "{I} {have} moved to [STREET_ADDRESS]."),
    "PHONE_NUMBER": ("you can reach {us} (on|at|under) [PHONE_NUMBER].", "phone: [PHONE_NUMBER]."),
    "EMAIL_ADDRESS": ("{my} e-mail is [EMAIL_ADDRESS].", "you may answer to [EMAIL_ADDRESS]."),
}

# Words that depend on the writer: the patient, or somebody who writes for her or him.
VOICES: Mapping[str, Rules] = {
    "self": {"my": ("my",), "I": ("I",), "me": ("me",), "us": ("me",), "am": ("am",), "have": ("have",)},
    "she": {"my": ("her",), "I": ("she",), "me": ("her",), "us": ("us",), "am": ("is",), "have": ("has",),
            "patient": ("my mother", "my wife", "my aunt", "my daughter", "our resident", "a patient of our practice")},
    "he": {"my": ("his",), "I": ("he",), "me": ("him",), "us": ("us",), "am": ("is",), "have": ("has",),
           "patient": ("my father", "my husband", "my uncle", "my son", "our resident", "a patient of our practice")},
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """The writing style of a hospital's patients.

    ``words`` adds alternatives to the tables above. ``typos`` is the share of words of four letters or more that get a typo,
    ``asides`` the probability of an irrelevant sentence; ``lower`` writes small letters only; with ``relayed``, somebody
    writes for the patient.
    """

    words: Rules
    typos: float
    asides: float = 0.0
    lower: bool = False
    relayed: bool = False


def _by_label() -> Mapping[str, tuple[str, str, str]]:
    """Return department, kind and words of every single need by its label, in an order that mixes departments and kinds."""
    every = (
        (number, department, kind, words)
        for department, needs in NEEDS.items()
        for kind, alternatives in needs.items()
        for number, words in enumerate(alternatives, 1)
    )
    return {
        f"{department}-{kind}-{number}": (department, kind, words)
        for number, department, kind, words in sorted(every, key=lambda need: need[0])
    }


NEED_LABELS = _by_label()  # the labels of a harder task: not the department, but which of its needs a message requests

CHOICE = re.compile(r"\{([\w ]+)\}|\(([^(){}]*)\)")


def expand(text: str, rules: Rules, rng: random.Random, things: dict[str, str]) -> str:
    """Replace symbols and choices, the inner ones first, until only words and marks are left.

    ``things`` remembers the chosen things, so that all sentences about a need name the same scan, test or day.
    """

    def chosen(match: re.Match[str]) -> str:
        symbol, choices = match.groups()
        alternatives = rules[symbol] if symbol else choices.split("|")
        return things.setdefault(symbol, rng.choice(alternatives)) if symbol in THINGS else rng.choice(alternatives)

    while CHOICE.search(text):
        text = CHOICE.sub(chosen, text)
    return " ".join(text.split())


def rules_for(department: str, style: Style, voice: str) -> dict[str, tuple[str, ...]]:
    """Merge all tables: the common ones, those of the department and the writer, and the additions of the style."""
    common = {**THINGS, **MENTIONS, **DETAILS, **NEEDS[department], **VOICES[voice]}
    return common | {symbol: (*common.get(symbol, ()), *more) for symbol, more in style.words.items()}


def compose(
    department: str, style: Style, voice: str, details: Collection[str], rng: random.Random, need: str | None = None
) -> list[str]:
    """Compose the sentences of a message to ``department``, with marks for the personal ``details`` that it gives.

    With ``need``, one of `NEED_LABELS`, the message requests this need, and gives no reason, which could name another need.
    """

    def say(*symbols: str, about: str = department) -> list[str]:
        rules, things = rules_for(about, style, voice), dict[str, str]()
        if need and about == department:
            _, kind, words = NEED_LABELS[need]
            rules = rules | {kind: (words,), "request": tuple(text for text in rules["request"] if f"{{{kind}}}" in text)}
        texts = (expand(f"{{{symbol}}}", rules, rng, things) for symbol in symbols)
        return [text[:1].upper() + text[1:] for text in texts if text]

    others = rng.sample([d for d in DEPARTMENTS if d != department], rng.choice(MENTIONED))
    body = [sentence for other in others for sentence in say("settled", about=other)]
    place = rng.randint(0, len(body))
    explained = rng.random() < EXPLAINED and need is None
    body[place:place] = say("request", "reason") if explained else say("request")
    if rng.random() < style.asides:
        body[place:place] = say("aside")
    about_me = say(*(detail for detail in details if detail in DETAILS))
    middle = [*about_me, *body] if rng.random() < 0.6 else [*body, *about_me]
    return [*say("opening"), *middle, *say("signed" if "SIGNATURE" in details else "closing")]
