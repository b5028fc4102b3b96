"""State what a run reveals: what a site sends, what is public, and what is not protected."""

RECORDS_STAY = "Each site's records stay on the site's own machines, where they are anonymised and used for training."
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
