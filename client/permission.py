"""Decide whether a site carries out an order, from its SITE.toml and the order only; no data file is opened."""

import json
from typing import TYPE_CHECKING, Any

from client.site_file import SiteFile
from privacy.questions import default_at, of_kind, value_at
from shared.config.run import RunConfig
from shared.errors import PolicyRefused

if TYPE_CHECKING:
    from shared.wire.messages import TrainOrder  # imports Flower, which takes seconds

# Names in SITE.toml of the site's own fields that have another name in a run's config.
PLACES = {"task.labels": "data.labels", "cohort.min_records": "data.min_records", "adversary.groups": "data.groups"}
UNORDERED = ("task.labels", "adversary.groups")


def permit(file: SiteFile, order: "TrainOrder") -> None:
    """Check an order against the policy and against the site's own settings for its records.

    Raises
    ------
    PolicyRefused
        Names the field of the policy, or ``section.field`` of another section of SITE.toml.
    """
    file.policy.permit(order, file.data.declared_size)
    _refuse_rank(file, order.config)
    _refuse_other_size(file, order.config)
    _refuse_other_groups(file, order.config)
    for path in of_kind("own"):
        _refuse_other_value(file, order.config, path)


def _refuse_other_size(file: SiteFile, run: RunConfig) -> None:
    """Refuse another declared size, because the divisor and delta follow from it on both sides."""
    named = {site.id: site.declared_size for site in run.data.sites}.get(file.site.id)
    if named != file.data.declared_size:
        raise PolicyRefused(
            "data.declared_size",
            f"gives this site {named or 'no'} declared records",
            f"declares {file.data.declared_size}",
            "make data.sites of the run and data.declared_size of SITE.toml agree",
        )


def _refuse_rank(file: SiteFile, run: RunConfig) -> None:
    asked = file.rank_in(run)
    if "rank" in run.adapter.traits.fields and asked > file.policy.max_rank:
        raise PolicyRefused(
            "max_rank",
            f"asks for rank {asked}",
            f"allows {file.policy.max_rank}",
            "set aggregation.method = 'partitioned_mean' in the run, and under trust 'central' rank = "
            f"{file.policy.max_rank} for this site in data.sites, or the steward may raise it in SITE.toml",
        )


def _refuse_other_groups(file: SiteFile, run: RunConfig) -> None:
    if run.adversary is not None and run.adversary.column not in file.data.groups:
        raise PolicyRefused(
            "data.groups",
            f"trains an adversary on column '{run.adversary.column}'",
            f"allows {', '.join(file.data.groups) or 'none'}",
            "remove adversary, or the steward may add the column with its groups to SITE.toml",
        )


def _refuse_other_value(file: SiteFile, run: RunConfig, path: str) -> None:
    """Refuse a field that only the site may set, unless the run leaves it at its default or gives the site's own value."""
    asked, own = value_at(run, path), _own(file, run, path)
    same = set(asked or ()) == set(own or ()) if path in UNORDERED else asked in (default_at(path), own)
    if not same:
        raise PolicyRefused(
            PLACES.get(path, path),
            f"has {path} = {_shown(asked)}",
            f"sets {_shown(own)}",
            "remove the field from the run's config, or make both equal",
        )


def _own(file: SiteFile, run: RunConfig, path: str) -> Any:
    """Return the site's own value of a field of a run's config."""
    if path == "task.labels" and not run.task.declared.fewest_labels:
        return run.task.labels  # labels have no effect in this task
    if path == "adversary.groups":
        return file.data.groups[run.adversary.column] if run.adversary else None
    return value_at(file, PLACES.get(path, path))


def _shown(value: Any) -> str:
    """Return a value as it may be written in TOML."""
    return "none" if value is None else json.dumps(value, default=lambda section: section.model_dump(mode="json"))
