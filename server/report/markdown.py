"""Render the privacy card and the model card as Markdown, both from the signed card only."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from markupsafe import Markup

from server.report.figures import exact
from server.report.template import charge_rows, environment
from shared.config.adapter import FAMILIES
from shared.config.task import DECLARED
from shared.models.catalogue import HUB_ID

SPECIAL = re.compile(r"[\\`*\[\]<>|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def privacy_page(card: Mapping[str, Any]) -> str:
    """Render the privacy card as Markdown."""
    return _render("privacy_card.md.j2", card)


def model_page(card: Mapping[str, Any]) -> str:
    """Render the README of an adapter folder as a Hugging Face model card (Mitchell et al. 2019, arXiv 1810.03993)."""
    reference = card["base_model"]["reference"]
    hub_name = reference.partition("@")[0] if HUB_ID.fullmatch(reference) else None
    training, task = card["training"], DECLARED[card["training"]["task"]]
    family = FAMILIES.get(training["family"])
    words = {name: exact(value) if isinstance(value, float) else value for name, value in training.items()}
    trained = family and family.words.format_map(words)
    return _render("model_card.md.j2", card, hub_name=hub_name, family=family, trained=trained, task=task)


def escape(value: Any) -> Any:
    """Escape text for Markdown and HTML and put it on one line; return numbers and safe markup unchanged."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return SPECIAL.sub(lambda found: f"\\{found.group()}", re.sub(r"\s*\n\s*", " ", value))


def _render(template: str, card: Mapping[str, Any], **more: Any) -> str:
    pages = environment(escape)
    return pages.get_template(template).render(card=card, charges=partial(charge_rows, card), **more).strip() + "\n"
