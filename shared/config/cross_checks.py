"""Refuse a run whose sections do not fit each other; what a section can check by itself is in the section's own module."""

from typing import TYPE_CHECKING

from shared.config.aggregation import FEWEST_IN_SUM, METHODS

if TYPE_CHECKING:
    from shared.config.run import RunConfig


def refuse_unfit_sections(run: "RunConfig") -> None:
    """Refuse a run in which two sections do not fit each other.

    Raises
    ------
    ValueError
        The first disagreement: the field and its value, why it does not fit, and what to do.
    """
    for check in CHECKS:
        check(run)


def _secure_sums_hide_single_deltas(run: "RunConfig") -> None:
    if not run.aggregation.secure_sums:
        return
    if len(run.data.sites) < FEWEST_IN_SUM:
        raise ValueError(
            f"aggregation.secure_sums = true: data.sites has fewer than {FEWEST_IN_SUM} sites, and a sum of two shows "
            "each of them the other's delta; add sites, or set secure_sums = false"
        )
    if run.privacy.release != "none":
        raise ValueError(
            "aggregation.secure_sums = true: with privacy.release = 'metrics' each site would send sums of its own "
            "beside the masked vector; set release = 'none', or secure_sums = false"
        )
    run.aggregation.refuse_unfit_sums(run.privacy.trust_in_force, run.cohort.quorum)


def _enough_sites_are_asked(run: "RunConfig") -> None:
    quorum, sample, trust = run.cohort.quorum, run.cohort.sample, run.privacy.trust_in_force
    if quorum > len(run.data.sites):
        raise ValueError(f"cohort.quorum = {quorum}: data.sites has only {len(run.data.sites)} sites; lower the quorum")
    if sample is None:
        return
    if trust in ("central", "distributed"):
        why = {"central": "samples sites in secret, by privacy.site_rate", "distributed": "plans its noise for all sites"}
        raise ValueError(f"cohort.sample = {sample}: privacy.trust = '{trust}' {why[trust]}; remove cohort.sample")
    if sample < quorum:
        raise ValueError(f"cohort.sample = {sample}: is below cohort.quorum = {quorum}; raise it")


def _records_have_the_labels_that_are_named(run: "RunConfig") -> None:
    if run.data.dealing[0] == "dirichlet" and run.task.declared.target != "label":
        raise ValueError(
            f"data.split = '{run.data.split}': records of task.name = '{run.task.name}' have no label; use iid or by()"
        )
    unknown = sorted({each.label for each in run.data.label_bins} - set(run.task.labels))
    if unknown:
        raise ValueError(f"data.label_bins: label '{unknown[0]}' is not in task.labels; correct one of them")


def _the_method_and_the_bytes_fit_the_trust_model(run: "RunConfig") -> None:
    run.aggregation.refuse_unfit(run.privacy.trust_in_force, run.cohort.quorum)
    if run.privacy.trust_in_force == "central" and run.training.byte_budget is not None:
        raise ValueError(
            "training.byte_budget: under privacy.trust = 'central' the bytes of a round tell how many sites were "
            "sampled, which must stay secret; remove it and set training.rounds"
        )


def _the_adapter_can_be_trained(run: "RunConfig") -> None:
    adapter, training = run.adapter, run.training
    if run.privacy.enabled and adapter.train != "B":
        raise ValueError(
            "adapter.train = 'AB': with differential privacy A must stay frozen; set adapter.train = 'B' or "
            "privacy.enabled = false"
        )
    if adapter.rank == 0 and not run.task.declared.head:
        raise ValueError(f"adapter.rank = 0: task.name = '{run.task.name}' has no head to train; set a rank of 1 or more")
    if adapter.rank and adapter.traits.no_decay and training.weight_decay:
        raise ValueError(
            f"training.weight_decay = {training.weight_decay}: {adapter.traits.no_decay}; "
            "set 0, or use training.proximal, which pulls towards the adapter at the start of the round"
        )
    if adapter.rank == 0 and training.distillation:
        raise ValueError(
            "training.distillation: with adapter.rank = 0 the base model does not change; set training.distillation = 0"
        )


def _the_head_has_one_start(run: "RunConfig") -> None:
    if run.task.head_start == "labels" and run.model.warm_start is not None:
        raise ValueError(
            "task.head_start = 'labels': the adapter of model.warm_start has a head of its own; remove one of them"
        )


def _mixed_ranks_can_be_aggregated(run: "RunConfig") -> None:
    adapter, ranks, method = run.adapter, run.ranks, run.aggregation.method
    lower = next((site for site, rank in ranks.items() if rank != adapter.rank), None)
    if not METHODS[method].ranks and lower is not None:
        raise ValueError(
            f"data.sites: site '{lower}' has rank {ranks[lower]}, and aggregation.method = '{method}' "
            f"needs adapter.rank = {adapter.rank} everywhere; set method = 'partitioned_mean', or remove the rank"
        )
    if not METHODS[method].ranks:
        return
    if (adapter.family, adapter.train) != ("lora", "B") or not adapter.rank:
        raise ValueError(
            f"aggregation.method = '{method}': averages columns of LoRA's B with A frozen; set "
            "adapter.family = 'lora', adapter.train = 'B' and a rank of 1 or more, or method = 'mean'"
        )
    if max(ranks.values()) != adapter.rank:
        raise ValueError(
            f"adapter.rank = {adapter.rank}: must be the largest rank of data.sites, which is {max(ranks.values())}"
        )


