"""Write the files that a run publishes with its adapter: the signed privacy card, its Markdown copy, and the model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.report.card import privacy_card
from server.report.card_facts import BaseModel, CardFacts, Charge, SiteCharges
from server.report.document import versions
from server.report.facts import RunFacts, SiteFacts
from server.report.markdown import model_page, privacy_page
from server.report.signed import SignedCard
from server.report.wording import RELATION
from server.signing import SigningKey
from shared.models.catalogue import CATALOGUE
from shared.models.wheels import sha256_file
from shared.ops.findings import read_findings
from shared.wire.chain_head import ChainHead

ADAPTER, README, PAGE = "adapter", "README.md", "privacy_card.md"
KEY_FILE = "signing_key.pem"  # a simulation's key, in the run's folder; a server keeps its key in its state folder


def publish(facts: CardFacts, folder: Path, key: SigningKey) -> Mapping[str, Any]:
    """Write the signed privacy card, its Markdown copy and the adapter's model card.

    Parameters
    ----------
    facts
        The facts that the card states.
    folder
        The run's folder, which already holds the adapter.
    key
        The key that signs the card.

    Returns
    -------
    Mapping[str, Any]
        The card.
    """
    signed = SignedCard.sign(privacy_card(facts, key.public), key)
    signed.save(folder)
    (folder / PAGE).write_text(privacy_page(signed.card), encoding="utf-8")
    (folder / ADAPTER / README).write_text(model_page(signed.card), encoding="utf-8")
    return signed.card


def card_facts(run: RunFacts, folder: Path, created: str, *, simulated: bool) -> CardFacts:
    """Select the facts for the privacy card from the facts of a finished run.

    Parameters
    ----------
    run
        The facts of the run.
    folder
        The run's folder, which already holds the adapter.
    created
        The time of the report, ISO 8601.
    simulated
        Whether the run was a simulation.
    """
    files, plan = run.model.files, next((site.plan for site in run.sites if site.plan), None)
    last = run.rounds[-1]
    entry = CATALOGUE.get(files.name)
    adapter = {path.name: sha256_file(path) for path in sorted((folder / ADAPTER).iterdir()) if path.name != README}
    unit = plan.unit if plan else run.config.privacy.unit
    return CardFacts(
        run_id=run.run_id,
        created=created,
        simulated=simulated,
        config=run.config,
        trust=plan.trust if plan else None,
        unit=unit,
        relation=RELATION.format(unit=unit),
        model=BaseModel(files.name, files.reference, run.model.kind, files.sha256, entry.licence if entry else None),
        adapter_digest=str(run.adapter["digest"]),
        files=adapter,
        trainable_parameters=int(run.adapter["trainable_parameters"]),
        rounds_committed=sum(done.committed for done in run.rounds),
        record=last.record,
        sites=[_charges(site, run.run_id, last.ledgers.get(site.site_id, ChainHead())) for site in run.sites],
        metrics=run.final,
        versions=versions(),
        energy=any(done.site_kwh for done in run.rounds),
        shared=plan.shared if plan else None,
        accountant=run.accountant,
        audits=read_findings(folder),
    )


def _charges(site: SiteFacts, run_id: str, head: ChainHead) -> SiteCharges:
    """Return the charges of one site: the events of its plan in each round that it reserved."""
    plan = site.plan
    charges = tuple(Charge(run_id, number, event) for number in site.rounds_spent for event in plan.events) if plan else ()
    delta, ever = (plan.target_delta, site.epsilon_ever) if plan else (None, None)
    return SiteCharges(site.site_id, site.declared_size, delta, charges, head, ever)
