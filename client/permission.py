"""Whether a site carries an order out, decided from its SITE.toml and the order alone: no file is opened."""

import json
from typing import TYPE_CHECKING, Any

from client.site_file import SiteFile
from privacy.questions import default_at, of_kind, value_at
from shared.config.run import RunConfig
from shared.errors import PolicyRefused

if TYPE_CHECKING:
    from shared.wire.messages import TrainOrder  # which imports Flower, for seconds

# Where SITE.toml has a field that is the site's own, if it has another name there than in a run.
PLACES = {"task.labels": "data.labels", "cohort.min_records": "data.min_records", "adversary.groups": "data.groups"}
UNORDERED = ("task.labels", "adversary.groups")


def permit(file: SiteFile, order: "TrainOrder") -> None:
    """Return when the policy permits an order, and it asks nothing about the records that is the site's own to ask.

    Raises:
        PolicyRefused: it does not; the field that it names is the policy's, or one of another section with its name.
    """
    file.policy.permit(order, file.data.declared_size)
    _refuse_other_size(file, order.config)
    _refuse_other_groups(file, order.config)
    for path in of_kind("own"):
        _refuse_other_value(file, order.config, path)


def _refuse_other_size(file: SiteFile, run: RunConfig) -> None:
    """The declared size fixes the divisor and delta, so both sides must mean the same."""
    named = {site.id: site.declared_size for site in run.data.sites}.get(file.site.id)
    if named != file.data.declared_size:
        raise PolicyRefused(
            "data.declared_size",
            f"names this site with {named or 'no'} records",
            f"declares {file.data.declared_size}",
            "make data.sites of the run and data.declared_size of SITE.toml agree",
        )


def _refuse_other_groups(file: SiteFile, run: RunConfig) -> None:
    if run.adversary is not None and run.adversary.column not in file.data.groups:
        raise PolicyRefused(
            "data.groups",
            f"trains an adversary on column '{run.adversary.column}'",
            f"allows {', '.join(file.data.groups) or 'none'}",
            "leave adversary out, or the steward may name the column with its groups in SITE.toml",
        )


def _refuse_other_value(file: SiteFile, run: RunConfig, path: str) -> None:
    """Refuse a field that is the site's own and that a run neither leaves at its default nor has as the site has it."""
    asked, own = value_at(run, path), _own(file, run, path)
    same = set(asked or ()) == set(own or ()) if path in UNORDERED else asked in (default_at(path), own)
    if not same:
        raise PolicyRefused(
            PLACES.get(path, path),
            f"has {path} = {_shown(asked)}",
            f"has its own, {_shown(own)}",
            "leave it out of the run's config, or make both the same",
        )


def _own(file: SiteFile, run: RunConfig, path: str) -> Any:
    """The site's own value of a field of a run's config."""
    if path == "task.labels" and not run.task.declared.fewest_labels:
        return run.task.labels  # nothing reads them
    if path == "adversary.groups":
        return file.data.groups[run.adversary.column] if run.adversary else None
    return value_at(file, PLACES.get(path, path))


def _shown(value: Any) -> str:
    """A value as it may be written in TOML."""
    return "none" if value is None else json.dumps(value, default=lambda section: section.model_dump(mode="json"))