def _factors_can_be_stacked(run: "RunConfig") -> None:
    fits = run.adapter.family == "lora" and run.adapter.train == "AB" and run.adapter.rank
    if METHODS[run.aggregation.method].factors and not fits:
        raise ValueError(
            f"aggregation.method = '{run.aggregation.method}': combines the products of LoRA's A and B; set "
            "adapter.family = 'lora', adapter.train = 'AB' and a rank of 1 or more, or method = 'mean', which is exact "
            "with A frozen"
        )


def _a_shared_noise_has_one_step_a_round(run: "RunConfig") -> None:
    if run.privacy.trust_in_force != "distributed":
        return
    if run.training.steps != 1:
        raise ValueError(
            f"training.steps = {run.training.steps}: under privacy.trust = 'distributed' a round is one step, because a "
            "second local step would react to a sum that only the site's own share of the noise hides; set 1, and raise "
            "training.rounds"
        )
    if run.training.proximal:
        raise ValueError(
            "training.proximal: under privacy.trust = 'distributed' a site takes no step that it could pull back; set 0"
        )
    if run.balance.weights == "counts":
        raise ValueError(
            "balance.weights = 'counts': under privacy.trust = 'distributed' a site releases only its part of the sum; "
            "set 'public' or 'none'"
        )
    needed = run.privacy.colluders + 2
    if len(run.data.sites) < needed:
        raise ValueError(
            f"privacy.colluders = {run.privacy.colluders}: needs {needed} sites, so that 2 others add noise, "
            f"and data.sites has {len(run.data.sites)}; lower it, or add sites"
        )


def _an_adversary_has_an_embedding_to_read(run: "RunConfig") -> None:
    if run.adversary is None:
        return
    if not run.task.declared.hides_groups:
        raise ValueError(f"adversary: task.name = '{run.task.name}' cannot hide a group; leave the table out")
    if run.adapter.rank == 0:
        raise ValueError("adversary: with adapter.rank = 0 the embedding cannot change; set a rank of 1 or more")
    probes = run.evaluation.probes
    if probes and probes.group not in (None, run.adversary.column):
        raise ValueError(
            f"evaluation.probes.group = '{probes.group}': a record has only one group column; set it to "
            f"adversary.column = '{run.adversary.column}', or remove it"
        )


def _the_data_stage_fits_the_task(run: "RunConfig") -> None:
    balance, cleaning, target = run.balance, run.cleaning, run.task.declared.target
    if target != "label" and (balance.weights, balance.resample) != ("none", "none"):
        raise ValueError(
            f"balance.weights, balance.resample: a record of task.name = '{run.task.name}' has no label; set 'none'"
        )
    if balance.weights == "public" and len(balance.label_shares) != len(run.task.labels):
        raise ValueError(f"balance.label_shares: needs {len(run.task.labels)} numbers, one for each of task.labels")
    if target == "tags" and run.augmentation.on:
        raise ValueError(
            f"augmentation: it changes texts, and the tags of task.name = '{run.task.name}' would no longer fit; set "
            "augmentation.views = 1 and augmentation.swaps = []"
        )
    if target == "tags" and not isinstance(run.data.columns.text, str):
        raise ValueError("data.columns.text: tags count characters of one column, and the text has several; name one")
    if cleaning.label_conflicts == "drop" and cleaning.exact_duplicates == "keep":
        raise ValueError("cleaning.label_conflicts = 'drop': needs cleaning.exact_duplicates = 'drop'")


def _a_person_is_named_and_capped(run: "RunConfig") -> None:
    # Real sites set their own columns, and each refuses a run whose columns it does not have.
    if run.privacy.unit == "person" and run.data.columns.person is None and run.data.source != "sites":
        raise ValueError(
            "data.columns.person: privacy.unit = 'person' needs the column that identifies the person of each record"
        )
    if run.privacy.unit == "person" and run.privacy.person_cap is None:
        raise ValueError(
            "privacy.person_cap: privacy.unit = 'person' needs the most records used per person, a public number"
        )


def _an_encrypted_cache_has_a_key(run: "RunConfig") -> None:
    if run.data.cache and run.data.cache_encrypted and run.privacy.ledger is None:
        raise ValueError(
            "data.cache_encrypted: the key is stored with the ledger; set privacy.ledger, or data.cache_encrypted = false"
        )


CHECKS = (
    _secure_sums_hide_single_deltas,
    _enough_sites_are_asked,
    _the_method_and_the_bytes_fit_the_trust_model,
    _the_adapter_can_be_trained,
    _records_have_the_labels_that_are_named,
    _the_head_has_one_start,
    _mixed_ranks_can_be_aggregated,
    _factors_can_be_stacked,
    _a_shared_noise_has_one_step_a_round,
    _an_adversary_has_an_embedding_to_read,
    _the_data_stage_fits_the_task,
    _a_person_is_named_and_capped,
    _an_encrypted_cache_has_a_key,
)
