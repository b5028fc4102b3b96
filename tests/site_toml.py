"""A SITE.toml of site north, as a steward fills it in, and its records."""

import json
from pathlib import Path

from client.site_file import SiteFile
from shared.models.wheels import sha256_file


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


def tiny_site(folder: Path, model: Path, policy: str, **data: str) -> SiteFile:
    """Write and load the file of a site that permits one task and one model, which is called tiny and lies in a folder."""
    permitted = f'tasks = ["classification"]\nmodels = ["{sha256_file(model / "model.safetensors")}"]\n{policy}'
    own = f'[model]\ndevice = "cpu"\n[model.folders]\ntiny = "{model}"'
    (folder / "SITE.toml").write_text(site_toml(permitted, own, **data))
    return SiteFile.load(folder / "SITE.toml")


def with_policy(file: SiteFile, **changes: object) -> SiteFile:
    """Return the site with changes to its policy."""
    return file.model_copy(update={"policy": file.policy.model_copy(update=changes)})
