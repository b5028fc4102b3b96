"""Attack the adapter of a run as an outsider could: infer who was in the training data, and extract planted texts.

Four federations are trained: with and without anonymisation, with and without privacy. Without both, the attack must
succeed; otherwise it is too weak to say anything about the other adapters.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.data_stage.site_data import SiteData
from client.losses import losses_and_hits
from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.audit import extraction, membership
from privacy.audit.membership import Floats, Losses
from privacy.dp.run_plans import plan_for_site
from privacy.risk import attack_risk
from shared.adapters.peft import write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.findings import read_findings, write_findings
from shared.ops.progress import Advance, Progress, silent
from shared.records.types import RawRecord, Record
from simulations.assembly import held_out_records
from simulations.audits.texts import Canary, canaries, other_secrets
from simulations.data.synthetic import stream
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.training import Trained, refuse_lasting_ledger, train_federation

NAME = "adapter"
STRONG = 0.8  # the area that the attack must reach without privacy, on texts that were trained on four times
EXTRACTED = 24  # canaries of each kind whose exposure is measured, since each needs the losses of all its fills
NEW_TOKENS = 40  # length of a completion


@dataclass(frozen=True)
class Material:
    """What the four federations share: the sites' records, scrubbed or not, and canaries for the first site and others."""

    data: Mapping[bool, Sequence[SiteData]] = field(repr=False)
    population: Mapping[bool, Sequence[tuple[str, Record]]] = field(repr=False)
    own: Sequence[Canary] = field(repr=False)
    elsewhere: Sequence[Canary] = field(repr=False)
    scrubbed: Mapping[int, Record] = field(repr=False)  # canaries by position; one that was quarantined is missing

    @property
    def everywhere(self) -> Sequence[Canary]:
        """All canaries."""
        return [*self.own, *self.elsewhere]

    def record(self, canary: Canary, anonymised: bool) -> Record | None:
        """Return a canary as training sees it; None if the anonymiser held it back."""
        return self.scrubbed.get(canary.position) if anonymised else _plain(canary.record())

    def planted(self, anonymised: bool, drawn: Mapping[int, int]) -> list[SiteData]:
        """Return the sites' records with as many copies of each canary as drawn."""
        own, *others = self.data[anonymised]
        return [
            self._with(own, self.own, anonymised, drawn),
            *(
                self._with(site, self.elsewhere[place :: len(others)], anonymised, drawn)
                for place, site in enumerate(others)
            ),
        ]

    def _with(self, site: SiteData, chosen: Sequence[Canary], anonymised: bool, drawn: Mapping[int, int]) -> SiteData:
        many = [canary for canary in chosen for _ in range(drawn[canary.position])]
        pairs = [(canary, record) for canary in many if (record := self.record(canary, anonymised)) is not None]
        persons = [f"canary {canary.position}" for canary, _ in pairs] if site.persons else []
        records = (*site.training.records, *(record for _, record in pairs))
        return replace(
            site,
            training=replace(site.training, records=records),
            raw=[*site.raw, *(canary.record() for canary, _ in pairs)],
            persons=[*site.persons, *persons],
        )


def audit_adapter(
    config: RunConfig, count: int = 200, fills: int = 1024, references: int = 1, progress: Progress = silent
) -> Mapping[str, Any]:
    """Train four federations with planted texts, attack each adapter, and return what the attacks found.

    Each adapter's results are stored at once, so an interrupted audit resumes.

    Parameters
    ----------
    config
        The run; its settings of privacy are those of the private cells.
    count
        Planted texts that the first site trains on once; as many are trained on four times, and twice as many never.
    fills
        Secrets among which a planted one is ranked, at most 2^12.
    references
        Adapters that the attacker trains on texts of the same kind, to compare with.
    progress
        Called at the start of the stages.

    Raises
    ------
    HushtuneError
        The task takes no planted texts, the sites add no noise of their own, the config names a lasting ledger, or a
        federation cannot be trained.
    """
    refuse_lasting_ledger(config, "hushtune audit adapter")
    if config.task.declared.target == "tags" or config.privacy.trust != "local" or not config.privacy.enabled:
        raise ConfigError(
            "hushtune audit adapter: needs a task with labels or responses, privacy.enabled = true and privacy.trust = "
            "'local'; set these"
        )
    folder, accountant = config.run.output / config.run.name, Accountant()
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"config_digest": config.digest(), "canaries": count, "fills": fills, "references": references}
    cells = _stored(folder, asked)
    missing = [(anonymised, private) for anonymised in (True, False) for private in (True, False)][len(cells) :]
    material = _material(config, count, folder, progress)
    advance = progress("train", len(missing) * (1 + references) * config.training.rounds * len(config.data.sites))
    for anonymised, private in missing:
        own = config if private else _without_privacy(config)
        scratch = folder / "audit" / f"ledgers-{secrets.token_hex(4)}"
        cells.append(_cell(own, material, anonymised, fills, references, scratch, accountant, advance))
        write_findings(folder, NAME, {**asked, "cells": cells})
    strongest = max(row["auc"] for row in cells[-1]["membership"] if row["copies"] == 4)
    return write_findings(folder, NAME, {**asked, "strong_enough": strongest >= STRONG, "cells": cells})


