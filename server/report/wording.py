"""The sentences of the privacy card and the report: what is guaranteed, to whom, and what is not protected."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from server.report.figures import epsilon, share_at_most, target_delta
from shared.errors import PrivacyError

WITHOUT_PRIVACY = (
    "This run had no differential privacy. The adapter may reveal individual training records, and records may be "
    "reconstructed from the messages of a site. Do not publish the adapter unless the data are public."
)
ACCOUNTING = (
    "Epsilon is an upper bound at the stated delta. It is computed with privacy loss distributions (Doroshenko et al. 2022, "
    "arXiv 2207.04380) over all releases that were charged, and was checked against a second bound from Renyi accounting; "
    "docs/check_epsilon.py recomputes it from this card. Delta bounds by how much a probability may exceed the limit that "
    "epsilon sets."
)
MECHANISM_HAZARDS = (
    "Noise and sampling use cryptographic randomness: each draw is a keystream of the cipher ChaCha20 under a new secret "
    "key from the operating system, so no seed can reproduce it.",
    "Before training, each site computes the gradients of a few records both in one batch and one record at a time, and "
    "refuses to train if they differ.",
    "Sums are rounded to a public grid, the noise is drawn on the same grid, and the two are added as integers, so the "
    "lowest bits of a released number reveal no more than the Gaussian mechanism does. Epsilon accounts for how far "
    "rounding can move a sum, and for the difference between the noise that is drawn and exactly rounded Gaussian noise.",
    "Through rounding, one added record can change the last bits of the other records' gradients. The noise is increased to "
    "cover this, by a bound that was measured and given a margin but is not proved. Before training, each site checks its "
    "own records against this bound.",
    "Timing is not hidden: a step with more sampled records takes longer.",
)
UTILITY = (
    "Intervals cover the random choice of held-out records, not the randomness of training: another run gives different "
    "figures. The measures are averages, which can hide worse results for rare labels, small sites and unusual records."
)
NOISE_BIAS = (
    "Clipping and noise lower the quality of the model, most of all for small groups and rare cases (Bagdasaryan et al. "
    "2019, arXiv 1905.12101); evaluate such groups separately before the model is used in decisions about them."
)
SIMULATION = (
    "This run is a simulation: the data of all sites were on one machine, under one operator, and nothing kept them apart. "
    "The card states what the messages of such a run would reveal, not who had access to the data."
)
WARM_START = (
    "The run started from an adapter with digest {digest}, which the operator declares to be trained on public text only. "
    "No epsilon on this card covers that text, and what the adapter could do before the run is no result of it."
)
RECORDS_STAY = "Each site's records stay on the site's own machines, where they are anonymised and used for training."
HELD_OUT_AT_SERVER = "The server evaluates on held-out records of its own; the guarantee does not cover these records."
SHARED_FACTS = (
    "Facts that many records share: conclusions about people in general that the finished model allows, and knowledge that "
    "the base model had before training."
)
PARTICIPATION = (
    "Participation: the sites' names and declared sizes are public. So is whether and when a site answers, fails, or "
    "declines (because it has too few usable records, or because its anonymisation missed a limit of its own policy). No "
    "noise hides this."
)
SAMPLED_PARTICIPATION = (
    "Participation: the sites' names and declared sizes are public. The server does not publish which sites were drawn in a "
    "round, but anyone who observes the sites' network traffic can see it, and the guarantee does not hold against them."
)
OTHER_RUNS = (
    "Other runs: the epsilon on this card covers one run. The epsilons of several runs on the same records add up, "
    "including runs that were made to choose settings. Each site's ledger adds up the runs that it recorded, with a privacy "
    "filter that also holds when later runs are chosen after seeing earlier results. Another site that has the same records "
    "keeps a separate ledger, which is not added."
)
OTHER_RUNS_OF_THE_SERVER = (
    "Other runs: the epsilon on this card covers one run. The epsilons of several runs with the same sites add up, "
    "including runs that were made to choose settings, and an earlier run from whose adapter this one began. No ledger adds "
    "them up, because the server adds the noise and not the sites: the server's operator must do so."
)
REST = (
    "Held-out records: the server evaluates on them, and they are treated as public to the server.",
    "Records at a site: an insider with access to the site's disk or memory can read them.",
    "The adapter's behaviour: a malicious site can influence it, within the limits of the server's screening.",
)
SEVERAL_RECORDS = (
    "People with several records: the unit of privacy is one record. For a person with k records, epsilon is up to k times "
    "as large, and delta is larger too."
)
PART_OF_A_PERSON = (
    "Changes to some of a person's records: the guarantee hides whether a person takes part with all their records. "
    "Changing only some of these counts as removing one person and adding another; for such a change, epsilon is up to "
    "twice as large, and delta is larger too."
)
SECURE_SUMS = (
    "Wrong sums: a malicious site can add any numbers to a sum, and nobody can see which site did; the server checks only "
    "the norm of the sum.",
    "Availability: a site or a server that stops answering ends attempts at rounds, each of which stays charged.",
    "Sites that were invented when the sites exchanged their public keys: a site must compare the fingerprints of the "
    "others with their stewards, not with the server's operator.",
    "A record that several sites hold: the guarantee hides its presence at one of these sites, not at all of them together.",
    "Which sites took part in each attempt, and when they answered.",
)
DELTA_SUMS = (
    SECURE_SUMS[0],
    "Availability: a site that goes away after it was asked for its vector must come back before the round can go on.",
    "The update of a single site: a sum reveals it if all other sites of the sum work together with the server, or were "
    "invented when the sites exchanged their public keys; sums of several rounds over different sites allow an estimate. "
    "The guarantee still holds.",
    SECURE_SUMS[-1],
)
THE_SERVER = "Updates from a site to the server: the server, and anyone who intercepts an update, sees it without noise."
EVERY_RECORD = (
    "Every training record: there is no limit on what the adapter, or a site's reply to the server, reveals about a record."
)
SIMULATION_FILES = (
    "The other files of this simulation: report.json, report.html and summary.html contain exact record counts, counts of "
    "personal data and baselines that no ledger pays for. The guarantee does not cover them. Do not publish them if the "
    "records are real."
)
MEASURED_IN_SIMULATION = (
    "The share that was found (the recall) is not stated here, because it would be a count over the records' texts. Where "
    "the true positions of personal data are known, the report of the simulation states it. Assume that some personal data "
    "were missed."
)
NOT_RELEASED = (
    "The share that was found (the recall) is not known here: it was not measured, or no site released it. Assume that some "
    "personal data were missed."
)
LEGAL = "Replacing names and other identifiers does not by itself take records outside the scope of data-protection law."
ANSWERS = (
    "The sites' names, the fact that each took part, whether and when it answered in a round, and the length and last hash "
    "of its ledger."
)
NAMES = "The sites' names, but not which of them were drawn in a round, nor the length and last hash of any site's ledger."
PUBLIC = (
    "Each site's declared size. The site chooses this number, which need not be its true record count.",
    "The run's settings: task, labels, base model, rounds, steps, sampling rate q, clipping norm C and noise multiplier z.",
)
RESULTS = "The adapter after each round, and the server's measurements of it on held-out records."
KEY_OF_SERVER = (
    "Signed with the server's key. The signature shows who signed only if you compare the public key with the one that the "
    "server's operator gave you through another channel: hushtune card verify RUN --key KEY."
)
KEY_OF_SIMULATION = (
    "Signed with a key that was created for this simulation and is stored in the run's folder. Anyone who has the folder "
    "can sign again, so the signature detects accidental changes; it does not show who signed."
)


@dataclass(frozen=True)
class TrustWords:
    """The sentences for one trust model.

    ``meaning`` says against whom the guarantee holds; ``mechanism``, ``sampling`` and ``clipping`` say what runs.
    ``released`` (what the guarantee covers) and ``owner`` (where the protected unit is) complete the sentences of
    ``guarantee``.
    """

    meaning: str
    mechanism: str
    sampling: str
    clipping: str
    released: str
    owner: str


TRUST: Mapping[str, TrustWords] = {
    "local": TrustWords(
        meaning="Local trust model: each site clips and adds noise before anything leaves it. The guarantee holds against "
        "everyone outside the site: the server, the other sites, and everyone who receives the adapter. It depends on the "
        "site's own software and hardware.",
        mechanism="DP-SGD at the site (Abadi et al. 2016, arXiv 1607.00133): in every step, the gradient of each sampled "
        "record is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is added to their sum.",
        sampling="Poisson sampling: in every step each record is drawn with probability q, independently of all others. q "
        "is public; which records were drawn stays secret at the site. The accounting assumes exactly the sampling that "
        "ran.",
        clipping="C bounds the gradient of one record. The sum is divided by q x declared size, a public number, so that "
        "the true record count is not revealed.",
        released="everything that a site sent in this run, together with the finished adapter,",
        owner="in that site's training data",
    ),
    "distributed": TrustWords(
        meaning="Distributed trust model: each round is one step, and each site adds a share of the noise to its own sum "
        "and hides the result under masks that cancel only in the sum over all sites of the round. The guarantee holds "
        "against everyone who sees those sums and the adapter, also against a malicious server that works together with as "
        "many sites as the stated number of colluding sites. It does not hold against more of them: the table of colluding "
        "sites states the epsilon that is left. It depends on the software and hardware of the other sites too, and on each "
        "site having received the public keys of the others through another channel than the server.",
        mechanism="One step of DP-SGD in each round (Abadi et al. 2016, arXiv 1607.00133) over the records of all sites: "
        "the gradient of each sampled record is scaled to an L2 norm of at most C, and each site rounds its sum to a public "
        "grid. Every site adds discrete Gaussian noise; the noise of the sites that do not collude has together a standard "
        "deviation of z times the sensitivity of a sum, which is C and what rounding adds (Kairouz, Liu and Steinke 2021, "
        "arXiv 2102.06387). Pairwise masks modulo 2^32 hide each site's vector (Bonawitz et al. 2017, doi "
        "10.1145/3133956.3133982). The server takes its own step with the noised mean gradient.",
        sampling="Poisson sampling: in every attempt at a round each record is drawn with probability q, independently of "
        "all others. q is public; which records were drawn stays secret at the site. An attempt that fails because a site "
        "went away is charged like any other, and the next attempt draws another sample and other noise.",
        clipping="C bounds the gradient of one record. The sum is divided by q x the declared sizes of the sites in it, "
        "public numbers, so that the true record counts are not revealed.",
        released="every sum over the sites of this run that was made or could have been made, together with the finished "
        "adapter,",
        owner="in the training data of any site that does not collude with the server",
    ),
    "central": TrustWords(
        meaning="Central trust model: the server receives each site's update without noise, clips it and adds noise to the "
        "sum. The guarantee holds against those who see only what the server publishes. It does not hold against the "
        "server, or against anyone who intercepts a site's messages to the server.",
        mechanism="Gaussian mechanism at the server (McMahan et al. 2018, arXiv 1710.06963): in every round, the update of "
        "each sampled site is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is added to "
        "their sum.",
        sampling="Poisson sampling: in every round each site is drawn with probability q, independently of all others. q is "
        "public; which sites were drawn stays secret at the server.",
        clipping="C bounds the update of one site.",
        released="everything that the server published in this run, including the adapter of each round,",
        owner="among the sites of this run",
    ),
}


SUMS_OF_PERSONS = replace(
    TRUST["distributed"],
    sampling="Poisson sampling: in every attempt at a round each person is drawn with probability q, with all their "
    "records, independently of all others. q is public; who was drawn stays secret at the site. An attempt that fails "
    "because a site went away is charged like any other, and the next attempt draws another sample and other noise.",
    mechanism=TRUST["distributed"].mechanism.replace(
        "over the records of all sites: the gradient of each sampled record is",
        "over the persons of all sites: the mean gradient of each sampled person's records is",
    ),
    clipping="C bounds the mean gradient of one person. The sum is divided by q x the declared sizes of the sites in it, "
    "public numbers of persons, so that the true numbers of persons are not revealed.",
)
OF_PERSONS = replace(
    TRUST["local"],
    mechanism="DP-SGD at the site (Abadi et al. 2016, arXiv 1607.00133) over persons: in every step, the mean gradient of "
    "each sampled person's records is scaled to an L2 norm of at most C, and Gaussian noise of standard deviation z x C is "
    "added to their sum. At most a fixed, public number of records is used per person.",
    sampling="Poisson sampling: in every step each person is drawn with probability q, with all their records, "
    "independently of all others. q is public; who was drawn stays secret at the site. The accounting assumes exactly the "
    "sampling that ran.",
    clipping="C bounds the mean gradient of one person. The sum is divided by q x declared size, a public number of "
    "persons, so that the true number of persons is not revealed.",
)


CLIPPING: Mapping[str, str] = {
    "flat": "Flat clipping: a vector with an L2 norm above C is scaled down to norm C; all others are left unchanged.",
    "automatic": "Automatic clipping (Bu et al. 2022, arXiv 2206.07136): every gradient g is replaced by "
    "C g / (|g| + 0.01), which has an L2 norm below C; small gradients are scaled up.",
    "per-layer": "Clipping by layer (McMahan et al. 2018, arXiv 1710.06963): the gradient of each of the K trained tensors "
    "is scaled down to an L2 norm of at most C / sqrt(K), so that the whole gradient has a norm of at most C.",
    "adaptive": "Adaptive clipping (Andrew et al. 2021, arXiv 1905.03871): C starts at the stated norm and then follows the "
    "median gradient norm at the site. For this, each step also releases a noised count of the norms below C. The charge "
    "covers both: the count and the gradient are one release at the stated z, so the noise on the gradient is above z x C.",
}


def clipping_words(trust: str, unit: str, mode: str) -> str:
    """Return how each contribution (a gradient, or a site's update under central trust) is clipped and the sum normalised.

    Raises
    ------
    PrivacyError
        There is no sentence for the clipping mode, so no card may be written.
    """
    if mode not in CLIPPING:
        raise PrivacyError(f"privacy.clipping = '{mode}': no privacy card can state this; take {' or '.join(CLIPPING)}")
    return f"{CLIPPING[mode]} {trust_words(trust, unit).clipping}"


def trust_words(trust: str, unit: str) -> TrustWords:
    """Return the sentences of a trust model for a unit of privacy.

    Raises
    ------
    PrivacyError
        There are no sentences for the trust model, so no card may be written.
    """
    if trust not in TRUST:
        raise PrivacyError(
            f"privacy.trust = '{trust}': no privacy card can state this trust model; take {' or '.join(TRUST)}"
        )
    if unit != "person":
        return TRUST[trust]
    return SUMS_OF_PERSONS if trust == "distributed" else OF_PERSONS


def guarantee(trust: str, unit: str, highest: float, delta: float) -> str:
    """State the guarantee in one paragraph, for the highest epsilon and the highest delta of all sites, both rounded up.

    Parameters
    ----------
    trust, unit
        Trust model and privacy unit of the run.
    highest
        The highest epsilon of all sites.
    delta
        The highest target delta of all sites.
    """
    words = trust_words(trust, unit)
    whole = "person with all their records" if unit == "person" else unit
    return (
        f"For adding or removing one {whole}, {words.released} is ({epsilon(highest)}, {target_delta(delta)})-"
        f"differentially private. This limits how well anyone who sees all of it can tell whether a particular {unit} was "
        f"{words.owner}, whatever else they know. Epsilon and delta are the highest of all sites; the values of each site "
        "are stated separately. They cover only this run; the epsilons of several runs on the same data add up."
    )


def colluder_words(planned: int, fewest: int, most: int) -> str:
    """Say what the table of colluding sites states."""
    return (
        f"The guarantee assumes that at most {planned} of the other sites tell the server their own noise, and every sum "
        f"has {fewest} to {most} sites. If more of them collude with the server, less noise is left for the records of the "
        "other sites. The table states the epsilon of the site that was charged most, at its delta, for each number of "
        "colluding sites in a sum, with the number of sites for which epsilon is largest; 'none' means that no "
        "epsilon is left."
    )


METERED = (
    "Before a site trains, it meters its own engine on synthetic gradients: the noise, the bound and the sampling that run. "
    "If they are not those of the plan, the site refuses to train. No record is read for this."
)


def attack_words(site_id: str, unit: str, false_positives: float, true_positives: float) -> str:
    """Explain the limit on an attack's true positive rate at one false positive rate, for one site; rounded up.

    Parameters
    ----------
    site_id
        The site with the highest risk.
    unit
        The privacy unit.
    false_positives
        The attack's false positive rate, 0 to 1.
    true_positives
        The upper limit of its true positive rate, 0 to 1.
    """
    subject = f"site {site_id}" if unit == "site" else f"one {unit} of site {site_id}"
    wrong = share_at_most(false_positives)
    return (
        f"Suppose an attacker knows everything except whether {subject} was used, and tests this with everything that the "
        f"guarantee covers. If the test wrongly reports {wrong} of the {unit}s that were not used (false positives), it "
        f"reports at most {share_at_most(true_positives)} of the {unit}s that were used (true positives); blind guessing "
        f"reports {wrong} of both. The table gives other rates. These are mathematical upper limits for every possible "
        "attack; no attack was carried out."
    )


def anonymisation(*, simulated: bool, private: bool) -> str:
    """State what anonymisation did, where its recall is reported, and what protects missed personal data.

    The text contains no number that was computed from records.
    """
    rest = (
        "Missed personal data were used in training; differential privacy limits their disclosure to the extent stated here."
        if private
        else "Missed personal data were used in training, and nothing limits their disclosure."
    )
    known = MEASURED_IN_SIMULATION if simulated else NOT_RELEASED
    return (
        f"Before training, each site searched its texts for personal data and replaced what it found. {known} {rest} {LEGAL}"
    )


def replies(*, released: bool, energy: bool, trust: str | None = None, masked: bool = False) -> str:
    """State what a site sends to the server; ``masked`` says whether deltas with all their own noise leave under masks."""
    if masked:
        return (
            "In each attempt at a round, a site sends the change of the adapter's parameters, with all its own noise, "
            "rounded to a public grid and under masks. Only the sum over at least three sites can be read, as long as at "
            "least two sites of the sum do not work together with the server. The masks change no site's charge: the "
            "guarantee does not rest on them. A site also sends the names of run, round and site, a key for the attempt, "
            "and the length and last hash of its ledger. It sends no text, no exact count of records and no measurement of "
            "its data."
        )
    if trust == "distributed":
        return (
            "A site sends one vector in each attempt at a round: its rounded sum of gradients with its share of the noise, "
            "under masks, so that only the sum over all sites can be read. It also sends the names of run, round and site, "
            "a key for the attempt, and the length and last hash of its ledger. It sends no text, no exact count of records "
            "and no measurement of its data."
        )
    sums = (
        " It also sends noised sums over its records (losses, correct predictions, and their number), which were charged."
        if released
        else ""
    )
    never = (
        "no text and no exact count of records"
        if released
        else "no text, no exact count of records and no measurement of its data"
    )
    return (
        "A site sends the change of the adapter's parameters, the names of run, round and site, and the length and last "
        f"hash of its ledger.{sums} It sends {never}."
        + (" Some sites also sent the electricity that their rounds used, as their policies permit." if energy else "")
    )


def held_out_share(share: float) -> str:
    """State which records the evaluation of a simulation read."""
    return (
        f"A share of {share_at_most(share)} of each site's records was held out and read in full for evaluation; the "
        "guarantee does not cover these records."
    )


def not_protected(trust: str | None, unit: str, *, simulated: bool, sums: bool = False) -> list[str]:
    """List what the run does not protect.

    Parameters
    ----------
    trust, unit
        Trust model and privacy unit; ``trust`` is None where there is no differential privacy.
    simulated
        Whether the sites were simulated.
    sums
        Whether deltas with all their own noise leave under masks (``aggregation.secure_sums``).
    """
    first = {None: [EVERY_RECORD], "central": [THE_SERVER], "distributed": [*SECURE_SUMS]}.get(
        trust, [*DELTA_SUMS] if sums else []
    )
    several = [{"record": SEVERAL_RECORDS, "person": PART_OF_A_PERSON}[unit]] if trust and unit != "site" else []
    around = (SAMPLED_PARTICIPATION, OTHER_RUNS_OF_THE_SERVER) if trust == "central" else (PARTICIPATION, OTHER_RUNS)
    return [*first, *several, SHARED_FACTS, *around, *REST, *([SIMULATION_FILES] if simulated else [])]


def public(trust: str | None) -> list[str]:
    """List what everybody may know of a run; ``trust`` is None where there is no differential privacy."""
    return [NAMES if trust == "central" else ANSWERS, *PUBLIC, RESULTS]
