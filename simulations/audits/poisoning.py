"""Measure in one table how dishonest sites change a run under each rule of aggregation, failures included."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from client.data_stage.site_data import SiteData
from client.site import Site
from privacy.accounting import Accountant
from privacy.anonymise.scrubbed import Scrubbed
from server.evaluation import Evaluator
from server.probes.backdoor import with_trigger
from server.rounds import Round, run_rounds
from server.warm_start import start_of
from shared.adapters.peft import write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import wilson
from shared.ops.findings import FOLDER, write_findings
from shared.ops.progress import Progress, silent
from shared.records.types import RawRecord, Record
from shared.seeds import stream
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.outcome import Outcome
from simulations.assembly import evaluator_of, held_out_records
from simulations.audits.dishonest import TRIGGER, AttackName, Collusion, Dishonest, Watched, false_records
from simulations.fleets.local import LocalFleet
from simulations.planning import site_plans
from simulations.reading import read_sites
from simulations.sites import scrub_sites, site_budget
from simulations.training import refuse_lasting_ledger

NAME = "attack"
SITES = 10
DISHONEST = (1, 2, 3)
CONCENTRATION = 0.3  # alpha of the Dirichlet label skew (Hsu, Qi and Brown 2019, arXiv 1909.06335)
NO_BOUND = 1e30  # norm that no delta has
BOUND = 2.0  # norm bound of the mean, in norms of the largest honest delta without an attack
Split = Literal["iid", "dirichlet"]
Rule = Literal["mean", "trimmed_mean", "median", "geometric_median"]
SPLITS: tuple[Split, ...] = get_args(Split)
RULES: tuple[Rule, ...] = get_args(Rule)
ATTACKS: tuple[AttackName, ...] = get_args(AttackName)


@dataclass(frozen=True)
class Row:
    """One row of the table: how records are dealt, whether with privacy, the rule, the attack, and the dishonest sites."""

    split: Split
    private: bool
    rule: Rule
    attack: AttackName
    dishonest: int

    @property
    def key(self) -> str:
        """Return the row's name in the stored results."""
        return "/".join(map(str, asdict(self).values()))


@dataclass(frozen=True)
class TestBed:
    """Ten honest sites on one split of the records, and dishonest versions of the last ones; built once for all rows."""

    config: RunConfig
    learner: Learner
    evaluator: Evaluator
    triggered: Evaluator  # measures on the same records, each with the backdoor's trigger
    accountant: Accountant
    start: AdapterState = field(repr=False)
    sites: Mapping[str, Sequence[Site]] = field(repr=False)  # by the attack that falsified their records; "none": all honest
    data: Sequence[SiteData] = field(repr=False)


def rows_of(
    splits: Sequence[Split],
    private: Sequence[bool],
    attacks: Sequence[AttackName] = ATTACKS[1:],
    dishonest: Sequence[int] = DISHONEST,
) -> Iterator[Row]:
    """Yield all rows of the table, those without an attack first."""
    for split in splits:
        for secret in private:
            for rule in RULES:
                yield Row(split, secret, rule, "none", 0)
                yield from (Row(split, secret, rule, attack, many) for attack in attacks for many in dishonest)


def poison(
    config: RunConfig,
    splits: Sequence[Split] = SPLITS,
    private: Sequence[bool] = (True, False),
    progress: Progress = silent,
    attacks: Sequence[AttackName] = ATTACKS[1:],
    dishonest: Sequence[int] = DISHONEST,
) -> Mapping[str, Any]:
    """Train a federation of ten sites for each row of the table, and return accuracy and backdoor rate of each.

    A row is stored as soon as it is finished, so an interrupted table resumes.

    Parameters
    ----------
    config
        The run; its records are pooled and dealt anew to ten sites.
    splits
        How records are dealt.
    private
        With privacy, without it, or both.
    progress
        Called at the start of the stages.
    attacks, dishonest
        What dishonest sites do, and how many of the ten are dishonest (1, 2, 3).

    Raises
    ------
    HushtuneError
        The task has no labels to flip, the sites add no noise of their own, the config names a lasting ledger, or a round
        found no quorum.
    """
    refuse_lasting_ledger(config, "hushtune attack")
    if config.task.declared.target != "label":
        raise ConfigError(f"task.name = '{config.task.name}': hushtune attack flips labels, which this task does not have")
    if config.privacy.trust != "local":
        raise ConfigError(f"privacy.trust = '{config.privacy.trust}': hushtune attack needs each site's delta; set 'local'")
    folder = config.run.output / config.run.name
    done = _stored(folder, config)
    missing = [row for row in rows_of(splits, private, attacks, dishonest) if row.key not in done]
    folder.mkdir(parents=True, exist_ok=True)
    pooled = scrub_sites(config, read_sites(config, folder), folder, progress) if missing else []
    advance, accountant = progress("train", len(missing)), Accountant()
    for (split, secret), rows in groupby(missing, key=lambda row: (row.split, row.private)):
        bed = _test_bed(config, split, secret, pooled, folder, accountant)
        bound = BOUND * max(delta.norm for delta in _honest_deltas(bed, folder))
        for row in rows:
            done[row.key] = _measured(bed, row, bound, folder)
            write_findings(folder, NAME, {"config_digest": config.digest(), "rows": done})
            advance(1)
    return write_findings(folder, NAME, {"config_digest": config.digest(), "rows": done, "refusals": refusals(config)})