def _stored(folder: Path, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an earlier, interrupted audit of the same config found; nothing if the last one was finished."""
    earlier = read_findings(folder).get(NAME, {})
    same = all(earlier.get(name) == value for name, value in asked.items())
    return list(earlier["cells"]) if same and "strong_enough" not in earlier else []


def _without_privacy(config: RunConfig) -> RunConfig:
    tree = config.model_dump(mode="json")
    tree["privacy"] |= {"enabled": False, "release": "none", "unit": "record"}
    tree["aggregation"]["secure_sums"] = False  # without privacy they are refused, and the mean is the same
    return RunConfig.parse(tree, "hushtune audit adapter, without privacy")


def _material(config: RunConfig, count: int, folder: Path, progress: Progress) -> Material:
    raw = read_sites(config, folder)
    first, *others = raw.values()
    scrubbed = scrub_sites(config, raw, folder, progress)
    own = canaries(config, first, count, "own")
    elsewhere = canaries(config, [r for site in others for r in site], count // 4, "elsewhere") if others else []
    elsewhere = [replace(canary, position=canary.position + len(own)) for canary in elsewhere]
    texts = Anonymiser(config.anonymise).scrub([canary.record() for canary in (*own, *elsewhere)])
    data = {True: scrubbed, False: [_unscrubbed(site, raw[site.section.id]) for site in scrubbed]}
    population = {which: held_out_records(config, sites) for which, sites in data.items()}
    return Material(data, population, own, elsewhere, {record.position: record for record in texts.records})


def _unscrubbed(site: SiteData, raw: Sequence[RawRecord]) -> SiteData:
    """Return the site's data with the original texts of the records that the anonymiser accepted."""
    texts = {record.position: record for record in raw}

    def plain(records: Sequence[Record]) -> tuple[Record, ...]:
        return tuple(replace(record, fields=texts[record.position].fields) for record in records)

    training, held_out = (replace(part, records=plain(part.records)) for part in (site.training, site.held_out))
    return replace(site, training=training, held_out=held_out, wordings={})


def _plain(raw: RawRecord) -> Record:
    return Record(raw.fields, raw.label, raw.position)


def _cell(
    config: RunConfig,
    material: Material,
    anonymised: bool,
    fills: int,
    references: int,
    folder: Path,
    accountant: Accountant,
    advance: Advance,
) -> dict[str, Any]:
    """Train one federation and its references, and attack its adapter."""
    population = material.population[anonymised]
    drawn = {canary.position: canary.copies for canary in material.everywhere}
    others = [_half(config, material.everywhere, number) for number in range(references)]
    first, *rest = (
        train_federation(config, material.planted(anonymised, many), population, folder / str(number), accountant, advance)
        for number, many in enumerate((drawn, *others))
    )
    adapters = [first.adapter, first.start, *(each.adapter for each in rest)]
    known = [canary for canary in material.everywhere if material.record(canary, anonymised) is not None]
    records = [record for canary in known if (record := material.record(canary, anonymised)) is not None]
    losses = _losses(config, first, adapters, records)
    outside = _losses(config, first, adapters, [record for _, record in population])
    plan = plan_for_site(config, config.data.sites[0].declared_size, accountant)
    return {
        "anonymised": anonymised,
        "private": config.privacy.enabled,
        "epsilon": plan.epsilon(accountant=accountant) if plan else None,
        "limits": asdict(attack_risk(plan.events * plan.rounds, membership.RATES)) if plan else None,
        "membership": list(_membership([canary.copies for canary in known], losses, outside)),
        "extraction": list(_extraction(config, first, material, fills)),
    }


def _half(config: RunConfig, known: Sequence[Canary], number: int) -> dict[int, int]:
    """Draw the copies of each canary in a reference: none for a random half, and one or four for the others."""
    rng = stream(config.run.seed, "reference", number)
    return {canary.position: rng.choice((0, 0, 1, 4)) for canary in known}


def _losses(config: RunConfig, trained: Trained, adapters: Sequence[AdapterState], records: Sequence[Record]) -> Losses:
    target, base, *others = (_loss(config, trained, adapter, records) for adapter in adapters)
    return Losses(target, base, np.array(others).reshape(len(others), len(records)))


def _loss(config: RunConfig, trained: Trained, adapter: AdapterState, records: Sequence[Record]) -> Floats:
    learner = trained.learner
    write_adapter(learner.model, adapter)
    return losses_and_hits(learner, learner.task.encode(records), None, learner.tokens(config.training))[0]


def _membership(copies: Sequence[int], losses: Losses, outside: Losses) -> Iterator[dict[str, Any]]:
    """Yield each attack, once for each number of copies."""
    many_of = np.array(copies)
    for name, scores in membership.scores(losses, outside).items():
        for many in (1, 4):
            yield {
                "copies": many,
                "attack": name,
                **asdict(membership.attack(scores[many_of == many], scores[many_of == 0])),
            }


def _extraction(config: RunConfig, trained: Trained, material: Material, fills: int) -> Iterator[dict[str, Any]]:
    """Yield exposure and completions of canaries at the first site and at the others, by the number of copies."""
    rng, writer = stream(config.run.seed, "fills"), trained.learner.task.writer
    for where, chosen in (("first site", material.own), ("other sites", material.elsewhere)):
        for many in (0, 1, 4):
            some = [canary for canary in chosen if canary.copies == many][:EXTRACTED]
            if not some:
                continue
            rows = [[canary.secret, *other_secrets(canary, fills - 1, rng)] for canary in some]
            texts = [_plain(canary.record(secret)) for canary, row in zip(some, rows, strict=True) for secret in row]
            losses = _loss(config, trained, trained.adapter, texts).reshape(len(some), fills)
            found = extraction.exposures(losses[:, 0], losses[:, 1:])
            row = {"where": where, "copies": many, **asdict(extraction.summary(found, fills)), "completed": None}
            if writer is not None:
                asked = [canary.record().fields["instruction"] for canary in some]
                said = writer.replies(trained.learner.model, asked, NEW_TOKENS)
                row["completed"] = sum(extraction.completed(said, [canary.answer for canary in some]))
            yield row
