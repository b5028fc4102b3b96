"""Secure sums: exact for any number of sites, and every list that a server could forge is refused."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from scipy.stats import chisquare

from privacy.secagg.protocol import Attempt, Participant, total
from privacy.secagg.roster import SIGNED_WITH, Roster
from shared.errors import MessageError, PrivacyError
from shared.identity.keys import new_key
from shared.wire.announcement import Announcement

ATTEMPT = Attempt("run", 3, 1, "nonce", "adapter", "config")


class Sites:
    """Sites that have pinned each other's keys."""

    def __init__(self, count: int, minimum: int = 2, colluders: int = 0) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {f"site-{i}": new_key() for i in range(count)}
        roster = Roster({site: key.public_key() for site, key in self.keys.items()})
        self.all = {site: Participant(site, key, roster, minimum, colluders) for site, key in self.keys.items()}

    def announced(self, attempt: Attempt = ATTEMPT) -> list[Announcement]:
        return [site.announce(attempt) for site in self.all.values()]


@pytest.mark.parametrize("count", [3, 10, 64])
@pytest.mark.slow
def test_masks_cancel_in_the_sum_of_all_sites_whatever_the_order_of_the_list(count: int) -> None:
    sites, generator = Sites(count), np.random.default_rng(count)
    values = {site: generator.integers(0, 2**32, 500, dtype=np.uint32) for site in sites.all}
    listed = sites.announced()
    orders = [listed, listed[::-1]]
    sent = [
        participant.mask(ATTEMPT, orders[place % 2], values[site])
        for place, (site, participant) in enumerate(sites.all.items())
    ]
    assert np.array_equal(total(sent), total(list(values.values())))
    assert not any(np.array_equal(vector, values[site]) for vector, site in zip(sent, sites.all, strict=True))


def test_one_masked_vector_is_uniform_and_so_is_the_sum_of_all_but_one() -> None:
    sites, zeros = Sites(3), np.zeros(200_000, np.uint32)
    listed = sites.announced()
    sent = [site.mask(ATTEMPT, listed, zeros) for site in sites.all.values()]
    for seen in (sent[0], total(sent[1:])):
        assert chisquare(np.bincount(seen >> 24, minlength=256)).pvalue > 1e-6
    assert not total(sent).any()


def test_sites_that_were_shown_different_lists_send_noise_and_not_a_smaller_sum() -> None:
    sites, zeros = Sites(4), np.zeros(5000, np.uint32)
    listed = sites.announced()
    first, second, third = list(sites.all.values())[:3]
    sent = [
        first.mask(ATTEMPT, listed[:3], zeros),
        second.mask(ATTEMPT, listed, zeros),
        third.mask(ATTEMPT, listed[:3], zeros),
    ]
    for seen in (total(sent), total(sent[:2])):
        assert chisquare(np.bincount(seen >> 24, minlength=256)).pvalue > 1e-6


def replaced(listed: list[Announcement], place: int, **changes: object) -> list[Announcement]:
    return [dataclasses.replace(each, **changes) if i == place else each for i, each in enumerate(listed)]  # type: ignore[arg-type]


Forge = Callable[[Sites, list[Announcement]], list[Announcement]]
FORGED: dict[str, tuple[Forge, str]] = {
    "another key for a peer": (
        lambda s, a: replaced(a, 1, key=bytes(31) + b"9"),
        "is not signed with the key in ROSTER.toml",
    ),
    "another key for the site itself": (lambda s, a: replaced(a, 0, key=a[1].key), "lacks this site's own"),
    "the site left out": (lambda s, a: a[1:], "lacks this site's own"),
    "a site twice": (lambda s, a: [*a, a[1]], "is in the list twice"),
    "one key twice": (lambda s, a: replaced(a, 2, key=a[1].key), "is in the list twice"),
    "a peer that is not pinned": (lambda s, a: replaced(a, 2, site_id="intruder"), "is not in this site's ROSTER.toml"),
    "a peer under another's name": (lambda s, a: [a[0], dataclasses.replace(a[2], site_id="site-3")], "is not signed"),
    "a signature of an earlier attempt": (
        lambda s, a: [a[0], s.all["site-1"].announce(dataclasses.replace(ATTEMPT, number=0)), *a[2:]],
        "is not signed",
    ),
    "a short key": (lambda s, a: replaced(a, 1, key=b"short"), "does not have 32 bytes"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_list_is_refused_and_no_vector_leaves(name: str) -> None:
    forge, message = FORGED[name]
    sites = Sites(4)
    listed = sites.announced()
    with pytest.raises(MessageError, match=message):
        sites.all["site-0"].mask(ATTEMPT, forge(sites, listed), np.zeros(5, np.uint32))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Attempt)])
def test_an_attempt_that_differs_in_any_field_is_another(field: str) -> None:
    sites = Sites(3)
    listed = sites.announced()
    changed = {"round": 4, "number": 2}.get(field, "other")
    with pytest.raises(MessageError, match="announced no key for this attempt"):
        sites.all["site-0"].mask(dataclasses.replace(ATTEMPT, **{field: changed}), listed, np.zeros(5, np.uint32))


def test_an_attempt_is_answered_once_and_a_new_announcement_forgets_the_old_key() -> None:
    sites, zeros = Sites(3), np.zeros(5, np.uint32)
    listed = sites.announced()
    sites.all["site-0"].mask(ATTEMPT, listed, zeros)
    with pytest.raises(MessageError, match="has answered it"):
        sites.all["site-0"].mask(ATTEMPT, listed, zeros)
    sites.all["site-1"].announce(ATTEMPT)
    with pytest.raises(MessageError, match="lacks this site's own"):
        sites.all["site-1"].mask(ATTEMPT, listed, zeros)


@pytest.mark.parametrize(("minimum", "colluders"), [(4, 0), (2, 2)])
def test_too_few_sites_for_the_policy_or_for_the_colluders_are_refused(minimum: int, colluders: int) -> None:
    sites = Sites(3, minimum, colluders)
    listed = sites.announced()
    with pytest.raises(PrivacyError, match="3 sites, and this site's policy asks for 4"):
        sites.all["site-0"].mask(ATTEMPT, listed, np.zeros(5, np.uint32))


def test_a_key_of_small_order_is_refused() -> None:
    sites = Sites(3)
    listed = sites.announced()
    signed = sites.keys["site-1"].sign(ATTEMPT.message("site-1", bytes(32)), SIGNED_WITH)
    with pytest.raises(MessageError, match="gives no secret"):
        sites.all["site-0"].mask(
            ATTEMPT, [listed[0], Announcement("site-1", bytes(32), signed), listed[2]], np.zeros(5, np.uint32)
        )