def refusals(config: RunConfig) -> dict[str, str]:
    """Return for each robust rule why a run with secure sums refuses it."""
    found: dict[str, str] = {}
    for rule in RULES[1:]:
        tree = _tree(config, SITES, True)
        tree["aggregation"] = {"method": rule, "weights": "declared", "optimiser": "adamw"}
        tree["privacy"] |= {"trust": "distributed", "release": "none"}
        tree["training"] |= {"steps": 1, "proximal": 0.0}
        try:
            RunConfig.parse(tree, "secure sums")
        except ConfigError as error:
            found[rule] = str(error)
    return found


def _stored(folder: Path, config: RunConfig) -> dict[str, Any]:
    """Return the rows that an earlier, interrupted table of the same config finished."""
    path = folder / FOLDER / f"{NAME}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["rows"]) if found["config_digest"] == config.digest() else {}
    except (OSError, ValueError, KeyError):
        return {}


def _tree(config: RunConfig, size: int, private: bool) -> dict[str, Any]:
    """Return the config of the run with ten sites of one size, and with or without privacy."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    tree["data"]["sites"] = [{"id": f"site{n}", "records": size, "declared_size": size} for n in range(SITES)]
    tree["data"]["source"] = "synthetic"
    tree["cohort"] |= {"quorum": SITES - max(DISHONEST)}
    tree["privacy"] |= {"enabled": private, "release": "none"}
    tree["aggregation"] = {}  # each row has a rule of its own
    tree["compare"] = tree["sweep"] = None
    return tree


def _test_bed(
    config: RunConfig, split: Split, private: bool, pooled: Sequence[SiteData], folder: Path, accountant: Accountant
) -> TestBed:
    """Deal the pooled records to ten sites; make these, and versions of the last ones that train on false records."""
    records = [record for site in pooled for record in site.training.records]
    raw = {id(record): text for site in pooled for record, text in _with_raw(site)}
    own = RunConfig.parse(_tree(config, len(records) // SITES, private), "hushtune attack")
    dealt = deal(records, own.task.labels, split, own.run.seed)
    data = [
        SiteData(section, [raw[id(record)] for record in part], Scrubbed(tuple(part)))
        for section, part in zip(own.data.sites, dealt, strict=True)
    ]
    learner, plans = load_learner(own), site_plans(own, accountant)
    held_out = held_out_records(config, pooled)
    evaluator = evaluator_of(own, learner, held_out)
    triggered = evaluator_of(own, learner, [(owner, with_trigger(record, TRIGGER)) for owner, record in held_out])
    start, scratch = start_of(own, learner), folder / FOLDER / "ledgers" / secrets.token_hex(4)
    sites = {}
    for attack in ("none", "label flip", "backdoor"):
        chosen = data if attack == "none" else data[-max(DISHONEST) :]
        sites[attack] = [
            Site(own, _with_records(each, false_records(attack, each.training.records, own.task.labels)), learner,
                    plans[each.section.id], site_budget(own, each, scratch / attack, accountant))
            for each in chosen
        ]  # fmt: skip
    return TestBed(own, learner, evaluator, triggered, accountant, start, sites, data)


def _with_raw(site: SiteData) -> Iterator[tuple[Record, RawRecord]]:
    by_place = {raw.position: raw for raw in site.raw}
    return ((record, by_place[record.position]) for record in site.training.records)


def _with_records(site: SiteData, records: Sequence[Record]) -> SiteData:
    return replace(site, training=replace(site.training, records=tuple(records)))


def deal(records: Sequence[Record], labels: Sequence[str], split: Split, seed: int) -> list[list[Record]]:
    """Deal records to ten sites of equal size: at random, or to each site by its own mix of labels (Dirichlet 0.3)."""
    draw, size = stream(seed, "deal", split), len(records) // SITES
    order = [records[place] for place in draw.permutation(len(records))]
    if split == "iid":
        return [order[n * size : (n + 1) * size] for n in range(SITES)]
    left = {label: [record for record in order if record.label == label] for label in labels}
    sites = []
    for _ in range(SITES):
        mix, part = draw.dirichlet([CONCENTRATION] * len(labels)), list[Record]()
        while len(part) < size:
            left_over = np.array([len(left[label]) for label in labels])
            chances = mix * (left_over > 0) + 1e-9 * left_over
            part.append(left[labels[int(draw.choice(len(labels), p=chances / chances.sum()))]].pop())
        sites.append(part)
    return sites


def _honest_deltas(bed: TestBed, folder: Path) -> list[AdapterState]:
    """Return the deltas of a run without an attack, from whose norms an operator could choose the bound."""
    collusion = Collusion(bed.config, SITES, 0)
    row = Row("iid", bed.config.privacy.enabled, "mean", "none", 0)
    list(_rounds(bed, row, NO_BOUND, folder, collusion))
    return [delta for seen in collusion.seen.values() for delta in seen]


def _rounds(bed: TestBed, row: Row, bound: float, folder: Path, collusion: Collusion) -> Iterator[Round]:
    """Run the production round loop with the row's rule; the dishonest sites come last."""
    scratch = folder / FOLDER / "ledgers" / secrets.token_hex(4)
    tree = bed.config.model_dump(mode="json")
    trim = {"trim": row.dishonest or 1} if row.rule == "trimmed_mean" else {}
    tree["aggregation"] = {"method": row.rule, "max_norm": bound if row.rule == "mean" else NO_BOUND, **trim}
    own = RunConfig.parse(tree, "hushtune attack")
    honest = bed.sites["none"][: SITES - row.dishonest]
    false = bed.sites.get(row.attack, bed.sites["none"])[-row.dishonest :] if row.dishonest else []
    for site, data in zip([*honest, *false], bed.data, strict=True):
        site.budget = site_budget(own, data, scratch, bed.accountant)  # a ledger of its own for each training
    fleet = [*(Watched(site, collusion) for site in honest), *(Dishonest(site, collusion, row.attack) for site in false)]
    write_adapter(bed.learner.model, bed.start)
    try:
        yield from run_rounds(
            own,
            secrets.token_hex(8),
            bed.start,
            LocalFleet(cast("Sequence[Site]", fleet), lambda _: None),
            dict.fromkeys((site.site_id for site in fleet), 1.0),
            lambda _: {},
            lambda _: None,
            None,
            sleep=lambda _: None,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measured(bed: TestBed, row: Row, bound: float, folder: Path) -> dict[str, Any]:
    clock = time.monotonic()
    rounds = list(_rounds(bed, row, bound, folder, Collusion(bed.config, SITES, row.dishonest)))
    write_adapter(bed.learner.model, rounds[-1].adapter)
    clean = bed.evaluator.outcome()
    return {
        **asdict(row),
        "accuracy": asdict(bed.evaluator.metrics(clean)["accuracy"]),
        "backdoor": _backdoor(bed, clean),
        "rejected": sum(len(done.rejected) for done in rounds),
        "seconds": time.monotonic() - clock,
    }


def _backdoor(bed: TestBed, clean: Outcome) -> dict[str, float]:
    """Return the share of the held-out records of other labels that the trigger moves to the first label."""
    before, after = clean.answers(), bed.triggered.outcome().answers()
    assert before is not None  # noqa: S101  a task with labels has answers
    assert after is not None  # noqa: S101
    others = before != 0
    moved, total = int((after[others] == 0).sum()), int(others.sum())
    return asdict(wilson(moved, total, bed.config.evaluation.confidence)) if total else {}
