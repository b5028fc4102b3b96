"""Scrubbed records for the sites of a small federation, without the anonymiser."""

from fixture_types import RecordsOf

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import RawRecord


def data_of(config: RunConfig, records_of: RecordsOf) -> list[SiteData]:
    """Return as many training records for each site as it declares, and four held-out ones."""
    data = []
    for number, site in enumerate(config.data.sites):
        records = records_of(config, site.declared_size + 4, number)
        raw = [
            RawRecord(record.fields, record.label, record.position, origin=(record.fields["text"].encode(),))
            for record in records[:-4]
        ]
        data.append(SiteData(site, raw, Scrubbed(tuple(records[:-4])), Scrubbed(tuple(records[-4:]))))
    return data
