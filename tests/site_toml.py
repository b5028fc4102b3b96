"""A SITE.toml of site north, as a steward fills it in, and its records."""

import json
from pathlib import Path


def site_toml(policy: str = "", more: str = "", **data: str) -> str:
    """Return the file with these lines added to its policy and at its end, and these values in its section ``data``."""
    values = {"file": '"records.jsonl"', "declared_size": "100", "min_records": "4", "columns": '{ label = "label" }'}
    values |= {"labels": '["no", "yes"]', "label_bins": "[]", "groups": "{}"} | data
    given = "".join(f"{name} = {value}\n" for name, value in values.items())
    head = f'[site]\nid = "north"\n[server]\naddress = "fed.example.org:8443"\n[data]\n{given}[cleaning]\n'
    return f"{head}[policy]\ndataset_epsilon = 8.0\n{policy}\n{more}\n"


def write_records(file: Path, count: int = 40) -> None:
    """Write records of both labels, in words that the tiny models know, as JSON lines."""
    rows = [{"text": f"aia bib {'aia ' * (i % 3)}", "label": "yes" if i % 2 else "no"} for i in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
