"""A SITE.toml of site north, as a steward fills it in."""


def site_toml(policy: str = "", more: str = "", **data: str) -> str:
    """Return the file with these lines added to its policy and at its end, and these values in its section ``data``."""
    values = {"file": '"records.jsonl"', "declared_size": "100", "min_records": "4", "columns": '{ label = "label" }'}
    values |= {"labels": '["no", "yes"]', "label_bins": "[]", "groups": "{}"} | data
    given = "".join(f"{name} = {value}\n" for name, value in values.items())
    head = f'[site]\nid = "north"\n[server]\naddress = "fed.example.org:8443"\n[data]\n{given}[cleaning]\n'
    return f"{head}[policy]\ndataset_epsilon = 8.0\n{policy}\n{more}\n"
