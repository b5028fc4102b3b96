"""The sentences of the privacy card and the report on guarantee, accounting, attacks, anonymisation and signature."""

from server.report.figures import epsilon, share_at_most, target_delta
from server.report.trust_words import trust_words

RELATION = "add or remove one {unit}"
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
METERED = (
    "Before a site trains, it meters its own engine on synthetic gradients: the noise, the bound and the sampling that run. "
    "If they are not those of the plan, the site refuses to train. No record is read for this."
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
HELD_OUT_AT_SERVER = "The server evaluates on held-out records of its own; the guarantee does not cover these records."
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
KEY_OF_SERVER = (
    "Signed with the server's key. The signature shows who signed only if you compare the public key with the one that the "
    "server's operator gave you through another channel: hushtune card verify RUN --key KEY."
)
KEY_OF_SIMULATION = (
    "Signed with a key that was created for this simulation and is stored in the run's folder. Anyone who has the folder "
    "can sign again, so the signature detects accidental changes; it does not show who signed."
)


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


def held_out_share(share: float) -> str:
    """State which records the evaluation of a simulation read."""
    return (
        f"A share of {share_at_most(share)} of each site's records was held out and read in full for evaluation; the "
        "guarantee does not cover these records."
    )
