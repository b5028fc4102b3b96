"""Decide whether a site may join a run: by its own gate over its own records, before anything is trained or spent."""

from collections.abc import Sequence
from dataclasses import asdict

from client.data_stage.cache import Cache
from privacy.leakage.gate import Check, checks, require
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.records.types import RawRecord

SAMPLE = 300  # the largest number of records that are measured
SEED = 0  # the seed of the planted data; fixed, so that the same records get the same verdict


def admit(
    gate: GateSection, section: AnonymiseSection, records: Sequence[RawRecord], site_id: str, cache: Cache | None = None
) -> None:
    """Refuse to join unless the anonymisation of a sample of the records passes the gate.

    Parameters
    ----------
    gate
        The site's own thresholds.
    section
        The ``[anonymise]`` section of the config.
    records
        Raw records of the site, cleaned.
    site_id
        Name of the site, for the message.
    cache
        Keeps the verdict, so that a restart does not measure again.

    Raises
    ------
    GateFailed
        The anonymisation does not pass; the sentence names each failed check, with shares only.
    ModelError
        A language model cannot be found or loaded.
    """
    require(_verdict(gate, section, records, cache), site_id)


def _verdict(
    gate: GateSection, section: AnonymiseSection, records: Sequence[RawRecord], cache: Cache | None
) -> Sequence[Check]:
    name = cache.name(records, section, f"gate {SAMPLE} {SEED} {gate.model_dump_json()}") if cache else ""
    known = cache.read(name) if cache else None
    if known is not None:
        return [Check(**check) for check in known]
    from privacy.leakage.assessment import assess, evenly  # spaCy takes seconds to import

    verdict = checks(gate, assess(section, evenly(records, SAMPLE), SEED, published=False))
    if cache:
        cache.write(name, [asdict(check) for check in verdict])
    return verdict
