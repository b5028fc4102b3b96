"""State each trust model in words: against whom its guarantee holds, and what mechanism, sampling and clipping ran."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.errors import PrivacyError


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
