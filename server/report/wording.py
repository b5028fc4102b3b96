"""The sentences of the privacy card and the report: what holds, for whom, and what does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from server.report.figures import epsilon, share_at_most, target_delta
from shared.errors import PrivacyError

WITHOUT_PRIVACY = (
    "This run had no differential privacy. The adapter may reveal single training records, and what a site sent can be "
    "inverted into records; do not publish it unless the data are public."
)
ACCOUNTING = (
    "Epsilon is an upper estimate by privacy loss distributions (Doroshenko et al. 2022, arXiv 2207.04380) over all "
    "releases that were charged, at the stated delta, and was checked against a second bound by Renyi accounting; "
    "docs/check_epsilon.py recomputes it from this card. Delta bounds how far a probability may go beyond epsilon's limit."
)
MECHANISM_HAZARDS = (
    "Noise and sampling draw on the operating system's random numbers: each draw is a keystream of the cipher ChaCha20 "
    "under a new secret key from there, so no seed can replay it.",
    "Before training, each site compares per-record gradients of a few records with gradients computed for each alone, and "
    "refuses to train if they differ.",
    "Sums are rounded to a public grid, rounded noise is drawn as whole numbers, and both are added as whole numbers. So "
    "the lowest bits of a released number say no more than the rest of it. Epsilon counts what rounding can move a sum by, "
    "and by how little the drawn noise differs from rounded Gaussian noise.",
    "One record more can move the other records' gradients in their last bits, by rounding. The noise is raised for that by "
    "a bound that was measured with a margin and is not proved; each site compares its own records with it before training.",
    "Timing is not hidden: a step with more sampled records takes longer.",
)
UTILITY = (
    "Intervals cover chance in the choice of held-out records, not in training: another run gives other figures. The "
    "measures are averages and can hide worse results for rare labels, small sites and unusual records."
)
NOISE_BIAS = (
    "Clipping and noise lower the quality of the model, most for small groups and rare cases (Bagdasaryan et al. 2019, "
    "arXiv 1905.12101); measure such groups apart before the model decides anything about them."
)
SIMULATION = (
    "This run is a simulation. All sites' data were on one machine, in one process, under one operator; nothing kept them "
    "apart. The card states what the messages of such a run reveal, not who had access to the data."
)
RECORDS_STAY = (
    "Each site's records stay on the site's own machines; there they are searched for personal data and trained on."
)
HELD_OUT_AT_SERVER = "The server measures on held-out records of its own; the guarantee does not cover these."
NOT_PROTECTED = (
    "Facts that many records share: what anyone can conclude about people in general from the finished model, and what the "
    "base model knew before.",
    "Who takes part: the sites' names and declared sizes are public. So is whether and when a site answers, declines "
    "because it has too few usable records or its anonymisation does not pass its own gate, or fails; no noise hides that.",
    "Held-out records: the server evaluates on them, and they are treated as public to it.",
    "An insider with access to a site's own disk or memory.",
    "Other runs: this card's epsilon covers one run. Runs on the same records add up, and so do runs that chose the "
    "settings; each site's own ledger adds up those that it was used for, by a filter that allows for runs chosen after "
    "earlier results, and a site that shares the records has another.",
    "The adapter's behaviour: a malicious site can bend what the adapter does, within the bounds of screening.",
)
SEVERAL_RECORDS = (
    "A person with several records: the unit is one record, so epsilon for that person is up to as many times larger as the "
    "person has records, and delta is larger too."
)
PART_OF_A_PERSON = (
    "One of a person's records alone: what is hidden is whether the person takes part with all their records. A change to "
    "some of a person's records counts as one person gone and another come: epsilon for it is up to twice as large, and "
    "delta is larger too."
)
THE_SERVER = "What a site sends to the server: the server, and whoever reads it on the way, sees it without noise."
EVERY_RECORD = "Every training record: nothing bounds what the adapter, or a reply that a site sent, reveals of it."
SIMULATION_FILES = (
    "The other files of this simulation: report.json and report.html hold exact record counts, counts of personal data and "
    "baselines computed without privacy, which the guarantee does not cover. Do not publish them if the records are real."
)
MEASURED_IN_SIMULATION = (
    "How much of it was found is not stated here, since that counts the records' own texts; where their true spans are "
    "known, the report of the simulation has it. Expect that some was missed."
)
NOT_RELEASED = (
    "How much of it was found is not known here: it was not measured, or no site released it. Expect that some was missed."
)
LEGAL = "Replacing names and the like does not by itself take records out of data-protection law."
PUBLIC = (
    "The sites' names, that each took part, whether and when it answered in a round, and where its ledger ends.",
    "Each site's declared size, which the site chooses and which need not be its true record count.",
    "The run's settings: task, labels, base model, rounds, steps, sampling rate q, clipping norm C and noise multiplier z.",
)
RESULTS = "The adapter after each round, and what the server measured with it on held-out records."
KEY_OF_SERVER = (
    "Signed with the server's key. A signature shows who signed only when you compare the public key with one that the "
    "server's operator gave you in another way: hushtune card verify RUN --key KEY."
)
KEY_OF_SIMULATION = (
    "Signed with a key that was made for this simulation and lies in the run's folder. Whoever has the folder can sign "
    "again, so the signature shows that nothing was changed by accident; it does not show who signed."
)


@dataclass(frozen=True)
class TrustWords:
    """What a trust model means, and what runs under it."""

    meaning: str
    mechanism: str
    sampling: str
    clipping: str
    released: str
    owner: str


TRUST: Mapping[str, TrustWords] = {
    "local": TrustWords(
        meaning="Local trust model: each site clips and adds noise before anything leaves it. The guarantee holds against "
        "everyone outside the site: the server, the other sites, and all who get the adapter. It rests on the site's own "
        "software and hardware.",
        mechanism="DP-SGD at the site (Abadi et al. 2016, arXiv 1607.00133): in every step, the gradient of each sampled "
        "record is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is added to their sum.",
        sampling="Poisson: in every step each record is drawn with chance q, independently of all others. q is public; who "
        "was drawn stays secret at the site. The sampling that ran is the one that is accounted for.",
        clipping="C bounds one record's gradient. The sum is divided by q x declared size, which is public, so that the "
        "true record count does not show.",
        released="all that a site sent in this run, together with the finished adapter,",
        owner="in that site's training data",
    ),
    "central": TrustWords(
        meaning="Central trust model: the server gets each site's update without noise, clips it and adds noise to the sum. "
        "The guarantee holds against those who see only what the server publishes. It does not hold against the server, or "
        "against anyone who reads what a site sends to it.",
        mechanism="Gaussian mechanism at the server (McMahan et al. 2018, arXiv 1710.06963): in every round, the update of "
        "each sampled site is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is added to "
        "their sum.",
        sampling="Poisson: in every round each site is drawn with chance q, independently of all others. q is public; who "
        "was drawn stays secret at the server.",
        clipping="C bounds one site's update.",
        released="all that the server published in this run, the adapters of its rounds included,",
        owner="among the sites of this run",
    ),
}


OF_PERSONS = replace(
    TRUST["local"],
    mechanism="DP-SGD at the site (Abadi et al. 2016, arXiv 1607.00133) over persons: in every step, the mean gradient of "
    "each sampled person's records is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is "
    "added to their sum. Of one person at most a public number of records is used.",
    sampling="Poisson: in every step each person is drawn with chance q, with all their records, independently of all "
    "others. q is public; who was drawn stays secret at the site. The sampling that ran is the one that is accounted for.",
    clipping="C bounds one person's mean gradient. The sum is divided by q x declared size, which counts persons and is "
    "public, so that the true number of persons does not show.",
)


CLIPPING: Mapping[str, str] = {
    "flat": "Flat clipping: what has an L2 norm above C is scaled down to C; the rest stays as it is.",
    "automatic": "Automatic clipping (Bu et al. 2022, arXiv 2206.07136): every gradient g is scaled to C g / (|g| + 0.01), "
    "small ones up, so to an L2 norm below C.",
    "per-layer": "Clipping by layer (McMahan et al. 2018, arXiv 1710.06963): the gradient of each of the K trained tensors "
    "is scaled down to an L2 norm of at most C / sqrt(K), so the whole to at most C.",
    "adaptive": "Adaptive clipping (Andrew et al. 2021, arXiv 1905.03871): C starts at the stated norm and then follows the "
    "median norm at the site. For that each step also releases, with noise, how many norms lay below C. The charge covers "
    "both: count and gradient together are one release at the stated z, so the gradient's own noise is above z x C.",
}


def clipping_words(trust: str, unit: str, mode: str) -> str:
    """How gradients, or under central trust the sites' updates, are bounded by C, and what is done with their sum.

    Raises
    ------
    PrivacyError
        There are no words for the mode, so no card may be written.
    """
    if mode not in CLIPPING:
        raise PrivacyError(f"privacy.clipping = '{mode}': no privacy card can state this; take {' or '.join(CLIPPING)}")
    return f"{CLIPPING[mode]} {trust_words(trust, unit).clipping}"


def trust_words(trust: str, unit: str) -> TrustWords:
    """Return the words of a trust model for a unit of privacy.

    Raises
    ------
    PrivacyError
        There are none, so no card may be written.
    """
    if trust not in TRUST:
        raise PrivacyError(
            f"privacy.trust = '{trust}': no privacy card can state this trust model; take {' or '.join(TRUST)}"
        )
    return OF_PERSONS if unit == "person" else TRUST[trust]


def guarantee(trust: str, unit: str, highest: float, delta: float) -> str:
    """The guarantee in one paragraph, for the highest epsilon and delta of any site, both rounded up."""
    words = trust_words(trust, unit)
    whole = "person with all their records" if unit == "person" else unit
    return (
        f"For adding or removing one {whole}, {words.released} is ({epsilon(highest)}, {target_delta(delta)})-"
        f"differentially private. This limits how well anyone who sees all of it can tell whether any one {unit} was "
        f"{words.owner}, whatever else they know. The figures are the highest of any site; each site's own are stated "
        "beside it. They cover this run alone; runs on the same data add up."
    )


def attack_words(site_id: str, unit: str, false_positives: float, true_positives: float) -> str:
    """What the limit on true positives at one rate of false positives means for one site, rounded up."""
    subject = f"site {site_id}" if unit == "site" else f"one {unit} of site {site_id}"
    wrong = share_at_most(false_positives)
    return (
        f"Suppose somebody knows everything but whether {subject} was used, and tests that with all that the guarantee "
        f"covers. The best possible test that wrongly names {wrong} of the {unit}s that were not used names at most "
        f"{share_at_most(true_positives)} of those that were; blind guessing names {wrong} of both. The table has other "
        "rates. These are mathematical limits for the worst case, whatever the attack; no attack was carried out."
    )


def anonymisation(*, simulated: bool, private: bool) -> str:
    """What anonymisation did, where its recall is to be found, and what guards what it missed; no figure of the records."""
    rest = (
        "What was missed was trained on; what limits its disclosure is differential privacy, to the extent stated here."
        if private
        else "What was missed was trained on, and nothing limits its disclosure."
    )
    known = MEASURED_IN_SIMULATION if simulated else NOT_RELEASED
    return (
        f"Before training, each site searched its texts for personal data and replaced what it found. {known} {rest} {LEGAL}"
    )


def replies(*, released: bool, energy: bool) -> str:
    """What a site sends."""
    sums = "noised sums of its records' loss, hits and number, which were charged" if released else "no measure of its data"
    return (
        "A site sends the change of the adapter's numbers, the names of run, round and site, where its ledger ends (a "
        f"number of entries and a hash), and {sums}. It sends no text and no exact count of records."
        + (" Some sites also sent what their rounds took in electricity, as their policies let them." if energy else "")
    )


def held_out_share(share: float) -> str:
    """What the evaluation of a simulation read."""
    return (
        f"A share of {share_at_most(share)} of each site's records was held out and read in full by the evaluation; the "
        "guarantee does not cover these."
    )


def not_protected(trust: str | None, unit: str, *, simulated: bool) -> list[str]:
    """What the run does not protect; ``trust`` is None where there is no differential privacy."""
    first = {None: [EVERY_RECORD], "central": [THE_SERVER]}.get(trust, [])
    several = [{"record": SEVERAL_RECORDS, "person": PART_OF_A_PERSON}[unit]] if trust and unit != "site" else []
    return [*first, *several, *NOT_PROTECTED, *([SIMULATION_FILES] if simulated else [])]
