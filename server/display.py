"""What the server's commands print: the privacy card as a page, and what a check of it found."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markdown import Markdown

from server.report.markdown import privacy_page
from server.report.signed import SignedCard
from server.report.verification import Verified


def card_page(signed: SignedCard) -> Iterator[RenderableType]:
    """The card, and first of all whether its signature fits."""
    if not signed.holds:
        yield "! The signature does not fit this card: it was changed after it was signed. Do not trust it."
    yield Markdown(privacy_page(signed.card))


def verified_line(found: Verified) -> str:
    """One line on a card that holds, and what that does not show."""
    card = found.signed.card
    files, sites = len(card["adapter"]["files"]), len(card["sites"])
    heads = f"ledger heads of {sites} sites ({found.ledgers} with the ledger itself)"
    who = (
        "signed with the key that you gave"
        if found.known_key
        else f"signed with {found.signed.public_key}, which only the card itself vouches for"
    )
    if card["signing"]["simulation_key"]:
        who += ", a simulation's key"
    run = f"run {card['run']['name']} ({card['run']['id']})"
    return f"{run}: card holds: signature, {files} adapter files, epsilon, {heads}; {who}"
